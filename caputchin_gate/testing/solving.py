"""Gets tokens as a browser does, from a gate that verifies in process: over HTTP, from whatever serves it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from caputchin_gate.engines import solver
from caputchin_gate.engines.altcha import solver as altcha_solver

Asked: TypeAlias = Callable[[str, str, bytes], bytes]
"""Sends a request to the application, by method, path and JSON body, and gives the body of the answer."""

MOUNT: Final = "/.caputchin"
ONLY_SITE: Final = "default"  # what a site is called that the settings do not name


def solve(
    where: str | Asked, kind: str = "caputchin", *, site_key: str | None = None, action: str = "", mount: str = MOUNT
) -> str:
    """A token, for the field of a form: asks for a challenge and solves it, as a widget does.

    where:    the application's URL, "http://127.0.0.1:8000", or a function that sends a request (`Asked`)
    kind:     whose widget it stands for: "caputchin" or "captchaapi" for our own, "caputchin-widget" for Caputchin's,
        "cap", "altcha"
    site_key: of [in_process].sites, where there are several

    Raises ValueError with what the gate has answered, when that is no challenge.
    """
    ask = _over_http(where) if isinstance(where, str) else where

    def told(method: str, path: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answered = ask(method, f"{mount}/{path}", json.dumps(members).encode() if members is not None else b"")
        try:
            answer = json.loads(answered)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or answer.get("success") is False:
            raise ValueError(f"{mount}/{path} answers {answered[:200]!r}")
        return answer

    match kind:
        case "caputchin" | "captchaapi":
            named = {"site_key": site_key, "action": action}
            asked = {name: value for name, value in named.items() if value}
            issued = told("POST", "api/v1/captcha/challenge", asked)
            return f"{issued['token']}.{solver.solve(issued['token'], issued['target'])}"
        case "altcha":
            query = f"?{urlencode({'action': action})}" if action else ""
            site = f"{site_key}/" if site_key is not None else ""
            return altcha_solver.solve(told("GET", f"altcha/{site}challenge{query}"))
        case "cap":
            issued = told("POST", f"cap/{site_key or ONLY_SITE}/challenge", {})
            solved = {"token": issued["token"], "solutions": solver.solve_cap(issued)}
            return str(told("POST", f"cap/{site_key or ONLY_SITE}/redeem", solved)["token"])
        case "caputchin-widget":
            issued = told("POST", "v1/verify/start", {"platform": {"sitekey": site_key or ONLY_SITE}})
            solved = {"token": issued["token"], "solutions": solver.solve_cap(issued), "platform": issued["platform"]}
            return str(told("POST", "v1/verify/pass", solved)["platform"]["wrappedToken"])
        case _:
            raise ValueError(f"{kind!r} is none of caputchin, captchaapi, caputchin-widget, cap, altcha")


def _over_http(url: str) -> Asked:
    import httpx2  # only who asks over HTTP pays for it

    def ask(method: str, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"} if body else {}
        return httpx2.request(method, url.rstrip("/") + path, content=body, headers=headers).content

    return ask
