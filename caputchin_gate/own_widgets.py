"""Which widget a site's pages show: its provider's own, or with in-process verification one that asks this gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from caputchin_gate.config import Configuration
from caputchin_gate.config.provider_tables import InProcessProvider
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.providers import Upstream, altcha, cap, captchaapi, caputchin
from caputchin_gate.widgets import Attributes, Widget, html

OWN_FIELD: Final = "caputchin-token"  # what captcha.js fills unless it is told otherwise


def page_html(
    configuration: Configuration,
    said: Attributes,
    *,
    provider: str | None,
    root: str,
    script: str | bool | None,
    nonce: str | None,
) -> str:
    """The widget of a provider as it stands in the page.

    provider: its name in the settings, None for the default one
    root:     the path below which the gate is mounted, without a slash at the end
    The others are those of `widgets.html`. Raises ConfigurationError with everything that is missing or can't be said.
    """
    said = {name: value for name, value in said.items() if value is not None}
    name = provider if provider is not None else configuration.default_provider
    found = configuration.providers.get(name)
    hosted = script if isinstance(script, str) else None
    match found:
        case Upstream():
            widget, site_key = found.widget, found.site_key or None
        case InProcessProvider():
            site_key = _site_key(configuration, said.get("site_key"))
            mount = root + configuration.in_process["mount"]
            widget = _own_widget(found.kind, configuration, mount, site_key, hosted is not None)
            said = {name: value for name, value in said.items() if name != "site_key"}
        case None:
            what = f"no provider is called {name!r}"
            raise ConfigurationError(
                [Problem("captcha_widget: provider", what, nearest(name, configuration.providers))]
            )
    field = found.token_field if found.token_field != widget.token_field else None
    known = {"site_key": site_key if "site_key" in widget.names else None, "field": field}
    return html(widget, {**known, **said}, script=False if script is False else hosted, nonce=nonce)


def looks_after_forms(configuration: Configuration, provider: str | None) -> bool:
    """Whether the pages of a provider have the gate's own script, which finds forms by itself."""
    found = configuration.providers.get(provider if provider is not None else configuration.default_provider)
    serves_widget = configuration.in_process["caputchin"]["widget"] is not None
    return isinstance(found, InProcessProvider) and (
        found.kind == "captchaapi" or (found.kind == "caputchin" and not serves_widget)
    )


def _site_key(configuration: Configuration, said: object) -> str:
    keys: Sequence[str] = [site["site_key"] for site in configuration.sites_served]
    if said is None and len(keys) == 1:
        return keys[0]
    if said in keys:
        return str(said)
    what = "is missing, there are several sites" if said is None else "is no site of this gate"
    raise ConfigurationError([Problem("captcha_widget: site_key", what, f"use one of {', '.join(keys)}")])


def _own_widget(kind: str, configuration: Configuration, mount: str, site_key: str, elsewhere: bool) -> Widget:
    """elsewhere: whether the page has its script from another place than the gate"""
    match kind:
        case "cap":
            return replace(cap.WIDGET, attributes={cap.ENDPOINT: f"{mount}/cap/{site_key}/"})
        case "altcha":
            return replace(
                altcha.WIDGET, attributes=dict.fromkeys(altcha.CHALLENGE, f"{mount}/altcha/{site_key}/challenge")
            )
        case "captchaapi" if elsewhere:
            return replace(captchaapi.WIDGET, attributes={captchaapi.BASE_URL: f"{mount}/api/v1"})
        case "caputchin" if elsewhere:
            return replace(caputchin.WIDGET, before=(f"{mount}/caputchin/shim.js",))
        case "caputchin" if configuration.in_process["caputchin"]["widget"]:
            return replace(caputchin.WIDGET, script=f"{mount}/caputchin/widget.js")
        case _:
            named = {"site_key": "data-site-key"} if len(configuration.sites_served) > 1 else {}
            return Widget(
                token_field=OWN_FIELD,
                script=f"{mount}/captcha.js",
                names={"field": "data-field", "locale": "data-locale", **named},
                prefix="data-",
            )
