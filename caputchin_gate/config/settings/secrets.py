"""Reads secrets: a literal text, or a table that names an environment variable or a file. No message shows one."""

from __future__ import annotations

import os
import re
from typing import Final

from caputchin_gate.config.bounded_file import content_of
from caputchin_gate.config.settings.plain import TEXT, one_or_more
from caputchin_gate.config.settings.reading import Schema, Wrong, reads
from caputchin_gate.engines import LEAST_SIGNING_KEY
from caputchin_gate.secret import Secret

LEAST_SITE_SECRET: Final = 16  # characters; the verify endpoint lets everybody guess
LEAST_VERIFYING_SECRET: Final = 8
LONGEST_FILE: Final = 65536  # bytes

_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,60}")


def _table_with(key: str) -> Schema:
    return {"type": "object", "properties": {key: TEXT}, "required": [key], "additionalProperties": False}


SECRET: Final[Schema] = {"anyOf": [TEXT, _table_with("env"), _table_with("file")]}


@reads(SECRET, shown=False)
def secret(value: object) -> Secret:
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
        case None:  # os.environ.get(...)
            raise Wrong("is missing", "is the environment variable set?")
        case {"env": str() as name, **rest} if not rest:
            try:
                return Secret(os.environ[name])
            except (KeyError, ValueError):  # a name with a NUL or a "=" in it is nobody's
                raise _not_set(name) from None
        case {"file": str() as name, **rest} if not rest:
            return Secret(_content_of(name))
        case _:
            raise Wrong('is neither a text nor { env = "NAME" } nor { file = "PATH" }')


# A name or a path is told where it can't be the secret itself, typed in its place.


def _not_set(variable: str) -> Wrong:
    if _VARIABLE.fullmatch(variable):
        return Wrong(f"the environment variable {variable} is not set", f"export {variable}=...")
    return Wrong("names an environment variable that is not set", 'write the name of one, as in { env = "NAME" }')


def _unusable(path: str, why: str) -> Wrong:
    return Wrong(f"the file {path} {why}" if path.startswith("/") else f"its file, looked for in {os.getcwd()}, {why}")


def _content_of(name: str) -> str:
    try:
        content = content_of(name, LONGEST_FILE).decode()
    except (OSError, ValueError) as failure:
        raise _unusable(name, f"can't be read ({why_unreadable(failure)})") from None
    if len(content) > LONGEST_FILE:
        raise _unusable(name, "is too large for a secret")
    return content.strip()


def why_unreadable(failure: OSError | ValueError) -> str:
    """In words that hold nothing of the file, nor of its name."""
    match failure:
        case OSError(strerror=str() as why):
            return why
        case UnicodeError():
            return "it is not UTF-8 text"
        case _:  # a NUL in its name
            return "there is no such name"


@reads(one_or_more(SECRET), shown=False)
def secrets(value: object) -> tuple[Secret, ...]:
    """One secret or several: during a rotation the first signs, all verify."""
    return tuple(secret(item) for item in value) if isinstance(value, list | tuple) else (secret(value),)


@reads(SECRET, shown=False)
def verifying_secret(value: object) -> Secret:
    """The secret of another's signatures: with an empty one anybody could make them."""
    found = secret(value)
    if len(found) < LEAST_VERIFYING_SECRET:
        raise Wrong(f"is shorter than {LEAST_VERIFYING_SECRET} characters", "copy the secret again")
    return found


@reads(one_or_more(SECRET), shown=False)
def site_secrets(value: object) -> tuple[Secret, ...]:
    found = secrets(value)
    if any(len(one) < LEAST_SITE_SECRET for one in found):
        fix = "python -c 'import secrets; print(secrets.token_urlsafe(24))' makes one"
        raise Wrong(f"is shorter than {LEAST_SITE_SECRET} characters", fix)
    return found


@reads(SECRET, shown=False)
def signing_key(value: object) -> Secret:
    found = secret(value)
    if len(found) < LEAST_SIGNING_KEY:
        fix = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        raise Wrong(f"is shorter than {LEAST_SIGNING_KEY} characters", fix)
    return found


@reads(one_or_more(SECRET), shown=False)
def signing_keys(value: object) -> tuple[Secret, ...]:
    return tuple(map(signing_key, secrets(value)))
