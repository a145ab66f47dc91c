"""The cookies of a request, as they were sent (RFC 6265 4.2): nothing is unquoted or decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def cookies(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and value of each cookie in all Cookie headers, in their order; what has no `=` is none."""
    for header in headers:
        for pair in header.split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                yield name.strip(" \t"), value.strip(" \t")
