"""How pages show a widget: what each kind says about its own, and the HTML that follows from it.

Every fact stands in the file of its provider, with its source; here is only how it is written. What no source tells is
left out there, and a page that asks for it is told so: nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from caputchin_gate.errors import ConfigurationError, Problem

Said: TypeAlias = str | int | bool | None
Attributes: TypeAlias = Mapping[str, Said]

WINDOW: Final = "window."
QUERY: Final = "?"
DEFER: Final[Attributes] = {"defer": True}
ASYNC: Final[Attributes] = {"async": True, "defer": True}
MODULE: Final[Attributes] = {"type": "module", "async": True}

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_IN_SCRIPT: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Widget:
    """A widget, as its provider wants it in a page.

    token_field: the form field that it fills
    script:     the address of its script; empty where each site hosts a copy of its own
    loading:    what else the script has
    before:     scripts that have to be there first
    element:    what stands in the form; empty for a script that looks after each form with `data-captcha`, which then
                has the attributes itself
    attributes: what it always has; `window.NAME` is a variable that is set before the script, `window.NAME.MEMBER` a
                member of one, and `?NAME` stands in the query of the script's address
    inside:     HTML that stands in it
    after:      HTML that stands behind it
    names:      which of them something is that a page says, by how templates call it (`site_key`, `locale`, `field`)
    prefix:     what stands before the names of all other attributes; None where there are no others
    nonces:     variables for the nonce of the page's content security policy
    needs:      what has to be said, and what that is
    """

    token_field: str
    script: str = ""
    loading: Attributes = field(default_factory=lambda: DEFER)
    before: tuple[str, ...] = ()
    element: str = ""
    attributes: Attributes = field(default_factory=dict)
    inside: str = ""
    after: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    prefix: str | None = ""
    nonces: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)


def html(
    widget: Widget, said: Attributes, *, script: str | Literal[False] | None = None, nonce: str | None = None
) -> str:
    """What stands in the page: the scripts, then the element.

    said:   by the names that templates use; None and False are not said, True is an attribute without a value
    script: the address of the script, if it is not the provider's; False where the page has it already
    nonce:  of the page's content security policy

    Raises ConfigurationError with everything that is missing or that this widget can't be told.
    """
    told = {name: value for name, value in said.items() if value is not None and value is not False}
    address = widget.script if script is None else script
    problems = list(_problems(widget, told, needs_script=address == ""))
    if problems:
        raise ConfigurationError(problems)
    placed = dict.fromkeys(widget.nonces if nonce else (), nonce) | dict(widget.attributes)
    placed |= {widget.names.get(name, (widget.prefix or "") + name.replace("_", "-")): told[name] for name in told}
    attributes = {name: value for name, value in placed.items() if not name.startswith((WINDOW, QUERY))}
    query = {name.removeprefix(QUERY): value for name, value in placed.items() if name.startswith(QUERY)}
    variables = {name: value for name, value in placed.items() if name.startswith(WINDOW)}
    tags: list[str] = []
    if address is not False:
        loaded = {"nonce": nonce, **({} if widget.element else attributes), **widget.loading}
        if variables:
            tags.append(_tag("script", {"nonce": nonce}, "".join(_assignments(variables))))
        tags += (_tag("script", {"src": before, "nonce": nonce, **DEFER}) for before in widget.before)
        tags.append(_tag("script", {"src": _with_query(address, query), **loaded}))
    if widget.element:
        tags.append(_tag(widget.element, attributes, widget.inside) + widget.after)
    return "".join(tags)


def _problems(widget: Widget, told: Attributes, *, needs_script: bool) -> Iterator[Problem]:
    if needs_script:
        fix = 'host a copy of it and name its address: captcha_widget(script="/static/widget.js")'
        yield _problem("script", "is missing, this widget has no address that all sites share", fix)
    for name, what in widget.needs.items():
        if name not in told:
            yield _problem(name, "is missing", f'say what it is: captcha_widget({name}="..."), {what}')
    for name in told:
        known = name in widget.names or name in ("site_key", "locale", "field")
        if not _NAME.fullmatch(name) or name.startswith("on") or (widget.prefix is None and not known):
            yield _problem(name, "is no attribute of this widget", "leave it out")
    if "site_key" in told and "site_key" not in widget.names:
        yield _problem("site_key", "is nothing that this widget is told", "leave it out")
    if "locale" in told and "locale" not in widget.names:
        yield _problem("locale", "is nothing that the documentation of this widget tells", "leave it out")
    if told.get("field", widget.token_field) != widget.token_field and "field" not in widget.names:
        yield _problem("field", f"is always {widget.token_field!r} here", "leave token_field out of the settings")


def _problem(name: str, what: str, fix: str) -> Problem:
    return Problem(f"captcha_widget: {name}", what, fix)


def _assignments(variables: Attributes) -> Iterable[str]:
    values: dict[str, Said | dict[str, Said]] = {}
    for name, value in variables.items():
        variable, _, member = name.removeprefix(WINDOW).partition(".")
        members = values.setdefault(variable, {} if member else value)
        if isinstance(members, dict):
            members[member] = value
    return (f"{WINDOW}{name}={json.dumps(value).translate(_IN_SCRIPT)};" for name, value in values.items())


def _with_query(address: str, query: Attributes) -> str:
    if not query:
        return address
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _tag(name: str, attributes: Attributes, text: str = "") -> str:
    written = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None)
    return f"<{name}{written}>{text}</{name}>"


def _attribute(name: str, value: Said) -> str:
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


__all__ = ["ASYNC", "DEFER", "MODULE", "QUERY", "WINDOW", "Attributes", "Said", "Widget", "html"]
