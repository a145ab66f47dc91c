"""A guarded application behind a trusted proxy: challenges are bound to the client's network."""

from __future__ import annotations

import os

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware
from tests.echo import SIGNING_KEY, asgi_application

gate = Gate(
    provider="caputchin",
    verification="in-process",
    protect=["POST /contact"],
    store=os.environ.get("GATE_STORE", "memory"),
    trusted_proxies=["127.0.0.1"],
    in_process={
        "signing_key": SIGNING_KEY,
        "challenges_per_minute": 20,
        "sites": [{"site_key": "shop"}, {"site_key": "blog", "domains": ["blog.example"]}],
    },
)
asgi = GateMiddleware(asgi_application, gate=gate)
