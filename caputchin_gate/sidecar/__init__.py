"""The sidecar: a reverse proxy of two protocols with the policy in between.

    bytes in   wire.py  bodies.py           heads and bodies, read strictly: what has two readings is refused
    bytes out  fields.py  forwarding.py     what of a head passes, and what the application is told about the client
               verdicts.py  heads.py        ... and about the decision; heads as they are written
    moving     client.py  upstream.py       one asyncio protocol a side
               request_body.py  exchange.py one request between them, from its head to the end of its answer
               tunnel.py  writing.py        after a WebSocket's 101; several pieces in one write
    the rest   upstreams.py                 connections kept, health, which server is next
               answers.py  counters.py      what the relay answers itself; what it counts
    processes  relay.py  worker.py          what the connections of a process share; one worker's life
               supervisor.py  child.py      several workers on one listening socket, reload, restart
    numbers    reports.py  ledger.py        what workers count becomes one sum, which the supervisor keeps
               admin_side.py  admin/        ... and a process of its own shows
               service_manager.py           what systemd is told of that

The first four lines are pure: bytes and values in, bytes and values out. Nothing here decides about a request: that is
`policy.py`, asked through the gate.
"""
