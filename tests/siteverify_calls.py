"""A gate that issues tokens, and other back ends that ask it about them: one way to call for each dialect.

The gate is whole, with a store in memory and a clock that tests move; only the server in front is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from caputchin_gate import Gate
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines import solver
from caputchin_gate.engines.altcha import solver as altcha_solver
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Answer
from caputchin_gate.testing import solve

START = 1_800_000_000.0
SIGNING_KEY = "a signing key that only these tests use"
KEY = hashlib.sha256(SIGNING_KEY.encode()).digest()
VISITOR = "203.0.113.9"
BACK_END = "198.51.100.20"
SECRETS = {"shop": "secret-of-the-shop", "blog": "secret-of-the-blog"}
SITES: tuple[dict[str, Any], ...] = (
    {"site_key": "shop", "secret": SECRETS["shop"], "domains": ["shop.example"]},
    {"site_key": "blog", "secret": [SECRETS["blog"], "older-secret-of-the-blog"]},
)
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Call:
    """How a dialect is spoken. `passed` reads an answer as its clients do."""

    path: str
    secret: str = "secret"
    response: str = "response"
    passed: Callable[[int, Mapping[str, Any]], bool] = lambda status, told: status == 200 and told["success"] is True
    more: Mapping[str, str] = field(default_factory=dict)

    def written(self, secret: Any, response: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """Headers and fields of the body."""
        if self.secret == "authorization":
            return {"authorization": f"Bearer {secret}"}, {self.response: response}
        if self.secret == "x-api-key":
            return {"x-api-key": secret}, {self.response: response}
        return {}, {self.secret: secret, self.response: response, **self.more}


CALLS: Mapping[str, Call] = {
    "recaptcha": Call("recaptcha/api/siteverify"),
    "hcaptcha": Call("hcaptcha/siteverify"),
    "turnstile": Call("turnstile/v0/siteverify"),
    "caputchin": Call("v1/siteverify"),
    "gotcha": Call("api/siteverify"),
    "cap": Call("shop/siteverify"),
    "captchaapi": Call("api/v1/captcha/verify", secret="authorization"),
    "procaptcha": Call(
        "procaptcha/siteverify",
        response="token",
        passed=lambda status, told: status == 200 and told["verified"] is True and "score" not in told,
    ),
    "friendly": Call("api/v2/captcha/siteverify", secret="x-api-key"),
    "mcaptcha": Call(
        "api/v1/pow/siteverify",
        response="token",
        more={"key": "shop"},
        passed=lambda status, told: status == 200 and told["valid"] is True,
    ),
}
LIKE_RECAPTCHA = ("recaptcha", "hcaptcha", "turnstile", "caputchin", "gotcha")


class Told:
    """An answer, read: `members` of its JSON, which there always is."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = dict(response.headers)
        self.raw = response.body.decode()
        self.members: dict[str, Any] = json.loads(self.raw) if self.raw else {}
        assert self.headers.get("Access-Control-Allow-Origin") is None
        if self.raw:
            assert self.headers["Content-Type"] == "application/json; charset=utf-8"
            assert self.headers["Cache-Control"] == "no-store"
            assert self.headers["X-Content-Type-Options"] == "nosniff"

    @property
    def codes(self) -> list[str] | None:
        return self.members.get("error-codes")

    def __repr__(self) -> str:
        return f"{self.status} {self.raw}"


class Site:
    """The gate under test, and everybody who talks to it."""

    def __init__(self, *, sites: Sequence[Mapping[str, Any]] = SITES, **options: Any) -> None:
        self.now = START
        in_process = {
            "signing_key": SIGNING_KEY,
            "sites": [dict(site) for site in sites],
            "cap": {"puzzles": 1, "difficulty": 1},
            **options.pop("in_process", {}),
        }
        kinds = ("captchaapi", "cap", "altcha")
        options.setdefault("store", "memory")
        self.gate = Gate(
            provider="caputchin",
            verification="in-process",
            providers={kind: {"kind": kind, "verification": "in-process"} for kind in kinds},
            protect=["POST /contact"],
            clock=Clock(lambda: self.now, lambda: self.now, os.urandom),
            in_process=in_process,
            **options,
        )

    def send(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: str = "",
        peer: str = BACK_END,
    ) -> Response:
        """A request to one of the gate's own paths, as a server would hand it over."""
        pieces = iter([body] if body else [])
        named = {name: (value,) for name, value in (headers or {}).items()}
        head = RequestHead(method, f"/.caputchin/{path}", headers=named, query=query, peer=peer)
        ruling = self.gate.handle(head, lambda _: next(pieces, BodyEnd.COMPLETE))
        assert isinstance(ruling, Answer)
        return ruling.response

    def ask(self, dialect: str, secret: Any, response: Any, *, path: str | None = None, **more: Any) -> Told:
        """A siteverify call in JSON; `more` are further fields."""
        call = CALLS[dialect]
        headers, fields = call.written(secret, response)
        headers["content-type"] = JSON
        body = json.dumps({**fields, **more}).encode()
        return Told(self.send(path if path is not None else call.path, body, headers=headers))

    def passes(self, dialect: str, secret: Any, response: Any, **more: Any) -> bool:
        told = self.ask(dialect, secret, response, **more)
        return bool(CALLS[dialect].passed(told.status, told.members))

    # Tokens, as browsers get them

    def challenge(self, site: str = "shop", **more: Any) -> Response:
        headers = {"content-type": JSON, "origin": more.pop("origin", "https://shop.example")}
        body = json.dumps({"site_key": site, **more}).encode()
        return self.send("api/v1/captcha/challenge", body, headers=headers, peer=VISITOR)

    def native(self, site: str = "shop", **more: Any) -> str:
        issued = json.loads(self.challenge(site, **more).body)
        return f"{issued['token']}.{solver.solve(issued['token'], issued['target'])}"

    def _solved(self, kind: str, site: str, origin: str) -> str:
        def ask(method: str, path: str, body: bytes) -> bytes:
            headers = {"content-type": JSON, "origin": origin}
            return self.send(path.removeprefix("/.caputchin/"), body, method=method, headers=headers, peer=VISITOR).body

        return solve(ask, kind, site_key=site)

    def cap(self, site: str = "shop", origin: str = "https://shop.example") -> str:
        return self._solved("cap", site, origin)

    def caputchin(self, site: str = "shop", origin: str = "https://shop.example") -> str:
        return self._solved("caputchin-widget", site, origin)

    def altcha(self, site: str = "shop", query: str = "") -> str:
        headers = {"origin": "https://shop.example"}
        issued = self.send(f"altcha/{site}/challenge", method="GET", headers=headers, query=query, peer=VISITOR)
        return str(altcha_solver.solve(json.loads(issued.body)))


def form(fields: Mapping[str, Any]) -> bytes:
    return urlencode(fields).encode()


def multipart(fields: Mapping[str, Any], boundary: str = "xXx") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{boundary}--\r\n"]).encode()
