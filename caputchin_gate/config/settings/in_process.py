"""[in_process]: how the gate's own challenges behave, the sites they are for, and what each protocol needs beyond."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from caputchin_gate.config.settings.hardening import HARDENING, multipliers
from caputchin_gate.config.settings.plain import TEXT, choice, duration, flag, number, one_or_more, text, texts, whole
from caputchin_gate.config.settings.reading import Setting, TableOf, TablesOf, Wrong, reads
from caputchin_gate.config.settings.secrets import signing_keys, site_secrets, verifying_secret, why_unreadable
from caputchin_gate.difficulty import GREATEST_CAP
from caputchin_gate.endpoints.caputchin_files import BESIDE, WIDGET
from caputchin_gate.engines import LONGEST_LIFETIME, LONGEST_REDEEMED
from caputchin_gate.engines.altcha import ALGORITHMS
from caputchin_gate.engines.cap_work import LEAST_SALT, MOST_PUZZLES, MOST_SALT, MULTIPLIERS
from caputchin_gate.errors import nearest
from caputchin_gate.origins import host_name, meant_by
from caputchin_gate.site_terms import DIALECTS, Status
from caputchin_gate.traffic import Watch

_SQUARINGS: Final = whole(10_000, 300_000)
_STATUS: Final = choice(*map(str, Status))
_PLAIN_PATH: Final = r"^(/\.?[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+$"
_ORIGIN: Final = r"^https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*$"


@reads({"type": "string", "pattern": _PLAIN_PATH})
def mount(value: object) -> str:
    path = text(value)
    if not re.fullmatch(_PLAIN_PATH[1:-1], path):
        raise Wrong("is not a plain path", 'write it like "/.caputchin", without a slash at the end')
    return path


@reads(one_or_more(TEXT))
def hosts(value: object) -> tuple[str, ...]:
    """Host names as browsers send them: compared with anything else, a page would never match."""
    named = []
    for typed in texts(value):
        host = host_name(typed)
        if host is None:
            meant = meant_by(typed)
            fix = f'write it as browsers send it: "{meant}"' if meant else 'write it like "shop.example"'
            raise Wrong("is not a host name", fix, typed)
        named.append(host)
    return tuple(named)


@reads(one_or_more({"enum": list(DIALECTS)}))
def dialects(value: object) -> frozenset[str]:
    named = texts(value)
    for name in named:
        if name not in DIALECTS:
            raise Wrong("is no dialect of siteverify", nearest(name, DIALECTS), name)
    return frozenset(named)


@reads(_STATUS.schema)
def status(value: object) -> Status:
    return Status(_STATUS(value))


@reads({"anyOf": [{"const": 0}, _SQUARINGS.schema]})
def squarings(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else _SQUARINGS(value)


@reads(TEXT)
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
        raise Wrong(f"the file {path.name} can't be read ({why_unreadable(failure)})") from None


@reads({"type": "string", "pattern": _ORIGIN})
def public_origin(value: object) -> str:
    """The place of a site as browsers see it, with the path below which the application is mounted, if any. It is
    written into a script, so nothing but plain characters.
    """
    typed = text(value)
    if not re.fullmatch(_ORIGIN[1:-1], typed):
        raise Wrong("is not the origin of a site", 'write it like "https://shop.example", without a slash at the end')
    return typed


SITE: Final[Mapping[str, Setting]] = {
    "site_key": Setting(text, None, "The public key that pages name.", '"cpt_pub_site"', required=True),
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

_WATCH: Final = Watch()

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
    "hardening": Setting(
        TableOf(HARDENING), {}, "How challenges get harder when a site is attacked.", "{ enabled = false }"
    ),
    "cap": Setting(TableOf(CAP), {}, "How Cap's challenges are.", "{ puzzles = 80 }"),
    "altcha": Setting(TableOf(ALTCHA), {}, "How ALTCHA's challenges are.", '{ algorithm = "PBKDF2/SHA-256" }'),
    "caputchin": Setting(
        TableOf(CAPUTCHIN), {}, "Where pages get Caputchin's own widget.", '{ widget = "/var/lib/myapp/widget.js" }'
    ),
    "sites": Setting(
        TablesOf(SITE),
        (),
        "The sites that challenges are issued for; by default one that needs no key.",
        '[{ site_key = "shop" }]',
    ),
}
