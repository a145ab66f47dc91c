"""Whatever is sent to siteverify: JSON comes back, a yes for what was rightly brought, and nothing else is used up."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.properties.test_cap_requests import ANY_JSON
from tests.siteverify_calls import CALLS, FORM, JSON, SECRETS, Call, Site, Told, multipart

SHOP, BLOG = SECRETS["shop"], SECRETS["blog"]
SITE = Site(
    in_process={"verifications_per_minute": 10**6, "wrong_secrets_per_minute": 10**6, "challenges_per_minute": 10**4}
)
EACH = pytest.mark.parametrize("dialect", CALLS)
STATUSES = {200, 400, 401, 403, 404, 413, 415}
TYPES = some.sampled_from(
    [JSON, FORM, "multipart/form-data; boundary=xXx", "text/plain", "", "application/x+json", "multipart/form-data"]
) | some.text(string.printable, max_size=30)
HEADERS = some.dictionaries(
    some.sampled_from(["authorization", "x-api-key", "content-encoding", "origin", "x-forwarded-for"]),
    some.sampled_from(["Bearer x", "Bearer", "identity", "gzip", SHOP, ""]) | some.text(string.printable, max_size=20),
)
TEXTS = some.text(some.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
FIELDS = ("secret", "response", "token", "key", "sitekey", "remoteip", "ip", "action", "idempotency_key")


def says_yes(call: Call, told: Told) -> bool:
    return call.passed(told.status, {"success": False, "verified": False, "valid": False, **told.members})


@EACH
@settings(max_examples=80, deadline=None)
@given(
    body=some.binary(max_size=300), content_type=TYPES, headers=HEADERS, query=some.text(string.printable, max_size=60)
)
def test_any_bytes_are_answered_in_json_and_never_with_yes(
    dialect: str, body: bytes, content_type: str, headers: dict[str, str], query: str
) -> None:
    call = CALLS[dialect]
    told = Told(SITE.send(call.path, body, headers={**headers, "content-type": content_type}, query=query))
    assert told.status in STATUSES
    assert not says_yes(call, told)


@dataclass(frozen=True)
class Splice:
    """What becomes of a text: cut at a place, then continued by another one, or a character is changed there."""

    at: int
    how: str

    def __call__(self, one: str, other: str) -> str:
        at = self.at % (len(one) + 1)
        match self.how:
            case "whole":
                return one
            case "spliced":
                return one[:at] + other[at:]
            case "shorter":
                return one[:at] + one[at + 1 :]
            case "longer":
                return one[:at] + one[at : at + 1] + one[at:]
            case character:
                return one[:at] + character + one[at + 1 :]


SPLICES = some.builds(
    Splice,
    some.integers(0, 1000),
    some.sampled_from(["whole", "whole", "whole", "spliced", "shorter", "longer", *"AZaz09-_:.= \u00e9\x00"]),
)


@EACH
@pytest.mark.parametrize("kind", ["native", "cap", "altcha", "caputchin"])
@settings(max_examples=25, deadline=None)
@given(
    secret=SPLICES | ANY_JSON,
    response=SPLICES | ANY_JSON,
    swapped=some.booleans(),
    more=some.dictionaries(some.sampled_from(FIELDS) | some.text(max_size=5), ANY_JSON, max_size=4),
    missing=some.sets(some.sampled_from(["secret", "response", "token", "key"]), max_size=2),
)
def test_no_wrong_field_passes_or_costs_the_visitor_the_token(
    dialect: str, kind: str, secret: Any, response: Any, swapped: bool, more: dict[str, Any], missing: set[str]
) -> None:
    call, token, other = CALLS[dialect], getattr(SITE, kind)(), SITE.native("blog")
    if isinstance(secret, Splice):
        secret = secret(SHOP, BLOG)
    if isinstance(response, Splice):
        response = response(*((other, token) if swapped else (token, other)))
    is_in_head = call.secret != "secret"
    if is_in_head and not (isinstance(secret, str) and secret.isprintable() and secret.isascii()):
        secret = "wrong"
    headers, fields = call.written(secret, response)
    sent = {name: value for name, value in {**more, **fields}.items() if name not in missing}
    told = Told(SITE.send(call.path, json.dumps(sent).encode(), headers={**headers, "content-type": JSON}))
    assert told.status in STATUSES
    passed = None
    if says_yes(call, told):
        presented = secret if is_in_head else sent["secret"]
        passed = (presented.strip(), sent[call.response].strip())
        assert passed in ((SHOP, token), (BLOG, other))
    for key, one in ((SHOP, token), (BLOG, other)):
        assert SITE.passes("recaptcha", key, one) is (passed != (key, one))


@pytest.mark.parametrize("dialect", ["recaptcha", "hcaptcha", "turnstile"])
@settings(max_examples=60, deadline=None)
@given(
    response=TEXTS | some.just("A" * 32 + ".1"),
    more=some.dictionaries(some.sampled_from(["remoteip", "sitekey", "action", "idempotency_key", "other"]), TEXTS),
)
def test_all_forms_of_a_request_are_read_alike(dialect: str, response: str, more: dict[str, str]) -> None:
    call = CALLS[dialect]
    fields = {**more, "secret": SHOP, "response": response}
    answers = {
        Told(SITE.send(call.path, body, headers={"content-type": content_type})).raw
        for content_type, body in (
            (JSON, json.dumps(fields).encode()),
            (FORM, urlencode(fields).encode()),
            ("multipart/form-data; boundary=xXx", multipart(fields)),
        )
    }
    assert len(answers) == 1


CHALLENGE_ERRORS = {(422, "invalid_site_key"), (403, "domain_not_allowed"), (400, "invalid_action")}


@settings(max_examples=150, deadline=None)
@given(
    body=some.binary(max_size=200)
    | some.dictionaries(some.sampled_from(["site_key", "action"]), ANY_JSON | some.sampled_from(["shop", "blog"])).map(
        lambda fields: json.dumps(fields).encode()
    ),
    origin=some.sampled_from(["https://shop.example", "https://evil.example", "null"]) | some.text(max_size=20),
)
def test_a_challenge_is_issued_or_refused_as_the_page_says(body: bytes, origin: str) -> None:
    response = SITE.send("api/v1/captcha/challenge", body, headers={"origin": origin, "content-type": JSON})
    told = json.loads(response.body)
    if response.status == 200:
        assert set(told) == {"token", "target", "expires_at"}
    else:
        assert (response.status, told["error_code"]) in CHALLENGE_ERRORS
        assert told["success"] is False
