"""How a refusal looks: a problem document for programs, a page in the visitor's language for people (design.md 6.2).

Which refusal it is has been decided; nothing of the request gets into its body, and into its head only an origin
that the operator listed (threats.md R34, R36). The words are in `texts.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from caputchin_gate.messages import Headers, RequestHead, Response
from caputchin_gate.origins import host_of_origin
from caputchin_gate.refusals.field_texts import FIELD_TEXTS
from caputchin_gate.refusals.texts import LANGUAGES, Language, Notice, Words
from caputchin_gate.verdict import Decision, Reason

NO_STORE: Final[Headers] = (("Cache-Control", "no-store"),)
RETRY_AFTER: Final = {429: 60, 503: 30}  # seconds, where the decision names no time
LONGEST_RETRY_AFTER: Final = 3600

# What decides about language and format. No answer is stored, but a cache that does so anyway keeps them apart.
VARY: Final = "Accept, Accept-Language, Content-Type, HX-Request, Origin, Sec-Fetch-Mode, X-Requested-With"

STYLE: Final = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--line:#e1e5ea;--link:#1d5fbf}
@media(prefers-color-scheme:dark){
:root{--paper:#12161c;--card:#1b2129;--ink:#e8ecf1;--soft:#9aa6b5;--line:#2c3541;--link:#8ab8ff}
}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--paper);color:var(--ink)}
body{font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:34rem;width:100%;padding:2.5rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.3;font-weight:650;text-wrap:balance}
p{margin:0 0 1rem;text-wrap:pretty}
a{color:var(--link)}
.soft{color:var(--soft)}
.code{margin:1.75rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8125rem}
@media(max-width:30rem){body{padding:1rem;place-items:start stretch}main{padding:1.5rem}}
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_PAGE_HEADERS: Final[Headers] = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
)
_PROBLEM_HEADERS: Final[Headers] = (("Content-Type", "application/problem+json"),)


def render(
    decision: Decision,
    head: RequestHead,
    *,
    back: str | None = None,
    allowed_origins: Collection[str] = frozenset(),
) -> Response:
    """The answer to a refused request.

    back: a constant path of the operator's that the page links to; without it the page names the Back button
    allowed_origins: host names ("shop.example") or origins ("https://shop.example") whose scripts may read the answer
    """
    status = decision.status
    if status is None:
        raise ValueError(f"{decision.reason} admits: there is no refusal to render")
    told = Told(status, _notice_of(decision.reason), decision.error_codes)
    return _answer(told, head, back, _retry_after(status, decision.retry_after), allowed_origins)


def stand_in(answer: Response, own: Response, head: RequestHead) -> Response:
    """An application's answer in place of our own: it is no more stored than ours (R38), and as readable for pages."""
    there = {name.lower() for name, _ in answer.headers}
    kept = ("cache-control", "retry-after", "access-control-")
    missing = (pair for pair in own.headers if pair[0].lower().startswith(kept) and pair[0].lower() not in there)
    body = b"" if head.method.upper() == "HEAD" else answer.body
    return Response(answer.status, (*answer.headers, *missing), body)


def unavailable(status: int, head: RequestHead) -> Response:
    """The answer where the application gives none: 502 it can't be reached or made sense of, 504 it takes too long."""
    codes = {502: "application-unreachable", 504: "application-timeout"}
    return _answer(Told(status, Notice.NO_ANSWER, (codes[status],)), head)


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says."""

    status: int
    notice: Notice
    codes: tuple[str, ...]


def _answer(
    told: Told,
    head: RequestHead,
    back: str | None = None,
    more: Headers = (),
    allowed_origins: Collection[str] = frozenset(),
) -> Response:
    tag = _language_tag(head)
    if wants_json(head):
        form, body = _PROBLEM_HEADERS, _problem(told, LANGUAGES[tag].notices[told.notice])
    else:
        form, body = _PAGE_HEADERS, _page(told, tag, LANGUAGES[tag], back)
    headers: Headers = (
        *form,
        ("Content-Language", tag),
        ("Content-Length", str(len(body))),
        *NO_STORE,
        ("Vary", VARY),
        ("X-Content-Type-Options", "nosniff"),
        *more,
        *_readable_for(head.header("origin"), allowed_origins),
    )
    return Response(told.status, headers, b"" if head.method.upper() == "HEAD" else body)


def words_of(decision: Decision, head: RequestHead) -> Words:
    """What the visitor reads about a refusal, in the visitor's language."""
    return LANGUAGES[_language_tag(head)].notices[_notice_of(decision.reason)]


def field_text_of(decision: Decision, language: str | None) -> str:
    """What stands at the field of a form that is shown again; in English where we don't speak the language."""
    tag = (language or "").partition("-")[0].lower()
    spoken = tag if tag in FIELD_TEXTS else "en"
    notice = _notice_of(decision.reason)
    return FIELD_TEXTS[spoken].get(notice, LANGUAGES[spoken].notices[notice].happened)


def _notice_of(reason: Reason) -> Notice:
    match reason:
        case Reason.TOKEN_MISSING:
            return Notice.MISSING
        case Reason.TOKEN_MALFORMED | Reason.TOKEN_REJECTED | Reason.TOKEN_ELSEWHERE | Reason.SCORE_TOO_LOW:
            return Notice.INVALID
        case Reason.TOKEN_EXPIRED | Reason.TOKEN_USED:
            return Notice.EXPIRED
        case Reason.TOKEN_AMBIGUOUS | Reason.BODY_UNREADABLE | Reason.BODY_INCOMPLETE | Reason.TARGET_AMBIGUOUS:
            return Notice.UNREADABLE
        case Reason.BODY_TOO_LARGE:
            return Notice.TOO_LARGE
        case Reason.RATE_LIMITED:
            return Notice.SLOW_DOWN
        case Reason.UNAVAILABLE | Reason.MISCONFIGURED | Reason.OVERLOADED:
            return Notice.UNAVAILABLE
        case (
            Reason.UNGUARDED
            | Reason.EXEMPT
            | Reason.VERIFIED
            | Reason.RECEIPT
            | Reason.OUTAGE_ADMITTED
            | Reason.REPORT_ONLY
        ):
            raise ValueError(f"{reason} admits: there is no refusal to render")
        case _:
            assert_never(reason)


# The two forms


def _problem(told: Told, words: Words) -> bytes:
    """A problem document (RFC 9457), with the members that siteverify clients know."""
    problem = {
        "type": f"urn:caputchin-gate:refusal:{told.notice}",
        "title": words.title,
        "status": told.status,
        "detail": words.sentences,
        "success": False,
        "error-codes": list(told.codes),
    }
    return json.dumps(problem).encode()


def _page(told: Told, tag: str, language: Language, back: str | None) -> bytes:
    from html import escape

    words = language.notices[told.notice]
    if told.notice is Notice.NO_ANSWER:  # to a page as well as to a form
        way_back = ""
    elif back is not None and is_local_path(back):
        way_back = f'<p><a href="{escape(back)}">{language.back_link}</a></p>'
    else:
        way_back = f'<p class="soft">{language.back_button}</p>'
    codes = " ".join(told.codes)
    return (
        f'<!doctype html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{words.title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{words.title}</h1>\n<p>{words.happened}</p>\n<p>{words.advice}</p>\n{way_back}\n"
        f'<p class="code">{told.status} <span lang="en">{codes}</span></p>\n</main>\n</body>\n</html>\n'
    ).encode()


# Headers


def _retry_after(status: int, seconds: float | None) -> Headers:
    if status not in RETRY_AFTER:
        return ()
    if seconds is None or not math.isfinite(seconds):
        seconds = RETRY_AFTER[status]
    return (("Retry-After", str(min(LONGEST_RETRY_AFTER, max(1, math.ceil(seconds))))),)


def _readable_for(origin: str | None, allowed: Collection[str]) -> Headers:
    """CORS for the site's own origins: without it their scripts see a network error instead of a refusal."""
    host = host_of_origin(origin)
    if origin is None or not host or not {origin, host} & set(allowed):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),  # the body is a constant, there is nothing personal to read
        ("Access-Control-Expose-Headers", "Retry-After"),
    )


def is_local_path(path: str) -> bool:
    """Whether a browser stays on this site when it follows the path (threats.md R37)."""
    return re.fullmatch(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", path) is not None


# What the client asked for

# The weight of a media type, and how exactly it was named: of two with one weight, the client wants the named one.
Rank: TypeAlias = tuple[float, int]


def wants_json(head: RequestHead) -> bool:
    """Whether a program reads the answer: it says so, it speaks JSON itself, or a script made the request."""
    json_rank, html_rank = _json_and_html(head)
    return (
        (json_rank > html_rank and json_rank[0] > 0)
        or _is_json((head.header("content-type") or "").partition(";")[0].strip().lower())
        or (head.header("x-requested-with") or "").lower() == "xmlhttprequest"
        or (head.header("hx-request") or "").lower() == "true"
        # A script that asks for HTML by name wants to show it (Turbo does); one that does not care gets JSON.
        or (head.header("sec-fetch-mode") in ("cors", "same-origin") and json_rank == html_rank)
    )


def _json_and_html(head: RequestHead) -> tuple[Rank, Rank]:
    """How much the client wants either, by the most specific range that covers it (RFC 9110 12.5.1)."""
    ranges = dict(_preferences(head, "accept")) or {"*/*": 1.0}
    anything = (ranges.get("*/*", 0.0), 0)
    some_application = (ranges["application/*"], 1) if "application/*" in ranges else anything
    some_text = (ranges["text/*"], 1) if "text/*" in ranges else anything
    json_rank = max(((quality, 2) for name, quality in ranges.items() if _is_json(name)), default=some_application)
    html_rank = (ranges["text/html"], 2) if "text/html" in ranges else some_text
    return json_rank, html_rank


def _is_json(media_type: str) -> bool:
    return media_type in ("application/json", "text/json") or media_type.endswith("+json")


def _language_tag(head: RequestHead) -> str:
    """The first language of the visitor's that we speak, by weight and then by order; else English."""
    wanted = sorted(_preferences(head, "accept-language"), key=lambda preference: -preference[1])
    spoken = (name.partition("-")[0] for name, quality in wanted if quality > 0)
    return next((tag for tag in spoken if tag in LANGUAGES), "en")


# Of longer headers only the beginning is read: a client must not choose how long that takes (threats.md R30).
MOST_PREFERENCES: Final = 64
LONGEST_PREFERENCES: Final = 2048  # characters

_QUALITY: Final = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def _preferences(head: RequestHead, name: str) -> Iterator[tuple[str, float]]:
    """The items of an Accept header with their weights; an item whose weight is no weight counts as unwanted."""
    typed = ",".join(head.headers.get(name, ()))
    if len(typed) > LONGEST_PREFERENCES:
        typed = typed[:LONGEST_PREFERENCES].rpartition(",")[0]  # without the item that was cut
    for item in typed.lower().split(",")[:MOST_PREFERENCES]:
        wanted, *parameters = (part.strip() for part in item.split(";"))
        weights = [part for part in parameters if part.partition("=")[0].strip() == "q"]
        quality = _QUALITY.fullmatch(weights[0]) if weights else None
        if wanted:
            yield wanted, float(quality[1]) if quality else 0.0 if weights else 1.0
