"""Serves the demo from one process until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import socket
import webbrowser
from types import FrameType
from typing import Final

import uvicorn

from caputchin_gate.demo.app import guarded_site
from caputchin_gate.demo.feed import Feed

GRACE_SECONDS: Final = 1


def serve(listener: socket.socket, *, open_browser: bool = False) -> None:
    """Serve the demo on a listening socket, and print a line for each decision."""
    feed = Feed()
    app = guarded_site(feed)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("caputchin_gate").setLevel(logging.INFO)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    DemoServer(config, feed, url_of(listener), open_browser).run([listener])


class DemoServer(uvicorn.Server):
    """Says where it is, and ends the open event streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, feed: Feed, url: str, open_browser: bool) -> None:
        super().__init__(config)
        self._feed = feed
        self._url = url
        self._open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"Open {self._url} to see the gate at work. Ctrl-C ends it.", flush=True)
        if self._open_browser:
            await asyncio.to_thread(webbrowser.open, self._url)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first Ctrl-C ends it within a second; a second one would only break off the tidying up."""
        if not self.should_exit:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.close()
        await super().shutdown(sockets)


def url_of(listener: socket.socket) -> str:
    """The address to type into a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
