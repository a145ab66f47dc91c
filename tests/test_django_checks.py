"""The system checks of Django: what each says, by ids that don't change."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.http import require_safe

from caputchin_gate import ConfigurationError
from caputchin_gate.django import GateMiddleware, require_human, wrap
from caputchin_gate.django.gates import Forms
from caputchin_gate.errors import Problem
from tests.django_ways import DOOR, settings_of


class OwnMiddleware(GateMiddleware): ...


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


LOCALE = "django.middleware.locale.LocaleMiddleware"
GATE = {"provider": {"kind": "caputchin", "verification": "in-process"}}
marked = path("contact", require_human(view))
FINE: dict[str, Any] = {"MIDDLEWARE": [DOOR], "CAPUTCHIN_GATE": GATE}

# settings, URLconf, ids of the checks, something that the first says
CHECKED: list[tuple[dict[str, Any], list[Any], list[str], str]] = [
    ({}, [marked], [], ""),
    ({"CAPUTCHIN_GATE": None}, [marked], ["E001"], "CAPUTCHIN_GATE: is missing"),
    ({"CAPUTCHIN_GATE": "gate.toml"}, [marked], ["E001"], "CAPUTCHIN_GATE: is no table"),
    ({"CAPUTCHIN_GATE": {"protct": [], "mode": "of"}}, [marked], ["E001"] * 3, "CAPUTCHIN_GATE: "),
    ({"MIDDLEWARE": []}, [marked], ["E002"], "CAPUTCHIN_GATE describes a gate, and none stands in front of the site"),
    ({"MIDDLEWARE": ["tests.test_django_checks.OwnMiddleware"]}, [marked], [], ""),
    ({"MIDDLEWARE": [], "WSGI_APPLICATION": "tests.test_django_checks.plain"}, [marked], ["E002"], "none stands"),
    ({"MIDDLEWARE": [], "WSGI_APPLICATION": "tests.test_django_checks.wrapped"}, [marked], [], ""),
    ({"MIDDLEWARE": [], "WSGI_APPLICATION": "tests.nowhere.application"}, [marked], ["E002"], "none stands"),
    ({"MIDDLEWARE": [], "WSGI_APPLICATION": "tests.test_django_checks.broken"}, [marked], ["E001"], "a store that"),
    ({"MIDDLEWARE": [], "ASGI_APPLICATION": "tests.test_django_checks.wrapped"}, [marked], [], ""),
    ({}, [path("contact", view)], ["E003"], "CAPUTCHIN_GATE: protect: nothing is protected"),
    ({}, [path("list", require_human(require_safe(view)))], ["E003"], "view view: answers"),
    ({}, [marked, path("x", require_human(on_outage="maybe")(view))], ["E003"], "on_outage"),
    ({"MIDDLEWARE": [LOCALE, DOOR]}, [marked], ["W001"], f"{LOCALE}: run before the gate"),
    ({"MIDDLEWARE": ["django.middleware.security.SecurityMiddleware", DOOR]}, [marked], [], ""),
    ({"CAPUTCHIN_GATE": {**GATE, "store": "memory"}}, [marked], ["W002"], '"memory" knows one process only'),
    (
        {},
        [re_path(r"^loose", require_human(view))],
        ["W003"],
        "view view is guarded together with everything that /{rest:path} stands for",
    ),
]


def __getattr__(name: str) -> Any:
    if name == "wrapped":
        return wrap(get_wsgi_application())
    if name == "plain":
        return get_wsgi_application()
    if name == "broken":
        raise ConfigurationError([Problem("store", "a store that can't be opened")])
    raise AttributeError(name)


@pytest.mark.parametrize(("settings", "urls", "ids", "says"), CHECKED, ids=lambda value: str(value)[:60])
def test_a_check_says_what_is_wrong(
    settings: dict[str, Any], urls: list[Any], ids: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(Forms, "have_fields", False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with settings_of(urls, **{**FINE, **settings}):
        found = [
            message
            for message in checks.run_checks(tags=[checks.Tags.security])
            if str(message.id).startswith("caputchin_gate.")
        ]
    assert [message.id for message in found] == [f"caputchin_gate.{number}" for number in ids]
    assert all(says in message.msg for message in found[:1])


def test_no_check_repeats_a_secret() -> None:
    with settings_of(
        [marked], **{**FINE, "CAPUTCHIN_GATE": {"provider": {"kind": "caputchin", "secret": 5 * ["canary"]}}}
    ):
        assert "canary" not in str(checks.run_checks(tags=[checks.Tags.security]))


def test_a_check_makes_no_store(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with settings_of([marked], **FINE):
        checks.run_checks(tags=[checks.Tags.security])
    assert list(tmp_path.iterdir()) == []
