"""[[route]]: the options of a guarded route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.config.settings.plain import (
    TEXT,
    choice,
    duration,
    flag,
    number,
    one_or_more,
    size,
    text,
    texts,
    whole,
)
from caputchin_gate.config.settings.reading import Setting, Wrong, reads
from caputchin_gate.engines import LONGEST_LIFETIME
from caputchin_gate.errors import ConfigurationError, nearest
from caputchin_gate.refusals import is_local_path
from caputchin_gate.tokens import Places, Source

_RECEIPT: Final = duration(10, LONGEST_LIFETIME)
_PATH: Final = "/[^/\\\\]?"  # what no browser takes for another site


@reads(one_or_more({"enum": list(map(str, Source))}, least=1))
def sources(value: object) -> frozenset[Source]:
    named = texts(value)
    for name in named:
        if name not in set(Source):
            raise Wrong(f"{name!r} is no place of a token", nearest(name, map(str, Source)))
    if not named:
        raise Wrong("is empty")
    return frozenset(map(Source, named))


@reads({"type": "string", "pattern": r"^(respond|pass|redirect:/([^/\\].*)?)$"})
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


@reads({"type": "string", "pattern": r"^/([^/\\]|$)"})
def local_path(value: object) -> str:
    path = text(value)
    if not is_local_path(path):
        raise Wrong("is not a path of this site", 'write it like "/contact"')
    return path


@reads(TEXT)
def json_pointer(value: object) -> str:
    try:
        Places((), json_pointer=text(value))
    except ConfigurationError as failure:
        raise Wrong.like(failure) from None
    return text(value)


@reads({"anyOf": [{"const": 0}, _RECEIPT.schema]})
def receipt(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else _RECEIPT(value)


OUTAGE: Final = choice("refuse", "admit")

ROUTE: Final[Mapping[str, Setting]] = {
    "match": Setting(text, None, "Methods and path pattern that are guarded.", '"POST /signup"', required=True),
    "provider": Setting(texts, None, "Names of the providers whose tokens are accepted.", '["caputchin", "old"]'),
    "on_outage": Setting(OUTAGE, None, "What an unavailable verification becomes.", '"admit"'),
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
