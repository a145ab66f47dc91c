"""Every setting, described once: its name, how its value is read, its default, and what it is for.

`config.py` reads values with these tables, whether they come from gate.toml, a dict or keyword arguments. A reader
raises `Wrong` for a value it can't use; the value itself never appears in a message, it might be a secret.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from caputchin_gate import addresses, durations
from caputchin_gate.addresses import Address
from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.difficulty import GREATEST_CAP, GREATEST_MULTIPLIER, Multipliers
from caputchin_gate.endpoints.caputchin_files import BESIDE, WIDGET
from caputchin_gate.endpoints.sites import Status
from caputchin_gate.endpoints.siteverify.paths import DIALECTS
from caputchin_gate.engines import LONGEST_LIFETIME, LONGEST_REDEEMED
from caputchin_gate.engines.altcha import ALGORITHMS
from caputchin_gate.engines.cap import LEAST_SALT, MOST_PUZZLES, MOST_SALT, MULTIPLIERS
from caputchin_gate.engines.native import LEAST_SIGNING_KEY
from caputchin_gate.errors import ConfigurationError, closest, nearest
from caputchin_gate.forward_auth import FRONT_PROXIES
from caputchin_gate.hardening import Rising, Thresholds
from caputchin_gate.origins import host_name, meant_by
from caputchin_gate.refusals import is_local_path
from caputchin_gate.secret import Secret
from caputchin_gate.stores import open_store
from caputchin_gate.tokens import Places, Source
from caputchin_gate.traffic import Watch

LEAST_SITE_SECRET: Final = 16  # characters; the verify endpoint lets everybody guess

LEAST_VERIFYING_SECRET: Final = 8


class Wrong(Exception):
    """A value that can't be used: what is wrong with it, and the fix."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


Reader = Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: `read` turns what was typed into what is used; `default` is used as it stands."""

    read: Reader
    default: Any
    purpose: str
    example: str


# Readers


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong("is neither true nor false")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Wrong("is not a text")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts; one alone need not be in brackets."""
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise Wrong("is not a list of texts")
    return tuple(text(item) for item in value)


def number(low: float, high: float) -> Reader:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Wrong(f"is not a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong(f"is not a whole number from {low} to {high}")
        return value

    return read


def duration(low: float, high: float) -> Reader:
    def read(value: object) -> float:
        if isinstance(value, int | float) and value < 0:
            raise Wrong("is negative")
        try:
            seconds = durations.seconds(value)
        except ValueError:
            raise Wrong("is not a duration", 'write it like "5s", "250ms" or "2m"') from None
        if not low <= seconds <= high:
            raise Wrong(f"is not a duration from {low:g} to {high:g} seconds")
        return seconds

    return read


def size(low: int = 1, high: int | None = None) -> Reader:
    def read(value: object) -> int:
        try:
            octets = durations.size(value)
        except ValueError:
            raise Wrong("is not a size", 'write it like "64KiB" or "16MiB"') from None
        if octets < low:
            raise Wrong(f"is smaller than {low} bytes")
        if high is not None and octets > high:
            raise Wrong(f"is larger than {high} bytes")
        return octets

    return read


def choice(*options: str) -> Reader:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            meant = closest(str(value), options)
            raise Wrong(f"is not one of {', '.join(options)}", f"did you mean {meant!r}?" if meant else "")
        return value

    return read


def secret(value: object) -> Secret:
    """A literal text, or a table that names an environment variable or a file."""
    found = _secret(value)
    if not found:
        raise Wrong("is empty")
    return found


def _secret(value: object) -> Secret:
    match value:
        case Secret():
            return value
        case str():
            return Secret(value)
        case {"env": str() as name, **rest} if not rest:
            if name not in os.environ:
                raise Wrong(f"the environment variable {name} is not set", f"export {name}=...")
            return Secret(os.environ[name])
        case {"file": str() as name, **rest} if not rest:
            try:
                return Secret(Path(name).read_text().strip())
            except (OSError, ValueError) as failure:
                raise Wrong(f"the file {name} can't be read ({type(failure).__name__})") from None
        case _:
            raise Wrong('is neither a text nor { env = "NAME" } nor { file = "PATH" }')


def secrets(value: object) -> tuple[Secret, ...]:
    """One secret or several: during a rotation the first signs, all verify."""
    return tuple(secret(item) for item in value) if isinstance(value, list | tuple) else (secret(value),)


def verifying_secret(value: object) -> Secret:
    """The secret of another's signatures: with an empty one anybody could make them."""
    found = secret(value)
    if len(found) < LEAST_VERIFYING_SECRET:
        raise Wrong(f"is shorter than {LEAST_VERIFYING_SECRET} characters", "copy the secret again")
    return found


def site_secrets(value: object) -> tuple[Secret, ...]:
    found = secrets(value)
    if any(len(one) < LEAST_SITE_SECRET for one in found):
        fix = "python -c 'import secrets; print(secrets.token_urlsafe(24))' makes one"
        raise Wrong(f"is shorter than {LEAST_SITE_SECRET} characters", fix)
    return found


def signing_key(value: object) -> Secret:
    found = secret(value)
    if len(found) < LEAST_SIGNING_KEY:
        fix = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        raise Wrong(f"is shorter than {LEAST_SIGNING_KEY} characters", fix)
    return found


def signing_keys(value: object) -> tuple[Secret, ...]:
    return tuple(map(signing_key, secrets(value)))


def store(value: object) -> str | Secret:
    """The name of a store, or its URL, which is kept as a secret: it can hold a password. It is not opened."""
    setting = text(value)
    try:
        open_store(setting)
    except ConfigurationError as failure:
        first = failure.problems[0]
        raise Wrong(first.what, first.fix) from None
    return Secret(setting) if "@" in setting else setting


def networks(value: object) -> tuple[str, ...]:
    """Address ranges in CIDR notation, or "unix" for peers that have no address."""
    named = texts(value)
    try:
        TrustedProxies(named)
    except ConfigurationError as failure:
        first = failure.problems[0]
        raise Wrong(first.what, first.fix) from None
    return named


def sources(value: object) -> frozenset[Source]:
    named = texts(value)
    for name in named:
        if name not in set(Source):
            raise Wrong(f"{name!r} is no place of a token", nearest(name, map(str, Source)))
    if not named:
        raise Wrong("is empty")
    return frozenset(map(Source, named))


def hosts(value: object) -> tuple[str, ...]:
    """Host names as browsers send them: compared with anything else, a page would never match."""
    named = []
    for typed in texts(value):
        host = host_name(typed)
        if host is None:
            meant = meant_by(typed)
            fix = f'write it as browsers send it: "{meant}"' if meant else 'write it like "shop.example"'
            raise Wrong(f"{typed!r} is not a host name", fix)
        named.append(host)
    return tuple(named)


def dialects(value: object) -> frozenset[str]:
    named = texts(value)
    for name in named:
        if name not in DIALECTS:
            raise Wrong(f"{name!r} is no dialect of siteverify", nearest(name, DIALECTS))
    return frozenset(named)


def status(value: object) -> Status:
    return Status(choice(*map(str, Status))(value))


def on_refuse(value: object) -> str:
    """ "respond", "pass", or "redirect:" and a path of this site (threats.md R37); a redirect is kept as its path."""
    typed = text(value)
    if typed in ("respond", "pass"):
        return typed
    path = typed.removeprefix("redirect:")
    if path == typed or not is_local_path(path):
        raise Wrong(
            'is neither "respond" nor "pass" nor "redirect:" and a path', 'write it like "redirect:/contact?again=1"'
        )
    return path


def local_path(value: object) -> str:
    path = text(value)
    if not is_local_path(path):
        raise Wrong("is not a path of this site", 'write it like "/contact"')
    return path


def mount(value: object) -> str:
    path = text(value)
    if not re.fullmatch(r"(/\.?[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+", path):
        raise Wrong("is not a plain path", 'write it like "/.caputchin", without a slash at the end')
    return path


def public_origin(value: object) -> str:
    """The place of a site as browsers see it, with the path below which the application is mounted, if any. It is
    written into a script, so nothing but plain characters.
    """
    typed = text(value)
    host = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    if not re.fullmatch(rf"https?://{host}(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*", typed):
        raise Wrong("is not the origin of a site", 'write it like "https://shop.example", without a slash at the end')
    return typed


def widget_bundle(value: object) -> Mapping[str, bytes]:
    """The file of a widget, and those that it looks for beside itself, by name. They are read here and now."""
    path = Path(text(value))
    files = {WIDGET: _content_of(path)}
    beside = ((name, path.with_name(name)) for name in BESIDE)
    return {**files, **{name: _content_of(other) for name, other in beside if other.exists()}}


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as failure:
        raise Wrong(f"the file {path.name} can't be read ({type(failure).__name__})") from None


def json_pointer(value: object) -> str:
    try:
        Places((), json_pointer=text(value))
    except ConfigurationError as failure:
        raise Wrong(failure.problems[0].what, failure.problems[0].fix) from None
    return text(value)


def _three(value: object) -> list[object]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise Wrong("is not a list of three", "write one for suspicious, one for under attack, one for critical")
    return list(value)


def multipliers(value: object) -> Multipliers:
    three = [number(1, GREATEST_MULTIPLIER)(item) for item in _three(value)]
    try:
        return Multipliers(*three)
    except ConfigurationError as failure:
        first = failure.problems[0]
        raise Wrong(first.what, first.fix) from None


def thresholds(high: float) -> Reader:
    """Three numbers above 0 that rise. `false` switches a signal off: then they are infinite."""

    def read(value: object) -> Rising:
        if value is False:
            return math.inf, math.inf, math.inf
        first, second, third = (number(0, high)(item) for item in _three(value))
        if not 0 < first <= second <= third:
            raise Wrong("do not rise from above 0", "or write false to switch it off")
        return first, second, third

    return read


def windows(value: object) -> Rising:
    first, second, third = (duration(1, 86400)(item) for item in _three(value))
    return first, second, third


def as_numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise Wrong("is not a list of AS numbers")
    return tuple(whole(1, 2**32 - 1)(item) for item in value)


def squarings(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else whole(10_000, 300_000)(value)


def receipt(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else duration(10, LONGEST_LIFETIME)(value)


def address(value: object) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, colon, port = text(value).rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise Wrong("names no port", 'write it like "127.0.0.1:8080" or "[::1]:8080"')
    if not host.strip("[]") or (":" in host and not bracketed):
        raise Wrong("is no host and port", 'write it like "127.0.0.1:8080" or "[::1]:8080"')
    return host.strip("[]") if bracketed else host, int(port)


def listening(value: object) -> tuple[Address, ...]:
    """Hosts and ports, or Unix sockets: one, or a list of them."""
    found = tuple(one_listening(typed) for typed in texts(value))
    if not found:
        raise Wrong("is empty")
    return found


def one_listening(value: object) -> Address:
    path = addresses.socket_path(text(value))
    return Address(*address(value)) if path is None else Address(path=path)


def upstreams(value: object) -> tuple[Address, ...]:
    found = tuple(addresses.upstream(typed) for typed in texts(value))
    known = tuple(address for address in found if address is not None)
    if not found or len(known) < len(found):
        raise Wrong(
            "is no address of an application",
            'write it like "http://127.0.0.1:8000", "https://app.internal" or "unix:/run/app.sock"',
        )
    return known


def anything(value: object) -> object:
    return value


# The tables

_OUTAGE = choice("refuse", "admit")

ROUTE: Final[Mapping[str, Setting]] = {
    "match": Setting(text, None, "Methods and path pattern that are guarded.", '"POST /signup"'),
    "provider": Setting(texts, None, "Names of the providers whose tokens are accepted.", '["caputchin", "old"]'),
    "on_outage": Setting(_OUTAGE, None, "What an unavailable verification becomes.", '"admit"'),
    "token_from": Setting(sources, None, "The places where a token is looked for.", '["form", "json", "header"]'),
    "json_pointer": Setting(json_pointer, None, "Where in a JSON body the token stands.", '"/captcha/token"'),
    "max_body": Setting(size(), None, "How much of a body is kept before the decision.", '"64MiB"'),
    "max_memory": Setting(size(1024), None, "How much of that is kept in memory, the rest on disk.", '"1MiB"'),
    "hostnames": Setting(texts, (), "The hosts a token may have been solved on.", '["shop.example"]'),
    "action": Setting(text, None, "The action a token must have been solved for.", '"signup"'),
    "min_score": Setting(number(0, 1), None, "The least score that is accepted.", "0.5"),
    "max_score": Setting(number(0, 1), None, "The highest score that is accepted.", "0.8"),
    "max_age": Setting(duration(1, 86400), None, "How old a solved token may be.", '"2m"'),
    "method_override": Setting(
        flag, True, "Whether a rule for PUT, PATCH or DELETE also guards POST on its path.", "false"
    ),
    "back": Setting(local_path, None, "Where the page of a refusal links back to.", '"/contact"'),
    "on_refuse": Setting(on_refuse, None, "What a refusal becomes.", '"redirect:/contact?captcha=failed"'),
    "receipt": Setting(
        receipt, None, "How long an admitted submission may be corrected without a new token; 0 is never.", '"2m"'
    ),
    "receipt_uses": Setting(whole(1, 10), None, "How many submissions one receipt admits.", "3"),
}

SITE: Final[Mapping[str, Setting]] = {
    "site_key": Setting(text, None, "The public key that pages name.", '"cpt_pub_site"'),
    "secret": Setting(site_secrets, (), "Lets another back end verify tokens of this site.", '{ env = "SITE_SECRET" }'),
    "domains": Setting(hosts, (), "The hosts whose pages may ask for challenges; none means any.", '["shop.example"]'),
    "actions": Setting(texts, (), "The actions its pages name, so that siteverify can tell them.", '["signup"]'),
    "dialects": Setting(
        dialects, None, "The dialects of siteverify that its secret is good for; all by default.", '["turnstile"]'
    ),
    "v3": Setting(flag, False, "Whether siteverify tells a score, as version 3 of reCAPTCHA does.", "true"),
    "score": Setting(number(0, 1), 0.7, "The score it then tells, a constant.", "0.9"),
    "quota": Setting(whole(1, 10**9), None, "Tokens that may be verified in a calendar month (UTC).", "10000"),
    "over_quota": Setting(
        choice("serve", "refuse"),
        "serve",
        "Whether a site past its quota is served and told so, or gets no more challenges.",
        '"refuse"',
    ),
    "status": Setting(
        status, Status.ACTIVE, "Whether it is served: active, suspended, deactivated or inactive.", '"suspended"'
    ),
}

_WATCH: Final = Watch()
_USUAL: Final = Thresholds()

IN_PROCESS: Final[Mapping[str, Setting]] = {
    "mount": Setting(mount, "/.caputchin", "The prefix of the gate's own paths.", '"/.caputchin"'),
    "signing_key": Setting(
        signing_keys, (), "Signs challenges; else created once in the store.", '{ env = "GATE_SIGNING_KEY" }'
    ),
    "client_binding": Setting(
        choice("off", "if-known", "require"),
        "if-known",
        "Whether a challenge may be solved for one client network and sent by another.",
        '"require"',
    ),
    "challenges_per_minute": Setting(whole(10, GREATEST_CAP), 100, "The cap for one client network.", "100"),
    "challenges_per_minute_in_all": Setting(
        whole(100, 10_000_000), _WATCH.most_in_all, "The cap for all clients and sites together.", "600000"
    ),
    "verifications_per_minute": Setting(whole(10, 10**6), 600, "Calls of siteverify by one client network.", "600"),
    "wrong_secrets_per_minute": Setting(
        whole(1, 10**6), 60, "How many of them may be with a secret that is none.", "60"
    ),
    "ipv6_prefix": Setting(whole(48, 64), 64, "How many bits of an IPv6 address stand for a client network.", "56"),
    "lifetime": Setting(duration(10, LONGEST_LIFETIME), 120.0, "How long a challenge lives.", '"2m"'),
    "hardening": Setting(anything, {}, "How challenges get harder when a site is attacked.", "{ enabled = false }"),
    "cap": Setting(anything, {}, "How Cap's challenges are.", "{ puzzles = 80 }"),
    "altcha": Setting(anything, {}, "How ALTCHA's challenges are.", '{ algorithm = "PBKDF2/SHA-256" }'),
    "caputchin": Setting(
        anything, {}, "Where pages get Caputchin's own widget.", '{ widget = "/var/lib/myapp/widget.js" }'
    ),
    "sites": Setting(
        anything,
        (),
        "The sites that challenges are issued for; by default one that needs no key.",
        '[{ site_key = "shop" }]',
    ),
}

# Well-known networks of machines for rent: a beginning, not a list of all.
_DATACENTERS: Final = (
    *(14618, 16509),  # Amazon
    396982,  # Google Cloud
    8075,  # Microsoft
    31898,  # Oracle
    45102,  # Alibaba
    132203,  # Tencent
    14061,  # DigitalOcean
    16276,  # OVHcloud
    24940,  # Hetzner
    63949,  # Linode (Akamai)
    20473,  # Vultr
    12876,  # Scaleway
    51167,  # Contabo
    60781,  # Leaseweb
)

_SHARES: Final = thresholds(1)

HARDENING: Final[Mapping[str, Setting]] = {
    "enabled": Setting(flag, _WATCH.hardens, "Whether challenges get harder at all.", "false"),
    "multipliers": Setting(
        multipliers, Multipliers(), "How many times the work each state asks for, from 1 to 16.", "[1.5, 4, 16]"
    ),
    "sticky": Setting(windows, _USUAL.sticky, "How long each state holds on.", '["5m", "5m", "10m"]'),
    "spike": Setting(
        thresholds(1e6), _USUAL.spike, "How many times the usual number of challenges in a minute.", "[3, 8, 20]"
    ),
    "failed": Setting(_SHARES, _USUAL.failed, "The share of wrong tokens in a minute.", "[0.3, 0.6, 0.85]"),
    "datacenters": Setting(
        _SHARES, _USUAL.datacenters, "The share of challenges in a minute that go to datacenters.", "[0.5, 0.7, 0.9]"
    ),
    "reputation": Setting(
        _SHARES,
        _USUAL.reputation,
        "The share of challenges in a minute that go to networks of bad reputation.",
        "[0.5, 0.7, 0.9]",
    ),
    "least_challenges": Setting(
        whole(1, 10_000_000), _USUAL.least_challenges, "With fewer in a minute, challenges raise nothing.", "60"
    ),
    "least_verifications": Setting(
        whole(1, 10_000_000), _USUAL.least_verifications, "With fewer in a minute, wrong tokens raise nothing.", "50"
    ),
    "known_after": Setting(
        duration(60, 3600), _USUAL.known_after, "How long a site is watched before a number is usual.", '"5m"'
    ),
    "bad_after": Setting(
        whole(0, 1_000_000),
        _WATCH.bad_after,
        "How many wrong tokens give a network a bad reputation; 0 is never.",
        "20",
    ),
    "bad_for": Setting(
        duration(60, 86400), _WATCH.remembered, "For how long wrong tokens are counted together.", '"24h"'
    ),
    "asn_database": Setting(
        text, None, "Tells the AS number of an address: a file in MaxMind's format.", '"/var/lib/GeoLite2-ASN.mmdb"'
    ),
    "datacenter_asns": Setting(
        as_numbers, _DATACENTERS, "The AS numbers of datacenters, in place of the default ones.", "[16509, 24940]"
    ),
}

CAP: Final[Mapping[str, Setting]] = {
    "format": Setting(whole(1, 2), 1, "The form of challenges: 1 for all widgets, 2 where squarings are wanted.", "2"),
    "puzzles": Setting(whole(0, MOST_PUZZLES), 50, "How many numbers have to be found.", "80"),
    "difficulty": Setting(whole(1, 8), 4, "Each takes 16 to the power of this many hashes, on average.", "5"),
    "salt_length": Setting(
        whole(LEAST_SALT, MOST_SALT), 32, "Characters that stand before each number when it is hashed.", "32"
    ),
    "squarings": Setting(
        squarings, 0, "Steps of work that can't be shared among processors, 10000 to 300000; 0 is none.", "75000"
    ),
    "lifetime": Setting(duration(60, 900), 600.0, "How long a challenge lives.", '"15m"'),
    "token_lifetime": Setting(
        duration(60, LONGEST_REDEEMED), 1200.0, "How long the token for a solution lives.", '"2h"'
    ),
    "multipliers": Setting(
        multipliers,
        MULTIPLIERS,
        "How many times the puzzles each state of hardening asks for, from 1 to 16.",
        "[1, 2, 4]",
    ),
}

ALTCHA: Final[Mapping[str, Setting]] = {
    "algorithm": Setting(
        choice(*ALGORITHMS),
        ALGORITHMS[0],
        "What a challenge asks for: v1/... suits every version of the widget, the others 3.0 and later.",
        '"PBKDF2/SHA-256"',
    ),
    "sentinel_secret": Setting(
        verifying_secret,
        None,
        "Accepts the verifications of a Sentinel too, without asking it.",
        '{ env = "SENTINEL_SECRET" }',
    ),
}

CAPUTCHIN: Final[Mapping[str, Setting]] = {
    "widget": Setting(
        widget_bundle, None, "Your copy of the widget's script, for the gate to serve.", '"/var/lib/myapp/widget.js"'
    ),
    "public_origin": Setting(
        public_origin,
        None,
        "The gate's origin, for pages on others; with the path below which the application is mounted, if any.",
        '"https://shop.example"',
    ),
}

LIMITS: Final[Mapping[str, Setting]] = {
    "kept_bytes": Setting(size(65536), 256 * 2**20, "Memory for bodies, over all requests.", '"256MiB"'),
    "verifications": Setting(whole(1, 10_000), 256, "Calls to providers at once; more are refused.", "256"),
    "submissions_per_minute": Setting(
        whole(1, 10**6), None, "Guarded submissions by one client network; no limit by default.", "20"
    ),
    "body_timeout": Setting(duration(1, 3600), 30.0, "How long a body may stall before the decision.", '"30s"'),
    "head_bytes": Setting(size(1024), 32 * 1024, "The longest head of a request (sidecar).", '"32KiB"'),
    "head_fields": Setting(whole(10, 1000), 100, "The most header fields of a request (sidecar).", "100"),
    "target_bytes": Setting(size(256, 8192), 8192, "The longest path with its query (sidecar).", '"8KiB"'),
    "connections": Setting(
        whole(1, 1_000_000), 10_000, "Open connections of clients, in each worker (sidecar).", "10_000"
    ),
    "connections_per_client": Setting(
        whole(1, 1_000_000), 1000, "Of these, those of one client network (sidecar).", "200"
    ),
}

SIDECAR: Final[Mapping[str, Setting]] = {
    "listen": Setting(
        listening, (Address("127.0.0.1", 8080),), "Where clients connect; a list for several places.", '"0.0.0.0:80"'
    ),
    "upstream": Setting(upstreams, (), "The application; a list for several instances of it.", '"unix:/run/app.sock"'),
    "allow_http": Setting(flag, False, "Whether the way to an upstream on another machine may be plain http.", "true"),
    "upstream_ca": Setting(
        text,
        None,
        "The authority that signed the certificate of an https upstream.",
        '"/etc/ssl/certs/ca-certificates.crt"',
    ),
    "tls": Setting(
        anything,
        {},
        "The certificate and its key, for https.",
        '{ certificate = "fullchain.pem", key = "privkey.pem" }',
    ),
    "admin": Setting(
        one_listening, None, "Where health, metrics and the dashboard are; off without it.", '"127.0.0.1:9090"'
    ),
    "workers": Setting(whole(1, 256), 1, "How many processes share the work.", "2"),
    "websockets": Setting(flag, True, "Whether WebSockets pass, on paths that no rule guards.", "false"),
    "log_format": Setting(
        choice("auto", "text", "json"),
        "auto",
        "The lines of the log; auto is text on a terminal, and JSON elsewhere.",
        '"json"',
    ),
    "sign_verdicts": Setting(
        signing_key, None, "Signs what the application is told about the decision.", '{ env = "GATE_VERDICT_KEY" }'
    ),
    "timeouts": Setting(anything, {}, "How long anything may take.", '{ response = "2m" }'),
}

SIDECAR_TLS: Final[Mapping[str, Setting]] = {
    "certificate": Setting(text, None, "The certificate and those of its issuers, PEM.", '"/etc/gate/fullchain.pem"'),
    "key": Setting(text, None, "Its private key, PEM, without a passphrase.", '"/etc/gate/privkey.pem"'),
}

SIDECAR_TIMEOUTS: Final[Mapping[str, Setting]] = {
    "connect": Setting(duration(0.05, 60), 5.0, "Until a connection to the application is there.", '"5s"'),
    "head": Setting(duration(0.1, 300), 10.0, "Until the head of a request is complete.", '"10s"'),
    "body_rate": Setting(size(), 1024, "Bytes a second that a body keeps as a whole.", '"1KiB"'),
    "response": Setting(
        duration(0.1, 3600), 60.0, "Until the application begins to answer, or takes more of a body.", '"60s"'
    ),
    "total": Setting(duration(1, 86400), 3600.0, "From the head of a request to the first byte of its answer.", '"1h"'),
    "silence": Setting(
        duration(1, 86400), 3600.0, "How long an answer that has begun, or a WebSocket, may be silent.", '"1h"'
    ),
    "idle": Setting(duration(0.1, 3600), 60.0, "How long a connection is kept for its next request.", '"60s"'),
    "upstream_idle": Setting(
        duration(0, 3600), 4.0, "How long a connection to the application is kept; less than it keeps its own.", '"4s"'
    ),
    "drain": Setting(duration(0, 3600), 30.0, "What requests in flight get when the sidecar ends.", '"30s"'),
}

TOP: Final[Mapping[str, Setting]] = {
    "protect": Setting(anything, (), "The guarded routes, short form.", '["POST /contact"]'),
    "exempt": Setting(texts, (), "Paths that are taken out again.", '["POST /webhooks/{name}"]'),
    "on_outage": Setting(_OUTAGE, "refuse", "What an unavailable verification becomes.", '"refuse"'),
    "mode": Setting(choice("enforce", "report"), "enforce", "Whether refusals happen or are only logged.", '"report"'),
    "trusted_proxies": Setting(networks, (), "Peers whose forwarding header is believed.", '["10.0.0.0/8"]'),
    "forwarded_header": Setting(
        choice("x-forwarded-for", "forwarded", "x-real-ip"),
        "x-forwarded-for",
        "The one header that names the client.",
        '"forwarded"',
    ),
    "forward_auth": Setting(
        choice(*FRONT_PROXIES), None, "The kind of front proxy that asks before it passes a request on.", '"nginx"'
    ),
    "store": Setting(store, "sqlite", "Where single use is remembered.", '"sqlite:///var/lib/gate.db"'),
    "allow_test_keys": Setting(flag, False, "Accept the providers' public test keys.", "true"),
    "token_from": ROUTE["token_from"],
    "max_body": ROUTE["max_body"],
    "max_memory": ROUTE["max_memory"],
    "back": ROUTE["back"],
    "on_refuse": ROUTE["on_refuse"],
    "receipt": ROUTE["receipt"],
    "receipt_uses": ROUTE["receipt_uses"],
    "provider": Setting(anything, None, "The default provider, a table.", '{ kind = "caputchin" }'),
    "providers": Setting(anything, {}, "Further providers, tables by name.", '{ old = { kind = "procaptcha" } }'),
    "route": Setting(anything, (), "The guarded routes, long form.", '[{ match = "POST /signup" }]'),
    "in_process": Setting(anything, {}, "How the gate's own challenges behave.", '{ client_binding = "off" }'),
    "limits": Setting(anything, {}, "What the gate spends at most.", "{ verifications = 256 }"),
    "sidecar": Setting(anything, {}, "The gate's own servers.", '{ upstream = "http://127.0.0.1:8000" }'),
}
