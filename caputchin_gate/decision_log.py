"""The event of each decision about a guarded request, and of each change of a site's state of hardening."""

from __future__ import annotations

import logging
import re
from typing import Final

from caputchin_gate.difficulty import Hardening
from caputchin_gate.events import Line, tell_line
from caputchin_gate.verdict import Decision, Failed, Misconfigured, Passed, Reason, Unavailable

_METHOD: Final = re.compile(r"[A-Za-z]{1,16}")


def log_decision(decision: Decision) -> None:
    """Tell of a decision. The method is a word of the client, and codes are words of the provider."""
    reason, verdict, would_refuse = decision.reason, decision.verdict, decision.would_refuse
    level, codes = _LEVELS.get(reason, logging.INFO), decision.details
    match verdict:
        case Passed(details=details):
            warning = details.get("warning")
            if warning:
                level, codes = max(level, logging.WARNING), (*codes, str(warning))
        case Unavailable(cause=cause):
            codes = (cause, *verdict.codes, *codes)
        case Failed() | Misconfigured():
            codes = (*verdict.codes, *codes)
        case None:
            pass
    method = decision.method if decision.method and _METHOD.fullmatch(decision.method) else "?"
    status = decision.status
    fields = {
        "reason": str(reason),
        "would_refuse": str(would_refuse) if would_refuse is not None else None,
        "admitted": status is None,
        "route": decision.route,
        "provider": decision.provider,
        "method": method,
        "status": status,
        "elapsed": round(decision.elapsed, 6),
        "token_digest": decision.token_digest,
        "codes": tuple(map(_printable, codes)) if codes else (),
    }
    words = "decision " + reason
    if would_refuse is not None:
        words += f" (would refuse: {would_refuse})"
    tell_line(level, "decision", Line(words, fields, _IN_WORDS))


_IN_WORDS: Final = frozenset({"reason", "would_refuse", "admitted"})

_LEVELS: Final = {
    Reason.MISCONFIGURED: logging.ERROR,
    Reason.UNAVAILABLE: logging.WARNING,
    Reason.OUTAGE_ADMITTED: logging.WARNING,
    Reason.OVERLOADED: logging.WARNING,
    Reason.REPORT_ONLY: logging.WARNING,
}


def log_hardening(site_key: str, before: Hardening, state: Hardening, signal: str | None) -> None:
    """Tell that the state of a site has changed. `signal` is what raised the present one."""
    level = logging.WARNING if state > before else logging.INFO
    fields = {"site_key": site_key, "state": words_of(state), "signal": (signal or "").lower() or None}
    tell_line(level, "hardening", Line("hardening", fields))


def words_of(state: Hardening) -> str:
    return state.name.lower().replace("_", " ")


def _printable(word: str) -> str:
    """A provider's word: it may say anything."""
    return word[:80].encode("ascii", "backslashreplace").decode() if word.isprintable() else "?"
