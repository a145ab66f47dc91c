"""What pages show for each provider: scripts, element and attributes, as its documentation has them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate import ConfigurationError, Gate
from caputchin_gate.providers import kinds, load
from caputchin_gate.widgets import Widget, html

PUBLIC = "0xpublic"
UPSTREAM: dict[str, dict[str, Any]] = {
    "altcha": {"endpoint": "https://sentinel.example"},
    "cap": {"endpoint": "https://cap.example/0xpublic/siteverify", "site_key": PUBLIC},
    "captchaapi": {"site_key": PUBLIC},
    "caputchin": {"site_key": PUBLIC},
    "gotcha": {"site_key": PUBLIC},
    "hcaptcha": {"site_key": PUBLIC},
    "friendly": {"site_key": PUBLIC},
    "mcaptcha": {"endpoint": "https://mcaptcha.example", "site_key": PUBLIC},
    "mtcaptcha": {"site_key": PUBLIC},
    "procaptcha": {"site_key": PUBLIC},
    "recaptcha": {"site_key": PUBLIC},
    "turnstile": {"site_key": PUBLIC},
}
CAPTCHAAPI = '<script src="https://captchaapi.eu/captcha.js" defer></script>'
CDN = "https://cdn.jsdelivr.net/npm/@caputchin/widget@3/dist/widget.js"

SHOWN_UPSTREAM: list[tuple[str, dict[str, Any], str]] = [
    (
        "altcha",
        {"script": "/a.js", "challenge": "https://sentinel.example/c?k=1&l=2", "locale": "de", "auto": "onload"},
        '<script src="/a.js" type="module" async></script><altcha-widget '
        'challenge="https://sentinel.example/c?k=1&amp;l=2" language="de" auto="onload"></altcha-widget>',
    ),
    (
        "cap",
        {"script": "/cap.js", "locale": "de", "worker_count": 2, "required": True},
        '<script src="/cap.js" defer></script><cap-widget data-cap-api-endpoint="https://cap.example/0xpublic/" '
        'data-cap-lang="de" data-cap-worker-count="2" required></cap-widget>',
    ),
    (
        "cap",
        {"script": "/cap.js", "api_endpoint": "https://outside.example/0xpublic/", "wasm": "/cap.wasm"},
        '<script>window.CAP_CUSTOM_WASM_URL="/cap.wasm";</script><script src="/cap.js" defer></script>'
        '<cap-widget data-cap-api-endpoint="https://outside.example/0xpublic/"></cap-widget>',
    ),
    ("captchaapi", {}, f'<script>window.CAPTCHA_SITE_KEY="0xpublic";</script>{CAPTCHAAPI}'),
    (
        "captchaapi",
        {"locale": "de", "preload": "eager", "nonce": "r4nd"},
        '<script nonce="r4nd">window.CAPTCHA_SITE_KEY="0xpublic";window.CAPTCHA_LOCALE="de";'
        'window.CAPTCHA_PRELOAD="eager";</script>'
        '<script src="https://captchaapi.eu/captcha.js" nonce="r4nd" defer></script>',
    ),
    (
        "caputchin",
        {"locale": "de", "trigger": "form-submit", "invisible": True},
        f'<script src="{CDN}" defer></script><caputchin-widget sitekey="0xpublic" locale="de" '
        'trigger="form-submit" invisible></caputchin-widget>',
    ),
    ("caputchin", {"script": False}, '<caputchin-widget sitekey="0xpublic"></caputchin-widget>'),
    (
        "gotcha",
        {"theme": "dark", "size": None},
        '<script src="https://static.gotcha.land/api.js" async defer></script>'
        '<div class="gotcha" data-sitekey="0xpublic" data-theme="dark"></div>',
    ),
    (
        "procaptcha",
        {"site_key": "0xother", "captcha_type": "pow", "nonce": "r4nd"},
        '<script src="https://js.prosopo.io/js/procaptcha.bundle.js" nonce="r4nd" type="module" async></script>'
        '<div class="procaptcha" data-sitekey="0xother" data-captcha-type="pow"></div>',
    ),
    (
        "hcaptcha",
        {"locale": "de", "theme": "dark"},
        '<script src="https://js.hcaptcha.com/1/api.js?recaptchacompat=off&amp;hl=de" async defer></script>'
        '<div class="h-captcha" data-sitekey="0xpublic" data-theme="dark"></div>',
    ),
    (
        "hcaptcha",
        {"script": False},
        '<div class="h-captcha" data-sitekey="0xpublic"></div>',
    ),
    (
        "recaptcha",
        {"locale": "de", "size": "compact"},
        '<script src="https://www.google.com/recaptcha/api.js?hl=de" async defer></script>'
        '<div class="g-recaptcha" data-sitekey="0xpublic" data-size="compact"></div>',
    ),
    (
        "recaptcha",
        {"script": "https://www.recaptcha.net/recaptcha/api.js?onload=begin", "locale": "a&b"},
        '<script src="https://www.recaptcha.net/recaptcha/api.js?onload=begin&amp;hl=a%26b" async defer></script>'
        '<div class="g-recaptcha" data-sitekey="0xpublic"></div>',
    ),
    (
        "friendly",
        {"locale": "de", "start": "focus"},
        '<script src="https://cdn.jsdelivr.net/npm/@friendlycaptcha/sdk@1/site.min.js" type="module" async></script>'
        '<div class="frc-captcha" data-sitekey="0xpublic" data-lang="de" data-start="focus"></div>',
    ),
    (
        "mcaptcha",
        {"script": "/glue.js"},
        '<script src="/glue.js" defer></script><label id="mcaptcha__token-label" for="mcaptcha__token" '
        'data-mcaptcha_url="https://mcaptcha.example/widget/?sitekey=0xpublic">'
        '<input name="mcaptcha__token" id="mcaptcha__token"></label><div id="mcaptcha__widget-container"></div>',
    ),
    (
        "mtcaptcha",
        {"action": "sign-up", "nonce": "r4nd"},
        '<script nonce="r4nd">window.mtcaptchaConfig={"sitekey": "0xpublic", "action": "sign-up"};'
        '</script><script src="https://service.mtcaptcha.com/mtcv1/client/mtcaptcha.min.js" nonce="r4nd" async defer>'
        '</script><div class="mtcaptcha"></div>',
    ),
    (
        "turnstile",
        {"locale": "de", "action": "sign-up"},
        '<script src="https://challenges.cloudflare.com/turnstile/v0/api.js" async defer></script>'
        '<div class="cf-turnstile" data-sitekey="0xpublic" data-language="de" data-action="sign-up"></div>',
    ),
]


def gate(kind: str, **options: Any) -> Gate:
    return Gate(provider=kind, store="memory", **options)


def upstream(kind: str, **options: Any) -> Gate:
    typed = {"secret": "0xsecret-of-the-site", **UPSTREAM[kind], **options}
    return gate(kind, **{key: value for key, value in typed.items() if value is not None})


@pytest.mark.parametrize(("kind", "said", "shown"), SHOWN_UPSTREAM)
def test_a_page_shows_the_provider_s_widget_as_its_documentation_says(
    kind: str, said: dict[str, Any], shown: str
) -> None:
    assert upstream(kind).captcha_widget(**said) == shown


def test_every_kind_has_a_widget() -> None:
    assert set(UPSTREAM) == set(kinds())
    assert {kind for kind, *_ in SHOWN_UPSTREAM} == set(kinds())
    for kind in kinds():
        fields = {field.default for field in load(kind).__dataclass_fields__.values() if field.name == "token_field"}
        widget = load(kind)(secret="0xsecret-of-the-site", **UPSTREAM[kind]).widget
        assert fields == {widget.token_field}, "the widget fills the field that the gate looks at"


SITES = {"sites": [{"site_key": "shop"}, {"site_key": "blog"}]}
SHOWN_IN_PROCESS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("caputchin", {}, {}, '<script src="/.caputchin/captcha.js" defer></script>'),
    ("caputchin", {}, {"script": False}, ""),
    (
        "caputchin",
        {"in_process": {"mount": "/captcha"}},
        {"root": "/shop", "locale": "de", "preload": "eager", "nonce": "r4nd"},
        '<script src="/shop/captcha/captcha.js" nonce="r4nd" data-locale="de" data-preload="eager" defer></script>',
    ),
    (
        "captchaapi",
        {"in_process": SITES},
        {"site_key": "blog"},
        '<script src="/.caputchin/captcha.js" data-site-key="blog" data-field="captchaapi_response" defer></script>',
    ),
    (
        "captchaapi",
        {},
        {"script": "/captcha.js"},
        '<script>window.CAPTCHA_BASE_URL="/.caputchin/api/v1";window.CAPTCHA_SITE_KEY="default";</script>'
        '<script src="/captcha.js" defer></script>',
    ),
    (
        "caputchin",
        {"in_process": {"sites": [{"site_key": "shop"}]}},
        {"script": "/widget.js", "root": "/shop", "nonce": "r4nd"},
        '<script src="/shop/.caputchin/caputchin/shim.js" nonce="r4nd" defer></script>'
        '<script src="/widget.js" nonce="r4nd" defer></script><caputchin-widget sitekey="shop"></caputchin-widget>',
    ),
    (
        "cap",
        {"token_field": "token"},
        {"script": "/cap.js", "nonce": "r4nd"},
        '<script nonce="r4nd">window.CAP_CSS_NONCE="r4nd";window.CAP_SCRIPT_NONCE="r4nd";</script>'
        '<script src="/cap.js" nonce="r4nd" defer></script><cap-widget '
        'data-cap-api-endpoint="/.caputchin/cap/default/" data-cap-hidden-field-name="token"></cap-widget>',
    ),
    (
        "altcha",
        {"in_process": SITES, "token_field": "token"},
        {"script": "/a.js", "site_key": "shop"},
        '<script src="/a.js" type="module" async></script><altcha-widget '
        'challenge="/.caputchin/altcha/shop/challenge" challengeurl="/.caputchin/altcha/shop/challenge" '
        'name="token"></altcha-widget>',
    ),
]


@pytest.mark.parametrize(("kind", "options", "said", "shown"), SHOWN_IN_PROCESS)
def test_in_process_the_widget_asks_the_gate(
    kind: str, options: dict[str, Any], said: dict[str, Any], shown: str
) -> None:
    assert gate(kind, verification="in-process", **options).captcha_widget(**said) == shown


def test_a_copy_of_caputchin_s_widget_that_the_gate_serves_is_what_pages_show(tmp_path: Path) -> None:
    (tmp_path / "widget.js").write_text("https://verify.caputchin.com")
    in_process = {"caputchin": {"widget": str(tmp_path / "widget.js")}}
    assert gate("caputchin", verification="in-process", in_process=in_process).captcha_widget() == (
        '<script src="/.caputchin/caputchin/widget.js" defer></script>'
        '<caputchin-widget sitekey="default"></caputchin-widget>'
    )


def test_while_one_provider_replaces_another_each_page_shows_the_one_it_names() -> None:
    both = upstream("caputchin", providers={"old": {"kind": "procaptcha", "secret": "0x-a-key", "site_key": "0xold"}})
    assert "caputchin-widget" in both.captcha_widget()
    assert 'class="procaptcha" data-sitekey="0xold"' in both.captcha_widget(provider="old")


MISSING: list[tuple[Gate, dict[str, Any], str]] = [
    (upstream("procaptcha", site_key=None), {}, "site_key: is missing"),
    (upstream("cap", site_key=None), {"script": "/cap.js"}, "api_endpoint: is missing"),
    (upstream("cap"), {}, "script: is missing"),
    (upstream("altcha"), {"script": "/a.js"}, "challenge: is missing"),
    (upstream("procaptcha"), {"locale": "de"}, "locale: is nothing that the documentation"),
    (upstream("altcha"), {"script": "/a.js", "challenge": "/c", "site_key": "a"}, "site_key: is nothing that"),
    (upstream("captchaapi"), {"theme": "dark"}, "theme: is no attribute"),
    (upstream("gotcha"), {"onclick": "alert(1)"}, "onclick: is no attribute"),
    (upstream("gotcha"), {"a b": "c"}, "a b: is no attribute"),
    (upstream("gotcha", token_field="token"), {}, "field: is always 'gotcha-response'"),
    (upstream("gotcha"), {"provider": "gotsha"}, "no provider is called 'gotsha'; did you mean 'gotcha'"),
    (gate("caputchin", verification="in-process", in_process=SITES), {}, "site_key: is missing, there are several"),
    (gate("cap", verification="in-process"), {"script": "/c", "site_key": "a"}, "site_key: is no site of this gate"),
]


@pytest.mark.parametrize(("gate", "said", "told"), MISSING, ids=[told for *_, told in MISSING])
def test_what_is_missing_or_nobody_has_documented_is_told_and_not_guessed(
    gate: Gate, said: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        gate.captcha_widget(**said)
    assert told in str(raised.value)


class Read(HTMLParser):
    """A page as browsers read it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = st.text(st.sampled_from("<>\"'&`=/ \n\t\\!-\u2028\u2029\x00abscript]")) | st.sampled_from(
    ["</script><script>alert(1)</script>", "<!--<script>", "]]>", '" onload="alert(1)', "&quot; onload=&quot;x"]
)


@given(value=HOSTILE, nonce=HOSTILE)
def test_nothing_that_is_said_gets_out_of_its_attribute_or_script(value: str, nonce: str) -> None:
    shown = html(
        Widget(
            token_field="a", element="some-widget", names={"key": "window.KEY", "address": "href"}, nonces=("window.N",)
        ),
        {"key": value, "address": value},
        script="/a.js",
        nonce=nonce,
    )
    read = Read(shown.replace("\x00", "\ufffd"))
    assert [tag for tag, _ in read.tags] == ["script", "script", "some-widget"]
    assert read.tags[2] == ("some-widget", {"href": value.replace("\x00", "\ufffd")})
    assert not set("<>&\u2028\u2029") & set(read.text)
    assert [set(attributes) for _, attributes in read.tags[:2]] == [
        {"nonce"} if nonce is not None else set(),
        {"src", "nonce", "defer"},
    ]


WRONG_SITE_KEYS: list[tuple[str, str, str]] = [
    ("caputchin", "cpt_sec_shop", "is the secret key (cpt_sec_...), and pages would show it"),
    ("caputchin", "cpt_pat_shop", "is a management token"),
    ("captchaapi", "sk_live_shop", "is the secret key"),
    ("procaptcha", "0xsecret-of-the-site", "is the secret, and pages would show it"),
    ("procaptcha", "5EARALUe4HXQwKo5KanZSGGKqJV4VTaytpezFwv8ZHbZewmh", "is a public test key"),
    ("turnstile", "1x00000000000000000000AA", "is a public test key"),
    ("mtcaptcha", "MTPrivat-example", "is the private key"),
    ("gotcha", "a key", "is not the key of a site"),
    ("altcha", "a-key", "is nothing that pages with ALTCHA name"),
]


@pytest.mark.parametrize(("kind", "site_key", "told"), WRONG_SITE_KEYS)
def test_a_site_key_that_no_page_may_show_is_a_problem(kind: str, site_key: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        upstream(kind, site_key=site_key)
    assert told in str(raised.value)
    assert "secret-of-the-site" not in str(raised.value)
