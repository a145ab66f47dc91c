"""A website with one guarded form, for the tests of `captcha.js` alone: it issues challenges and judges submissions.

It stands in for the gate. What it checks of a solution is written from the protocol's page (captchaapi.md 3), not
from the gate's code, so widget and gate can't agree on a mistake.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

WIDGET = Path(__file__).parent.parent.parent / "caputchin_gate" / "captcha.js"
EASY = 0x0FFFFFFF


@dataclass
class Page:
    html: str
    headers: dict[str, str]


@dataclass
class Submission:
    """What arrived at the form's target, and what a gate would have said about its token."""

    path: str
    fields: list[tuple[str, str]]
    cookies: dict[str, str]
    verdict: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value


@dataclass
class ChallengeSite:
    """`answers` holds prepared answers to the next challenge requests; when it is empty, real ones are issued."""

    target: int = EASY
    lifetime: int = 120
    clock_offset: int = 0
    token_field: str = "caputchin-token"
    answers: deque[tuple[int, object]] = field(default_factory=deque)
    pages: dict[str, Page] = field(default_factory=dict)
    challenges: list[dict[str, object]] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    issued: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        site = self

        class Handler(SiteHandler):
            pass

        Handler.site = site
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def serve(self, path: str, html: str, headers: dict[str, str] | None = None) -> str:
        self.pages[path] = Page(html, headers or {})
        return self.url + path

    def challenge(self, asked: dict[str, object]) -> tuple[int, object]:
        self.challenges.append(asked)
        if self.answers:
            status, answer = self.answers.popleft()
            if isinstance(answer, dict) and {"token", "target"} <= answer.keys():
                self.issued[answer["token"]] = answer["target"]
            return status, answer
        token = secrets.token_urlsafe(24)
        self.issued[token] = self.target
        return 200, {"token": token, "target": self.target, "expires_at": self.now() + self.lifetime}

    def now(self) -> int:
        return int(time.time()) + self.clock_offset

    def judge(self, value: str) -> str:
        token, _, solution = value.partition(".")
        if not value:
            return "missing"
        if token not in self.issued or not solution.isdecimal() or str(int(solution)) != solution:
            return "invalid"
        if token in self.used:
            return "used"
        if int(hashlib.sha256(value.replace(".", "", 1).encode()).hexdigest()[:8], 16) > self.issued[token]:
            return "unsolved"
        self.used.add(token)
        return "admitted"


class SiteHandler(BaseHTTPRequestHandler):
    site: ChallengeSite
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/captcha.js"):
            self.answer(200, WIDGET.read_bytes(), {"Content-Type": "text/javascript; charset=utf-8"})
        elif page := self.site.pages.get(path):
            self.answer(200, page.html.encode(), {"Content-Type": "text/html; charset=utf-8", **page.headers})
        else:
            self.answer(404, b"", {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = urlsplit(self.path).path
        if path.endswith("/api/v1/captcha/challenge"):
            assert self.headers["Content-Type"] == "application/json"
            status, answer = self.site.challenge(json.loads(body))
            payload = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.answer(status, payload, {"Content-Type": "application/json", "Cache-Control": "no-store"})
            return
        fields = parse_qsl(body.decode(), keep_blank_values=True)
        cookies = dict(parse_qsl(self.headers.get("Cookie", "").replace("; ", "&")))
        token = next((value for key, value in fields if key == self.site.token_field), "")
        verdict = self.site.judge(token)
        self.site.submissions.append(Submission(path, fields, cookies, verdict))
        self.answer(200, f"<h1>{verdict}</h1>".encode(), {"Content-Type": "text/html; charset=utf-8"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.site.now() if timestamp is None else timestamp)

    def log_message(self, *args: object) -> None:
        pass
