"""Solves the gate's own challenges, as a widget does in the page. For tests and examples: the gate never solves."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from itertools import count
from typing import Any

from caputchin_gate.engines.cap_puzzles import derived


def solve(token: str, target: int) -> int:
    """The smallest solution of a native challenge (captchaapi.md 3)."""
    start = sha256(token.encode())
    for solution in count():
        attempt = start.copy()
        attempt.update(b"%d" % solution)
        if int.from_bytes(attempt.digest()[:4]) <= target:
            return solution
    raise AssertionError("count() never ends")


def solve_cap(challenge: Mapping[str, Any]) -> list[Any]:
    """The solutions of a Cap challenge, as the widget sends them (cap.md 3.4, 5). `challenge` is the gate's answer."""
    if challenge.get("format") == 2:
        return [_solve_explicit(one["protocol"], one["payload"]) for one in challenge["challenges"]]
    asked = challenge["challenge"]
    return [_nonce(*puzzle) for puzzle in derived(challenge["token"], asked["c"], asked["s"], asked["d"])]


def _solve_explicit(protocol: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    match protocol:
        case "sha256-pow":
            return {"nonce": _nonce(payload["salt"], payload["target"])}
        case "rsw":
            return {"y": f"{_squared(int(payload['x'], 16), payload['t'], int(payload['N'], 16)):x}"}
        case _:
            raise ValueError("challenge_unsupported")


def _nonce(salt: str, target: str) -> int:
    start = sha256(salt.encode())
    for nonce in count():
        attempt = start.copy()
        attempt.update(b"%d" % nonce)
        if attempt.hexdigest().startswith(target):
            return nonce
    raise AssertionError("count() never ends")


def _squared(base: int, squarings: int, modulus: int) -> int:
    for _ in range(squarings):
        base = base * base % modulus
    return base
