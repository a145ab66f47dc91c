"""A worker of the sidecar that tells how long its event loop had to wait: `python -m benchmarks.relaying PORT FD FD`.

PORT   of the application on loopback
FD     listening sockets that it inherits: one for clients, one that answers each connection with a line of JSON,
       {"lag": seconds, "resident": bytes, "peak": bytes}, and begins anew
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any

from benchmarks.serving import keep_to_core, peak_bytes, reset_peak
from benchmarks.solutions import LIFETIME, SIGNING_KEY
from caputchin_gate import config
from caputchin_gate.gate import gate_of
from caputchin_gate.sidecar import worker
from caputchin_gate.sidecar.relay import Relay
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.worker import Service

TICK = 0.002


class Observed:
    def __init__(self) -> None:
        self.lag = 0.0

    async def watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self.lag = max(self.lag, time.monotonic() - before - TICK)

    async def tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = {"lag": self.lag, "peak": peak_bytes(), "resident": reset_peak()}
        writer.write(json.dumps(told).encode())
        await writer.drain()
        writer.close()
        self.lag = 0.0


def main(upstream: int, clients: int, observer: int) -> None:
    keep_to_core(1)
    settings: dict[str, Any] = {
        "protect": ["POST /upload"],
        "max_body": "64MiB",
        "store": "memory",
        "provider": {"kind": "caputchin", "verification": "in-process"},
        "in_process": {"signing_key": SIGNING_KEY, "lifetime": LIFETIME},
        "sidecar": {"upstream": f"http://127.0.0.1:{upstream}"},
    }
    configuration = config.read(settings)
    listening = socket.socket(fileno=clients)
    service = Service(gate_of(configuration), relay_settings(configuration), (listening,))
    observed = Observed()
    kept: list[Any] = []

    def ready(relay: Relay) -> None:
        kept.append(relay.loop.create_task(observed.watch()))
        kept.append(relay.loop.create_task(asyncio.start_server(observed.tell, sock=socket.socket(fileno=observer))))

    worker.run(service, ready)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
