"""How a provider's reply is read (threats.md R9), and the dialect that many kinds share.

A yes needs the status 200 and a complete, small, unambiguous JSON object; which member says it, is each kind's own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn, TypeAlias

from caputchin_gate.messages import HttpReply
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Reason, Unavailable, Verdict

MAX_BODY = 64 * 1024
MAX_CODES: Final = 8

Answer: TypeAlias = dict[str, Any]


def json_object(body: bytes) -> Answer | None:
    """The JSON object of a body: UTF-8, no member twice at any depth, no NaN. None for everything else."""
    if len(body) > MAX_BODY:
        return None
    try:
        text = body.decode("utf-8").strip(" \t\r\n")
        found, end = _STRICT.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and end == len(text) else None


def _distinct(pairs: list[tuple[str, Any]]) -> Answer:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_STRICT = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_refuse)


def siteverify(
    reply: HttpReply,
    codes: Mapping[str, Reason],
    passed: Callable[[Answer], Verdict],
    *,
    any_status: bool = False,
    said_in: str = "error-codes",
) -> Verdict:
    """reCAPTCHA's way to answer: `success`, and `error-codes` when it is false.

    any_status: whether a no in words that are known counts with a 429 or 5xx too (others.md 1)
    said_in:    another name of the codes
    """
    answer = json_object(reply.body)
    if answer is None:
        return no_verdict(reply)
    success, said = answer.get("success"), words(answer.get(said_in))
    if reply.status == 200:
        return passed(answer) if success is True else refused(said, codes)
    known = any_status and not codes.keys().isdisjoint(said)
    if success is False and (known or not in_trouble(reply)):
        return refused(said, codes)
    return no_verdict(reply)


def in_trouble(reply: HttpReply) -> bool:
    """Whether the status says that nobody looked at the token."""
    return reply.status == 429 or reply.status >= 500


def no_verdict(reply: HttpReply) -> Unavailable | Misconfigured:
    """What a status says when the body holds no verdict."""
    match reply.status:
        case 200:
            return Unavailable(Cause.UNREADABLE)
        case 429:
            return Unavailable(Cause.RATE_LIMITED, retry_after(reply), ("http-429",))
        case status if 400 <= status <= 499:
            return Misconfigured((f"http-{status}",))
        case status:
            return Unavailable(Cause.STATUS, retry_after(reply), (f"http-{status}",))


def refused(said: tuple[str, ...], codes: Mapping[str, Reason]) -> Failed | Misconfigured:
    """The no of a provider. A word about our own mistake outweighs the others; an unknown one is a plain no."""
    reasons = [codes[word] for word in said if word in codes]
    if Reason.MISCONFIGURED in reasons:
        return Misconfigured(said)
    return Failed(reasons[0] if reasons else Reason.TOKEN_REJECTED, said)


# What a code looks like. A longer text is none: it may quote a part of what was sent (threats.md R35).
_CODE: Final = re.compile(r"[A-Za-z0-9_.: -]{1,64}")
UNPRINTABLE: Final = "unprintable"


def words(value: object) -> tuple[str, ...]:
    """A provider's codes as a short tuple of short texts, whatever it sent."""
    candidates: Iterable[object]
    match value:
        case str():
            candidates = (value,)
        case list():
            candidates = value
        case _:
            candidates = ()
    return tuple(
        word if _CODE.fullmatch(word) else UNPRINTABLE for word in candidates if isinstance(word, str) and word
    )[:MAX_CODES]


def text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def number(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int() if abs(value) < 2**53:
            return float(value)
        case float() if math.isfinite(value):
            return value
        case _:
            return None


def is_score(value: object) -> bool:
    score = number(value)
    return score is not None and 0 <= score <= 1


def retry_after(reply: HttpReply) -> float | None:
    """The seconds of `Retry-After`. Its other form, a date, would need a clock and counts as absent."""
    value = reply.headers.get("retry-after", "").strip()
    return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else None


_TIME = re.compile(r"(?:\+0*)?(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


def unix_time(value: object) -> float | None:
    """An ISO 8601 time in Unix seconds, UTC if it names no zone. One that can't be read is none (gotcha.md 3)."""
    parts = _TIME.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        return None
    date, time, fraction, zone = parts.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        return datetime.fromisoformat(f"{date}T{time}.{(fraction or '0').ljust(6, '0')}{zone}").timestamp()
    except ValueError:
        return None
