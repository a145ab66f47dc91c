"""A gate whose tokens other back ends verify, for the tests with their real clients."""

from __future__ import annotations

from starlette.applications import Starlette

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware

SECRET = "secret-of-the-shop-for-clients"
V3_SECRET = "secret-of-the-shop-with-scores"

gate = Gate(
    provider="caputchin",
    verification="in-process",
    store="memory",
    providers={"altcha": {"kind": "altcha", "verification": "in-process"}},
    protect=["POST /contact"],
    in_process={
        "sites": [
            {"site_key": "shop", "secret": SECRET, "domains": ["shop.example", "www.shop.example"]},
            {"site_key": "scores", "secret": V3_SECRET, "v3": True, "score": 0.8, "actions": ["login"]},
        ],
    },
)
app = GateMiddleware(Starlette(), gate=gate)
