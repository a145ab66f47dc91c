"""One log event for each decision about a guarded request, and for each change of a site's state of hardening.

No token, secret, query, body or address is part of it (threats.md R35).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

from caputchin_gate.difficulty import Hardening
from caputchin_gate.verdict import Decision, Failed, Misconfigured, Passed, Reason, Unavailable

logger: Final = logging.getLogger("caputchin_gate")


def log_decision(decision: Decision) -> None:
    """Log the event `decision`; its fields are attributes of the log record. The method is a word of the client."""
    level = _level(decision)
    if not logger.isEnabledFor(level):
        return
    verdict = decision.verdict
    codes = verdict.codes if isinstance(verdict, Failed | Misconfigured | Unavailable) else ()
    method = decision.method if decision.method and re.fullmatch(r"[A-Za-z]{1,16}", decision.method) else "?"
    warning = verdict.details.get("warning") if isinstance(verdict, Passed) else None
    all_codes = (*codes, *decision.details, *((str(warning),) if warning else ()))
    event = {
        "event": "decision",
        "reason": str(decision.reason),
        "would_refuse": str(decision.would_refuse) if decision.would_refuse is not None else None,
        "admitted": decision.admitted,
        "route": decision.route,
        "provider": decision.provider,
        "method": method,
        "status": decision.status,
        "elapsed": round(decision.elapsed, 6),
        "token_digest": decision.token_digest,
        "codes": all_codes,
    }
    logger.log(
        level,
        "decision %s%s route=%r provider=%s method=%s status=%s elapsed=%.1fms token=%s codes=%s",
        decision.reason,
        f" (would refuse: {decision.would_refuse})" if decision.would_refuse is not None else "",
        decision.route,
        decision.provider,
        method,
        decision.status,
        decision.elapsed * 1000,
        decision.token_digest,
        ",".join(_printable(code) for code in all_codes),
        extra=event,
    )


def log_hardening(site_key: str, before: Hardening, state: Hardening, signal: str | None) -> None:
    """Log the event `hardening`: a site's state has changed. `signal` is what raised the present one."""
    words = words_of(state)
    event = {"event": "hardening", "site_key": site_key, "state": words, "signal": (signal or "").lower() or None}
    logger.log(
        logging.WARNING if state > before else logging.INFO,
        "hardening site=%r state=%r signal=%s",
        site_key,
        words,
        event["signal"],
        extra=event,
    )


def words_of(state: Hardening) -> str:
    return state.name.lower().replace("_", " ")


def _printable(word: str) -> str:
    """A provider's word in one line of the log: it may say anything."""
    return word[:80].encode("ascii", "backslashreplace").decode() if word.isprintable() else "?"


def _level(decision: Decision) -> int:
    match decision.reason:
        case Reason.MISCONFIGURED:
            return logging.ERROR
        case Reason.VERIFIED if isinstance(decision.verdict, Passed) and "warning" in decision.verdict.details:
            return logging.WARNING
        case Reason.UNAVAILABLE | Reason.OUTAGE_ADMITTED | Reason.OVERLOADED | Reason.REPORT_ONLY:
            return logging.WARNING
        case _:
            return logging.INFO


def place_of(failure: Exception) -> str:
    """The class of an exception and the line it came from, never its text: that may hold a token."""
    trace = failure.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return type(failure).__name__ + place
