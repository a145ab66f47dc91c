"""System checks. Their ids don't change, so that projects may silence them.

caputchin_gate.E001   a setting is wrong: one error for each
caputchin_gate.E002   no gate stands in front of the site
caputchin_gate.E003   a mark can't be kept, or nothing is protected
caputchin_gate.W001   a middleware runs before the gate
caputchin_gate.W002   a setting is right but risky
caputchin_gate.W003   the rule of a marked view guards more than the view
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from caputchin_gate import config
from caputchin_gate.assembly import warnings_of
from caputchin_gate.django.gates import SETTING, Forms, typed
from caputchin_gate.django.marked import is_wider, marks_of
from caputchin_gate.django.middleware import GateMiddleware
from caputchin_gate.django.urls import views
from caputchin_gate.django.wrapped import WrappedAsgi, WrappedWsgi
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.marks import pattern, rules_of

MIDDLEWARE: Final = "caputchin_gate.django.GateMiddleware"
# What may stand before the gate: it answers nothing that a form sends, and puts its headers on refusals too.
HARMLESS: Final = frozenset(
    {
        "corsheaders.middleware.CorsMiddleware",
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
    }
)


def check_site(app_configs: Any, **_: Any) -> list[CheckMessage]:
    try:
        configuration = config.read(typed())
    except ConfigurationError as failure:
        return [_told(Error, problem, "E001") for problem in failure.problems]
    try:
        found = list(views())
        marked = [mark for view, path in found for mark in marks_of(view, pattern(path))]
        configuration = config.with_marked(configuration, *rules_of(marked))
        if not configuration.routes and not Forms.have_fields:
            raise ConfigurationError([config.NOTHING_PROTECTED])
    except ConfigurationError as failure:
        return [_told(Error, problem, "E003") for problem in failure.problems]
    messages = [_told(Warning, problem, "W002") for problem in warnings_of(configuration)]
    try:
        return [*_door(), *messages, *_wide(found)]
    except ConfigurationError as failure:  # of `wrap`, which opens what the settings name
        return [_told(Error, problem, "E001") for problem in failure.problems]


def _told(kind: Any, problem: Problem, number: str) -> CheckMessage:
    setting = problem.setting if problem.setting == SETTING else f"{SETTING}: {problem.setting}"
    told: CheckMessage = kind(str(Problem(setting, problem.what, shown=problem.shown)), problem.fix, id=_id(number))
    return told


def _id(number: str) -> str:
    return f"caputchin_gate.{number}"


def _door() -> Iterator[CheckMessage]:
    if MIDDLEWARE in settings.MIDDLEWARE:
        before = [name for name in settings.MIDDLEWARE[: settings.MIDDLEWARE.index(MIDDLEWARE)] if name not in HARMLESS]
        if before:
            what = f"{', '.join(before)}: run before the gate, also for requests that it then refuses"
            yield Warning(what, f"put {MIDDLEWARE} before them", id=_id("W001"))
    elif not has_door():
        what = f"{SETTING} describes a gate, and none stands in front of the site"
        fix = (
            f"add {MIDDLEWARE} to MIDDLEWARE, or application = wrap(application) where WSGI_APPLICATION or "
            "ASGI_APPLICATION is defined"
        )
        yield Error(what, fix, id=_id("E002"))


def has_door() -> bool:
    """Whether the gate of the site stands in front of it."""
    return any(map(_is_door, settings.MIDDLEWARE)) or any(map(_is_wrapped, _applications()))


def _is_door(name: str) -> bool:
    """A middleware of the site's own may be derived from the gate's."""
    found = import_string(name)
    return isinstance(found, type) and issubclass(found, GateMiddleware)


def _applications() -> Iterator[object]:
    for setting in ("WSGI_APPLICATION", "ASGI_APPLICATION"):
        if (name := getattr(settings, setting, None)) is not None:
            with suppress(ImportError):  # whoever starts it is told
                yield import_string(name)


def _is_wrapped(application: object) -> bool:
    return isinstance(application, WrappedWsgi | WrappedAsgi)


def _wide(found: Any) -> Iterator[CheckMessage]:
    for view, path in found:
        if is_wider(path):
            for mark in marks_of(view, pattern(path)):
                what = f"view {mark.name} is guarded together with everything that {mark.path} stands for"
                yield Warning(what, "give it a path that is no regular expression, or a simpler one", id=_id("W003"))
