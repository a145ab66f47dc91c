"""The gate of the site: what the setting CAPUTCHIN_GATE describes, with the rules of the marked views."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed

from caputchin_gate.django.marked import marked_views
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.gate import Gate, gate_from

SETTING: Final = "CAPUTCHIN_GATE"


class Forms:
    """Whether a form of the site has a captcha field, which guards where no rule does."""

    have_fields = False


@cache
def site_gate() -> Gate:
    """One for the process, whoever asks first. Raises ConfigurationError with every problem of settings and marks."""
    gate = gate_from(typed())
    views = list(marked_views())  # imports the URLconf, and the forms with it
    return gate.guarding(views, forms=Forms.have_fields)


def typed() -> Mapping[str, Any]:
    """The setting. Raises ConfigurationError where there is none."""
    found = getattr(settings, SETTING, None)
    if not isinstance(found, Mapping):
        fix = f'{SETTING} = {{"provider": {{...}}}}, with the keys of gate.toml'
        raise ConfigurationError([Problem(SETTING, "is missing" if found is None else "is no table", fix)])
    return found


def _forget(*, setting: str, **_: object) -> None:
    """Tests change settings."""
    if setting in (SETTING, "ROOT_URLCONF", "LANGUAGES", "USE_I18N"):
        site_gate.cache_clear()


setting_changed.connect(_forget)
