"""Requests to a provider, serialised and never put together from text (threats.md R9).

The agent holds no URL and no name of a library: some providers refuse those (gotcha.md 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from caputchin_gate.messages import Headers, HttpRequest


def json_request(url: str, fields: Mapping[str, Any], headers: Headers = ()) -> HttpRequest:
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return HttpRequest(url, body, (("Content-Type", "application/json"), *_common_headers(), *headers))


def form_request(url: str, fields: Mapping[str, str], headers: Headers = ()) -> HttpRequest:
    body = urlencode(fields).encode("ascii")
    form = ("Content-Type", "application/x-www-form-urlencoded")
    return HttpRequest(url, body, (form, *_common_headers(), *headers))


def query_request(url: str, fields: Mapping[str, str]) -> HttpRequest:
    """For the provider that reads nothing else: it puts the secret where others log it, so nothing here may (R35)."""
    return HttpRequest(url, b"", _common_headers(), method="GET", query=urlencode(fields))


@cache
def _common_headers() -> Headers:
    from caputchin_gate import __version__

    return (("Accept", "application/json"), ("User-Agent", f"caputchin-gate/{__version__}"))


def address_text(address: str | None) -> str | None:
    """A visitor's address as a provider can read it, None when it isn't one."""
    try:
        return str(ip_address(address)) if address else None
    except ValueError:
        return None


def email_domain(email: str | None) -> str | None:
    """The domain of an e-mail address, in lower case: never the address itself (procaptcha.md 2)."""
    domain = (email or "").rpartition("@")[2].strip().lower()
    return domain if domain and domain.isprintable() and " " not in domain else None
