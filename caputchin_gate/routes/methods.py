"""Methods: which a request counts as, since applications let headers and `_method` override it, and which a rule guards
(threats.md R14).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Final
from urllib.parse import unquote_plus

from caputchin_gate.messages import RequestHead

NAMED_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "LINK", "UNLINK"}
    | {"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR", "PURGE"}
)
_UNNAMED: Final = "any other"  # stands for all methods that no rule can name
EVERY_METHOD: Final = NAMED_METHODS | {_UNNAMED}
_ALONE: Final = {method: frozenset({method}) for method in NAMED_METHODS}
CHANGING: Final = EVERY_METHOD - {"GET", "HEAD", "OPTIONS"}  # what a rule without a method guards (threats.md D1)
_BEHIND_POST: Final = frozenset({"PUT", "PATCH", "DELETE"})  # what forms reach with `_method` in their body (R14)
_OVERRIDE_HEADERS: Final = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_OVERRIDE_SPELLINGS: Final = frozenset(
    "".join(spelling) for name in _OVERRIDE_HEADERS for spelling in product(*("-_" if c == "-" else c for c in name))
)

_METHOD_PARAMETER: Final = "_method"
_SPELT: Final = re.compile("".join(f"(?:{c}|%{ord(c):02x}|%{ord(c.upper()):02x})" for c in _METHOD_PARAMETER), re.I)

# Clients choose how much there is to read about overrides (threats.md R30). More counts as overrides to every method.
LONGEST_OVERRIDE: Final = 256  # characters of all override headers, or of one name or value in the query
LONGEST_QUERY: Final = 65_536
MOST_OVERRIDES: Final = 50  # in one query
_ANY_METHOD: Final = "*"


def effective_methods(head: RequestHead) -> frozenset[str]:
    """The method, and those that some middleware in the application may take it for (threats.md R14)."""
    if _OVERRIDE_SPELLINGS.isdisjoint(head.headers) and not head.query:
        return _ALONE.get(head.method) or frozenset({method_of(head.method)})
    overrides = {*_overrides_in_headers(head), *_overrides_in_query(head.query)}
    return EVERY_METHOD if _ANY_METHOD in overrides else frozenset(map(method_of, {head.method, *overrides}))


def _overrides_in_headers(head: RequestHead) -> Iterator[str]:
    left = LONGEST_OVERRIDE
    for name, values in head.headers.items():
        if len(name) <= 22 and name.lower().replace("_", "-") in _OVERRIDE_HEADERS:
            left -= sum(map(len, values))
            if left < 0:
                yield _ANY_METHOD
                return
            yield from (word for value in values for word in value.split(",") if word.strip())


def _overrides_in_query(query: str) -> Iterator[str]:
    """The values of the parameter `_method`. Nothing is decoded but where its letters stand, in whatever spelling."""
    if len(query) > LONGEST_QUERY:
        yield _ANY_METHOD
        return
    place = 0
    for _ in range(MOST_OVERRIDES):
        spelt = _SPELT.search(query, place)
        if spelt is None:
            return
        start = 1 + max(query.rfind(separator, place, spelt.start()) for separator in "&;")
        ends = (query.find(separator, spelt.end()) for separator in "&;")
        place = min((end for end in ends if end >= 0), default=len(query))
        name, _, value = query[start:place].partition("=")
        if len(name) > LONGEST_OVERRIDE:
            yield _ANY_METHOD
        elif unquote_plus(name).strip().lower() == _METHOD_PARAMETER:
            yield unquote_plus(value) if len(value) <= LONGEST_OVERRIDE else _ANY_METHOD
    yield _ANY_METHOD


def method_of(word: str) -> str:
    method = word.strip().upper()
    return method if method in NAMED_METHODS else _UNNAMED


def guarded_by(named: frozenset[str], method_override: bool) -> frozenset[str]:
    """The methods that lead to the handlers of the named ones: frameworks run the view of GET for HEAD too."""
    behind_get = frozenset({"HEAD"}) if "GET" in named else frozenset[str]()
    behind_post = frozenset({"POST"}) if method_override and named & _BEHIND_POST else frozenset[str]()
    return named | behind_get | behind_post
