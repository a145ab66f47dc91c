"""What can be wrong with a provider's settings, said once for every kind (threats.md R9, R29, R40).

No problem repeats a secret or an address: a mistyped one may hold a password. What only one kind has to check
stands in that kind's file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from caputchin_gate.errors import Problem, closest, nearest
from caputchin_gate.secret import Secret

LONGEST_TIMEOUT = 60.0
LEAST_SECRET = 8  # characters: the shortest that any provider hands out is longer, so it was not copied whole
_VISIBLE = re.compile(r"[!-~]+")


def secret_problems(
    secret: object, not_secrets: Mapping[str, str], is_refused_test_key: Callable[[str], bool]
) -> Iterator[Problem]:
    match secret:
        case Secret():
            text = secret.reveal()
        case _:
            text = ""
    if not text:
        yield Problem("secret", "is missing", "set it to the secret key of your account")
    elif is_refused_test_key(text):
        yield Problem("secret", "is a public test key", "use your own, or allow_test_keys = true outside production")
    elif len(text) < LEAST_SECRET:
        yield Problem("secret", f"is shorter than {LEAST_SECRET} characters", "copy it again")
    elif not _VISIBLE.fullmatch(text):
        yield Problem("secret", "holds blanks, line ends or other characters no key has", "copy it again")
    else:
        for prefix, name in not_secrets.items():
            if text.startswith(prefix):
                yield Problem("secret", f"is {name} ({prefix}...)", "use the secret key")


def secret_warnings(secret: object, shape: re.Pattern[str], hint: str) -> Iterator[str]:
    if not isinstance(secret, Secret) or not secret:
        return
    if hint and not shape.fullmatch(secret.reveal()):
        yield f"secret does not look like one of this provider, {hint}"


def endpoint_problems(endpoint: object, names: Mapping[str, str], *, allow_http: bool) -> Iterator[Problem]:
    match endpoint:
        case "" if not names:
            yield Problem("endpoint", "is missing", "set it to the URL of your own instance")
        case "":
            pass
        case str() if endpoint in names:
            yield from _address_problems(names[endpoint], allow_http=allow_http)
        case str() if "/" not in endpoint and ":" not in endpoint:
            # Not shown unless it is nearly a name: it may be a secret that was pasted into the wrong line.
            shown = f" {endpoint!r}" if closest(endpoint, names) else ""
            yield Problem("endpoint", f"unknown name{shown}", nearest(endpoint, names) if names else "use a URL")
        case str():
            yield from _address_problems(endpoint, allow_http=allow_http)
        case _:
            yield Problem("endpoint", "is not text", "use a name or a URL")


def _address_problems(url: str, *, allow_http: bool) -> Iterator[Problem]:
    parts = _split(url)
    if parts is None:
        yield Problem("endpoint", "is not a URL", "write it like https://host/path, in ASCII")
        return
    if parts.scheme not in ("https", "http"):
        yield Problem("endpoint", f"has the scheme {parts.scheme!r}", "use https")
    if "@" in parts.netloc:
        yield Problem("endpoint", "holds a user name or a password", "remove it")
    if parts.query:
        yield Problem("endpoint", "has a query string", "remove it: what is sent stands in the body")
    if parts.fragment:
        yield Problem("endpoint", "has a fragment", "remove the part from '#' on")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        yield Problem(
            "endpoint", "is http, where anybody on the way can read the secret", "use https, or set allow_http = true"
        )


def endpoint_warnings(url: str) -> Iterator[str]:
    parts = _split(url)
    if parts is not None and parts.scheme == "http" and not _is_loopback(parts.hostname):
        yield "endpoint is http: secret and tokens travel unencrypted"


def _split(url: str) -> SplitResult | None:
    if not _VISIBLE.fullmatch(url) or "\\" in url:  # urlsplit removes line ends in silence
        return None
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a broken port or address
        return None
    return parts if usable else None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def timeout_problems(timeout: object) -> Iterator[Problem]:
    match timeout:
        case bool():
            pass
        case int() | float() if math.isfinite(timeout) and 0 < timeout <= LONGEST_TIMEOUT:
            return
    yield Problem("timeout", "is not a time", f"use seconds, more than 0 and at most {LONGEST_TIMEOUT:g}")


def token_field_problems(token_field: object) -> Iterator[Problem]:
    if not isinstance(token_field, str) or not _VISIBLE.fullmatch(token_field):
        yield Problem("token_field", "is not the name of a form field", "leave it out for the provider's own")


def site_key_problems(
    site_key: object, secret: object, not_site_keys: Mapping[str, str], test_keys: frozenset[str], *, is_needed: bool
) -> Iterator[Problem]:
    if not isinstance(site_key, str) or not re.fullmatch(r"[!-~]*", site_key):
        yield Problem("site_key", "is not the key of a site", "copy it again")
    elif is_needed and not site_key:
        yield Problem("site_key", "is missing", "set it to the public key of the site, as its pages name it")
    elif site_key and isinstance(secret, Secret) and site_key == secret.reveal():
        yield Problem("site_key", "is the secret, and pages would show it", "use the public key")
    elif site_key in test_keys:
        yield Problem("site_key", "is a public test key", "use your own, or allow_test_keys = true outside production")
    else:
        for prefix, name in not_site_keys.items():
            if site_key.startswith(prefix):
                yield Problem("site_key", f"is {name} ({prefix}...), and pages would show it", "use the public key")


def attempts_problems(attempts: object, most: int) -> Iterator[Problem]:
    match attempts:
        case bool():
            pass
        case int() if 1 <= attempts <= most:
            return
    fix = "leave it out: asking spends the token" if most == 1 else f"use 1 to {most}"
    yield Problem("attempts", "is not a number of attempts that this provider allows", fix)
