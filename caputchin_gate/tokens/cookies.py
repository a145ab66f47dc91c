"""The cookies of a request, as they were sent (RFC 6265 4.2): nothing is unquoted or decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

MOST_COOKIES: Final = 1000  # browsers keep fewer than 200 for a site


def cookies(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and value of each cookie in all Cookie headers, in their order; what has no `=` is none.

    Of more than browsers send none is read: one that was left out could be a second token (threats.md R20, R30).
    """
    pairs = ";".join(headers).split(";", MOST_COOKIES)
    if len(pairs) > MOST_COOKIES:
        return
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if equals:
            yield name.strip(" \t"), value.strip(" \t")
