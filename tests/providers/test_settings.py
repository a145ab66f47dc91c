"""The settings that all kinds share, and how kinds are found (threats.md R9, R29, R40)."""

from __future__ import annotations

import math

import pytest

from caputchin_gate.errors import ConfigurationError
from caputchin_gate.providers import Upstream, kinds, load
from caputchin_gate.providers.caputchin import Caputchin
from caputchin_gate.secret import Secret

SECRET = "cpt_sec_example"

ENDPOINTS = {
    "https://captcha.example/verify": "",
    "https://captcha.example": "",
    "https://captcha.example:8443/verify": "",
    "https://[2001:db8::1]/verify": "",
    "http://127.0.0.1:8000/verify": "",
    "http://127.9.9.9/verify": "",
    "http://localhost/verify": "",
    "http://[::1]:8000/": "",
    "http://captcha.example/verify": "is http, where anybody on the way can read the secret",
    "http://localhost.example/verify": "is http, where anybody on the way can read the secret",
    "http://127.0.0.1.example/": "is http, where anybody on the way can read the secret",
    "http://10.0.0.1/": "is http, where anybody on the way can read the secret",
    "http://[::ffff:10.0.0.1]/": "is http, where anybody on the way can read the secret",
    "https://user:canary@captcha.example/": "holds a user name or a password",
    "https://captcha.example/?key=canary": "has a query string",
    "https://captcha.example/#canary": "has a fragment",
    "ftp://captcha.example/": "has the scheme 'ftp'",
    "file:///canary": "is not a URL",
    "//captcha.example/verify": "has the scheme ''",
    "captcha.example/canary": "is not a URL",
    "https:///canary": "is not a URL",
    "https://captcha.example:0/": "is not a URL",
    "https://captcha.example:canary/": "is not a URL",
    "https://captcha.example/a b": "is not a URL",
    "https://captcha.example/\n": "is not a URL",
    "https://captcha.example\\@canary/": "is not a URL",
    "https://k\u00e4se.example/": "is not a URL",
    "portl": "unknown name 'portl'",
    "cpt_sec_canary": "unknown name",
}


@pytest.mark.parametrize(("endpoint", "what"), ENDPOINTS.items())
def test_an_endpoint_is_safe_or_a_problem_that_does_not_repeat_it(endpoint: str, what: str) -> None:
    problems = Caputchin(secret=SECRET, endpoint=endpoint).problems()
    assert [problem.what for problem in problems] == ([what] if what else [])
    assert "canary" not in str(problems)


def test_http_to_another_machine_needs_a_word() -> None:
    allowed = Caputchin(secret=SECRET, endpoint="http://captcha.example/", allow_http=True)
    assert allowed.problems() == []
    assert allowed.warnings() == ["endpoint is http: secret and tokens travel unencrypted"]
    assert Caputchin(secret=SECRET, endpoint="http://127.0.0.1/").warnings() == []


def test_a_kind_without_an_endpoint_of_its_own_asks_for_one() -> None:
    class SelfHosted(Caputchin):
        endpoints = {}  # noqa: RUF012

    assert [str(problem) for problem in SelfHosted(secret=SECRET).problems()] == [
        "endpoint: is missing; set it to the URL of your own instance"
    ]
    assert [problem.fix for problem in SelfHosted(secret=SECRET, endpoint="portal").problems()] == ["use a URL"]


@pytest.mark.parametrize("secret", ["", "1234567", "two words", "line\n", "\x00", "k\u00e4se", None, 7, Secret("")])
def test_a_secret_that_can_not_be_one_is_a_problem(secret: object) -> None:
    (problem,) = Caputchin(secret=secret).problems()  # type: ignore[arg-type]
    assert problem.setting == "secret"


@pytest.mark.parametrize("timeout", [0, -1, 60.1, math.inf, math.nan, True, None, "5s"])
def test_a_timeout_that_can_not_be_one_is_a_problem(timeout: object) -> None:
    (problem,) = Caputchin(secret=SECRET, timeout=timeout).problems()  # type: ignore[arg-type]
    assert problem.setting == "timeout"


@pytest.mark.parametrize("timeout", [0.001, 1, 60, 60.0])
def test_a_timeout_goes_up_to_a_minute(timeout: float) -> None:
    assert Caputchin(secret=SECRET, timeout=timeout).problems() == []


@pytest.mark.parametrize("name", ["", "two words", "k\u00e4se", None])
def test_a_token_field_has_a_plain_name(name: object) -> None:
    (problem,) = Caputchin(secret=SECRET, token_field=name).problems()  # type: ignore[arg-type]
    assert problem.setting == "token_field"


@pytest.mark.parametrize("attempts", [0, 2, True, None, 1.0])
def test_a_kind_that_spends_a_token_when_it_is_asked_is_asked_once(attempts: object) -> None:
    (problem,) = Caputchin(secret=SECRET, attempts=attempts).problems()  # type: ignore[arg-type]
    assert problem.fix == "leave it out: asking spends the token"


def test_a_secret_may_be_given_wrapped() -> None:
    assert Caputchin(secret=Secret(SECRET)) == Caputchin(secret=SECRET)
    assert Caputchin(secret=Secret(SECRET)).problems() == []


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_is_found_by_the_name_of_its_file_and_is_complete(kind: str) -> None:
    found = load(kind)
    assert issubclass(found, Upstream)
    assert found.kind == kind
    assert found.codes or kind == "altcha"  # its reasons are free text
    own = {"site_key": "a-site"} if found.needs_site_key else {}
    typed = found(secret="secret-of-the-test", endpoint="" if found.endpoints else "https://own.example/verify", **own)
    assert typed.problems() == []
    assert typed.token_field
    assert typed.single_use or typed.remember > 0
    for name in found.endpoints:
        assert found(secret="x" * 20, endpoint=name, allow_http=True, **own).problems() == []


def test_a_kind_that_does_not_exist_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match=r"kind: unknown provider 'caputchn'; did you mean 'caputchin'\?"):
        load("caputchn")
    for inner in ("_reading", "__init__", "caputchin.py", "../caputchin", ""):
        with pytest.raises(ConfigurationError):
            load(inner)
