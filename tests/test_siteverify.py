"""Every dialect of siteverify over one gate (siteverify-server.md): what is asked, answered, and used up."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from caputchin_gate.effects import ClaimResult, StoreDown
from caputchin_gate.endpoints.siteverify.cap import CAP
from caputchin_gate.endpoints.siteverify.findings import Outcome
from caputchin_gate.endpoints.siteverify.paths import PATHS
from caputchin_gate.engines.altcha.challenges import LONGEST_PROOF
from caputchin_gate.engines.altcha.solver import solve as solve_altcha
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.site_terms import DIALECTS
from tests.siteverify_calls import (
    BACK_END,
    CALLS,
    FORM,
    JSON,
    LIKE_RECAPTCHA,
    SECRETS,
    SITES,
    START,
    VISITOR,
    Site,
    Told,
    form,
    multipart,
)

SHOP = SECRETS["shop"]
BLOG = SECRETS["blog"]
EACH = pytest.mark.parametrize("dialect", CALLS)
EACH_LIKE_RECAPTCHA = pytest.mark.parametrize("dialect", LIKE_RECAPTCHA)
FORGED = "A" * 32 + ".1"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.gate.close()


def test_every_dialect_is_tested_here() -> None:
    assert set(CALLS) == set(DIALECTS) == {dialect.name for dialect in (*PATHS.values(), CAP)}


# The request


FORMS: Mapping[str, tuple[str, Callable[[dict[str, Any]], bytes]]] = {
    "JSON": (JSON, lambda fields: json.dumps(fields).encode()),
    "JSON with a charset": (JSON + "; charset=latin-1", lambda fields: json.dumps(fields).encode()),
    "JSON with a byte order mark": (JSON, lambda fields: b"\xef\xbb\xbf" + json.dumps(fields).encode()),
    "a kind of JSON": ("application/problem+json", lambda fields: json.dumps(fields).encode()),
    "JSON as text": ("text/plain;charset=UTF-8", lambda fields: b"\r\n " + json.dumps(fields).encode()),
    "JSON without a type": ("", lambda fields: b"\xef\xbb\xbf" + json.dumps(fields).encode()),
    "a form": (FORM, form),
    "a form in capitals": ("Application/X-WWW-Form-Urlencoded; charset=utf-8", form),
    "a form as text": ("text/plain", form),
    "a form without a type": ("", form),
    "a form of unknown type": ("application/octet-stream", form),
    "multipart": ("multipart/form-data; boundary=xXx", multipart),
    "multipart with a quoted boundary": ('multipart/form-data; boundary="x x"', lambda f: multipart(f, "x x")),
}
JSON_ALONE = {"captchaapi", "procaptcha", "mcaptcha"}
NO_MULTIPART = JSON_ALONE | {"caputchin", "gotcha", "cap", "friendly"}


@EACH
@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_a_request_is_read_where_its_clients_use_it(site: Site, dialect: str, name: str) -> None:
    content_type, written = FORMS[name]
    call = CALLS[dialect]
    headers, fields = call.written(SHOP, site.native())
    told = Told(site.send(call.path, written(fields), headers={**headers, "content-type": content_type}))
    refused = ("JSON" not in name and dialect in JSON_ALONE) or ("multipart" in name and dialect in NO_MULTIPART)
    if refused:
        assert told.members.get("success", told.members.get("verified", told.members.get("valid"))) in (False, None)
        assert site.passes(dialect, SHOP, fields[call.response])
    else:
        assert call.passed(told.status, told.members), told


@EACH
def test_the_query_counts_only_without_a_body_and_where_clients_use_it(site: Site, dialect: str) -> None:
    call = CALLS[dialect]
    headers, fields = call.written(SHOP, site.native())
    query = urlencode(fields)
    with_body = Told(site.send(call.path, b"{}", headers={**headers, "content-type": JSON}, query=query))
    assert not call.passed(with_body.status, {"success": False, "verified": False, "valid": False, **with_body.members})
    without = Told(site.send(call.path, headers=headers, query=query))
    assert (without.members.get("success") is True) is (dialect in {"recaptcha", "hcaptcha", "cap"})


@EACH
def test_a_trailing_slash_makes_no_difference(site: Site, dialect: str) -> None:
    told = site.ask(dialect, SHOP, site.native(), path=CALLS[dialect].path + "/")
    assert CALLS[dialect].passed(told.status, told.members)


@pytest.mark.parametrize("path", ["siteverify", "api/v1/siteverify", "cap/siteverify", "blog/siteverify"])
def test_a_dialect_has_the_paths_of_its_old_clients_too(site: Site, path: str) -> None:
    dialect = "cap" if "cap" in path or "blog" in path else PATHS[path].name
    assert site.ask(dialect, BLOG, site.native("blog"), path=path).members["success"] is True


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [*PATHS, "shop/siteverify", "cap/siteverify"])
def test_other_methods_are_refused_in_json(site: Site, path: str, method: str) -> None:
    told = Told(site.send(path, method=method, query=urlencode({"secret": SHOP, "response": "x"})))
    assert (told.status, told.headers["Allow"]) == (405, "POST")
    assert told.members == {"success": False, "error-codes": ["bad-request"]}


@pytest.mark.parametrize("path", [*PATHS, "shop/siteverify", "cap/shop/siteverify"])
def test_no_page_is_allowed_to_call(site: Site, path: str) -> None:
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    response = site.send(path, method="OPTIONS", headers=headers)
    assert (response.status, response.headers, response.body) == (204, (("Allow", "POST"),), b"")


BAD_REQUESTS: Mapping[str, Any] = {
    **dict.fromkeys(LIKE_RECAPTCHA, (200, "bad-request")),
    "cap": (400, "Missing required parameters"),
    "captchaapi": (200, "invalid_token"),
    "procaptcha": (400, "API.PARSE_ERROR"),
    "friendly": (400, "bad_request"),
    "mcaptcha": (400, "secret, key or token is missing"),
}
TOO_LARGE: Mapping[str, Any] = {
    **BAD_REQUESTS,
    "cap": (413, "Request body too large"),
    "captchaapi": (413, "invalid_token"),
    "mcaptcha": (400, "the body is too large"),
}


def word(dialect: str, told: Told) -> str | None:
    """What an answer calls its error; None without one."""
    members = told.members
    match dialect:
        case "cap" | "mcaptcha":
            return members.get("error")
        case "captchaapi":
            return members["error_code"]  # type: ignore[no-any-return]
        case "procaptcha":
            return members.get("error", {}).get("key")  # type: ignore[no-any-return]
        case "friendly":
            return members.get("error", {}).get("error_code")  # type: ignore[no-any-return]
        case _:
            codes = told.codes
            assert codes is None or len(codes) <= 1 or members["success"] is False
            return codes[0] if codes else None


@EACH
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'"secret"'),
        (JSON, b"null"),
        (JSON, b'{"secret": "\xff"}'),
        (JSON, b"[" * 60_000),
        (JSON, b'{"a": ' + b"9" * 5000 + b"}"),
        (JSON, "{}".encode("utf-16")),
        (FORM, b"secret=%zz&response=x"),
        (FORM, b"secret=%ff&response=x"),
        (FORM, b"secret=\xff&response=x"),
        (FORM, b"a&" * 1001),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=xXx", b""),
        ("multipart/form-data; boundary=xXx", multipart({"secret": SHOP})[:-6]),
        (
            "multipart/form-data; boundary=xXx",
            b'--xXx\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xXx--',
        ),
    ],
)
def test_a_body_that_can_not_be_read_is_a_bad_request(site: Site, dialect: str, content_type: str, body: bytes) -> None:
    headers, _ = CALLS[dialect].written(SHOP, "")
    told = Told(site.send(CALLS[dialect].path, body, headers={**headers, "content-type": content_type}))
    assert (told.status, word(dialect, told)) == BAD_REQUESTS[dialect]


@EACH
def test_a_body_over_64_kib_is_not_read(site: Site, dialect: str) -> None:
    headers, fields = CALLS[dialect].written(SHOP, site.native())
    body = json.dumps({**fields, "padding": "x" * 65_536}).encode()
    told = Told(site.send(CALLS[dialect].path, body, headers={**headers, "content-type": JSON}))
    assert (told.status, word(dialect, told)) == TOO_LARGE[dialect]


@EACH
@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br, identity", 415), ("Identity", 200)])
def test_a_compressed_body_is_not_read(site: Site, dialect: str, encoding: str, status: int) -> None:
    headers, fields = CALLS[dialect].written(SHOP, site.native())
    headers |= {"content-type": JSON, "content-encoding": encoding}
    told = Told(site.send(CALLS[dialect].path, json.dumps(fields).encode(), headers=headers))
    assert told.status == status
    assert CALLS[dialect].passed(status, {"success": False, "verified": False, "valid": False, **told.members}) is (
        status == 200
    )


@EACH
def test_blanks_around_a_field_and_fields_that_nobody_knows_are_no_matter(site: Site, dialect: str) -> None:
    assert site.passes(dialect, SHOP, f" \r\n{site.native()}\t\n", version="php_1.3.0", other=[1, {"a": None}])


@EACH_LIKE_RECAPTCHA
def test_of_a_repeated_field_the_first_counts(site: Site, dialect: str) -> None:
    token, path = site.native(), CALLS[dialect].path
    twice = urlencode([("secret", SHOP), ("response", token), ("secret", "x"), ("response", "y")]).encode()
    other = urlencode([("secret", "x"), ("secret", SHOP), ("response", token)]).encode()
    assert Told(site.send(path, other, headers={"content-type": FORM})).codes == ["invalid-input-secret"]
    assert Told(site.send(path, twice, headers={"content-type": FORM})).members["success"] is True
    token = site.native()
    as_json = f'{{"secret":"{SHOP}","response":"{token}","secret":1,"response":null}}'.encode()
    assert Told(site.send(path, as_json, headers={"content-type": JSON})).members["success"] is True


@pytest.mark.parametrize("passes", [True, False], ids=["the right ones first", "the right ones last"])
def test_of_repeated_parts_the_first_counts(site: Site, passes: bool) -> None:
    parts = [("secret", SHOP), ("response", site.native()), ("response", "x"), ("secret", "wrong")]
    written = [multipart(dict([part])).removesuffix(b"--xXx--\r\n") for part in parts]
    body = b"".join(written if passes else written[::-1]) + b"--xXx--\r\n"
    told = Told(site.send("siteverify", body, headers={"content-type": "multipart/form-data; boundary=xXx"}))
    assert told.members["success"] is passes


def test_a_file_is_no_field(site: Site) -> None:
    token = site.native()
    file = b'--xXx\r\nContent-Disposition: form-data; name="response"; filename="a"\r\n\r\nx\r\n'
    body = file + multipart({"secret": SHOP, "response": token})
    told = Told(site.send("siteverify", body, headers={"content-type": "multipart/form-data; boundary=xXx"}))
    assert told.members["success"] is True


# What is wrong with secret and response


INVALID, MISSING = "invalid-input-response", "missing-input-response"


def row(recaptcha: str, cap: Any, captchaapi: Any, procaptcha: Any, friendly: Any, mcaptcha: Any, **others: str) -> Any:
    """One row of the two tables of the page: status and word of each dialect."""
    like = {name: (200, others.get(name, recaptcha)) for name in LIKE_RECAPTCHA}
    rest = {
        "cap": cap,
        "captchaapi": captchaapi,
        "procaptcha": procaptcha,
        "friendly": friendly,
        "mcaptcha": mcaptcha,
    }
    return {**like, **rest}


NOT_FOUND = (404, "Token not found")
NO_TOKEN = (200, "invalid_token")
NOT_VERIFIED = (200, None)
MISSING_FIELD = (400, "secret, key or token is missing")
ROWS: Mapping[str, Any] = {
    "secret missing": row(
        "missing-input-secret",
        (400, "Missing required parameters"),
        (401, "invalid_secret"),
        (400, "API.MISSING_BODY"),
        (401, "auth_required"),
        MISSING_FIELD,
    ),
    "secret unknown": row(
        "invalid-input-secret",
        (403, "Invalid site key or secret"),
        (401, "invalid_secret"),
        (400, "API.INVALID_SITE_KEY"),
        (401, "auth_invalid"),
        (401, "Wrong password"),
    ),
    "response missing": row(
        MISSING,
        (400, "Missing required parameters"),
        NO_TOKEN,
        (400, "API.MISSING_BODY"),
        (400, "response_missing"),
        MISSING_FIELD,
    ),
    "response malformed": row(
        INVALID,
        (400, "Missing required parameters"),
        NO_TOKEN,
        NOT_VERIFIED,
        (200, "response_invalid"),
        NOT_VERIFIED,
    ),
    "response unknown": row(INVALID, NOT_FOUND, NO_TOKEN, NOT_VERIFIED, (200, "response_invalid"), NOT_VERIFIED),
    "response unsolved": row(
        INVALID, NOT_FOUND, (200, "invalid_solution"), NOT_VERIFIED, (200, "response_invalid"), NOT_VERIFIED
    ),
    "response used": row(
        "timeout-or-duplicate",
        NOT_FOUND,
        NO_TOKEN,
        NOT_VERIFIED,
        (200, "response_duplicate"),
        NOT_VERIFIED,
        hcaptcha="already-seen-response",
    ),
    "response expired": row(
        "timeout-or-duplicate",
        (403, "Token expired"),
        NO_TOKEN,
        NOT_VERIFIED,
        (200, "response_timeout"),
        NOT_VERIFIED,
        hcaptcha="expired-input-response",
    ),
    "site mismatch": row(
        INVALID,
        (404, "Invalid site key or secret"),
        NO_TOKEN,
        (400, "API.INVALID_SITE_KEY"),
        (200, "response_invalid"),
        NOT_VERIFIED,
        hcaptcha="sitekey-secret-mismatch",
        caputchin="site-mismatch",
    ),
}


def answered(site: Site, dialect: str, secret: Any, response: Any, **more: Any) -> tuple[int, str | None]:
    told = site.ask(dialect, secret, response, **more)
    return told.status, word(dialect, told)


@EACH
@pytest.mark.parametrize("secret", ["", " ", None])
def test_a_missing_secret_is_told(site: Site, dialect: str, secret: Any) -> None:
    sent = secret if CALLS[dialect].secret == "secret" else ""  # a header is a text
    token = site.native()
    assert answered(site, dialect, sent, token) == ROWS["secret missing"][dialect]
    assert site.passes(dialect, SHOP, token)


@EACH
@pytest.mark.parametrize(
    "secret", ["wrong", SHOP[:-1], SHOP + "x", SHOP.upper(), "x" * 513, "\xe4\xb6\x80", "gate_sec_test_pass"]
)
def test_a_wrong_secret_costs_nobody_a_token(site: Site, dialect: str, secret: str) -> None:
    token = site.native() if dialect != "cap" else site.cap()
    assert answered(site, dialect, secret, token) == ROWS["secret unknown"][dialect]
    assert site.passes(dialect, SHOP, token)


@EACH
@pytest.mark.parametrize("response", ["", "\r\n", None])
def test_a_missing_response_is_told(site: Site, dialect: str, response: Any) -> None:
    assert answered(site, dialect, SHOP, response) == ROWS["response missing"][dialect]


@EACH_LIKE_RECAPTCHA
@pytest.mark.parametrize("body", [{}, {"secret": "", "response": ""}, {"secret": None, "response": " "}])
def test_both_fields_that_are_missing_are_told_at_once(site: Site, dialect: str, body: dict[str, Any]) -> None:
    told = Told(site.send(CALLS[dialect].path, json.dumps(body).encode(), headers={"content-type": JSON}))
    assert (told.status, told.codes) == (200, ["missing-input-secret", "missing-input-response"])


@EACH_LIKE_RECAPTCHA
def test_fields_of_another_type_are_malformed_and_not_missing(site: Site, dialect: str) -> None:
    assert answered(site, dialect, 1, []) == (200, "invalid-input-secret")
    for response in (1, [], {}, True, 1.5):
        assert answered(site, dialect, SHOP, response) == (200, INVALID)
    for secret in (1, [SHOP], {}, False):
        assert answered(site, dialect, secret, site.native()) == (200, "invalid-input-secret")


LONGEST = {"turnstile": 2048, "procaptcha": 16384}


@EACH
@pytest.mark.parametrize("response", ["x", "a:b", "XXXX.DUMMY.TOKEN.XXXX", "é", "\x00", "{long}", 7, ["{native}"]])
def test_a_malformed_response_is_told(site: Site, dialect: str, response: Any) -> None:
    if response == "{long}":
        response = "A" * 32 + "." + "1" * LONGEST.get(dialect, 8192)
    assert answered(site, dialect, SHOP, response) == ROWS["response malformed"][dialect]


@EACH
def test_a_response_that_is_too_long_is_malformed_even_if_it_is_right(site: Site, dialect: str) -> None:
    longest = LONGEST.get(dialect, 8192)
    payload = json.loads(base64.b64decode(site.altcha()))

    def padded(length: int) -> str:
        padding = "x" * (length * 3 // 4 - len(json.dumps({**payload, "padding": ""})) - 2)
        return base64.b64encode(json.dumps({**payload, "padding": padding}).encode()).decode()

    right, too_long = padded(min(longest, LONGEST_PROOF)), padded(longest + 8)
    assert len(right) <= longest < len(too_long)
    assert not word_is_success(site, dialect, too_long)
    assert site.passes(dialect, SHOP, right)


@EACH
def test_a_forged_response_is_not_known(site: Site, dialect: str) -> None:
    for response in (FORGED, "shop:" + "0" * 32 + ":" + "0" * 60) if dialect != "cap" else ("shop:0:1",):
        assert answered(site, dialect, SHOP, response) == ROWS["response unknown"][dialect]


@EACH
def test_a_wrong_solution_costs_nobody_the_challenge(site: Site, dialect: str) -> None:
    token = site.native()
    wrong = next(
        one for number in range(99) if (one := f"{token[:33]}{number}") != token and not site_solves(site, one)
    )
    for response in (wrong, token[:33] + "18446744073709551615"):
        assert answered(site, dialect, SHOP, response) == ROWS["response unsolved"][dialect]
    assert site.passes(dialect, SHOP, token)


def site_solves(site: Site, response: str) -> bool:
    from caputchin_gate.engines.native import meets

    return meets(response[:32].encode(), response[33:], 0x000FFFFF)


@EACH
def test_a_token_is_good_once(site: Site, dialect: str) -> None:
    token = site.native()
    assert site.passes(dialect, SHOP, token)
    assert answered(site, dialect, SHOP, token) == ROWS["response used"][dialect]


@EACH
def test_a_token_is_good_in_its_time(site: Site, dialect: str) -> None:
    token = site.native()
    site.now += 121
    assert answered(site, dialect, SHOP, token) == ROWS["response expired"][dialect]
    site.now -= 121 + 31
    assert answered(site, dialect, SHOP, token) == ROWS["response unknown"][dialect]
    site.now += 31
    assert site.passes(dialect, SHOP, token)


@EACH
def test_a_token_of_another_site_stays_good_for_its_own(site: Site, dialect: str) -> None:
    tokens = [site.native("blog"), site.cap("blog"), site.caputchin("blog"), site.altcha("blog")]
    for token in tokens if dialect != "cap" else tokens[1:]:
        assert answered(site, dialect, SHOP, token) == ROWS["site mismatch"][dialect]
    path = "blog/siteverify" if dialect == "cap" else None
    key = {"key": "blog"} if dialect == "mcaptcha" else {}
    told = site.ask(dialect, BLOG, token, path=path, **key)
    assert CALLS[dialect].passed(told.status, told.members)


@EACH
def test_either_secret_of_a_rotation_verifies(site: Site, dialect: str) -> None:
    path = "blog/siteverify" if dialect == "cap" else None
    key = {"key": "blog"} if dialect == "mcaptcha" else {}
    for secret in (BLOG, "older-secret-of-the-blog"):
        told = site.ask(dialect, secret, site.native("blog"), path=path, **key)
        assert CALLS[dialect].passed(told.status, told.members)


@EACH
def test_of_many_calls_with_one_token_at_once_one_succeeds(site: Site, dialect: str) -> None:
    token, gate = site.native(), threading.Barrier(20)

    def call(_: int) -> bool:
        gate.wait(10)
        return site.passes(dialect, SHOP, token)

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(call, range(20))) == 1


def test_a_token_that_passed_in_one_dialect_is_used_in_all_and_at_the_gates_routes(site: Site) -> None:
    token = site.native()
    assert site.passes("turnstile", SHOP, token, idempotency_key="6b0f1f0e-0a53-4d2e-9a3d-6b3f5a6f1f2c")
    for dialect in CALLS:
        assert answered(site, dialect, SHOP, token) == ROWS["response used"][dialect]
    assert str(getattr(site.gate.verify(token), "reason", "")) == "token-used"


@EACH
def test_what_each_widget_of_the_gate_makes_verifies(site: Site, dialect: str) -> None:
    for token in (site.native(), site.cap(), site.altcha(), site.caputchin()):
        assert site.passes(dialect, SHOP, token)
        assert not site.passes(dialect, SHOP, token)


@EACH
@pytest.mark.parametrize("dialects", [["gotcha"], "{dialect}"])
def test_a_site_may_name_its_dialects(dialect: str, dialects: Any) -> None:
    chosen = [dialect] if dialects == "{dialect}" else dialects
    site = Site(sites=[{**SITES[0], "dialects": chosen}])
    token = site.native() if dialect != "cap" else site.cap()
    expected = (200, None) if dialect in chosen else ROWS["secret unknown"][dialect]
    told = site.ask(dialect, SHOP, token)
    assert (told.status, word(dialect, told)) == expected
    site.gate.close()


# What a site is told of it


@EACH
def test_wrong_tokens_that_a_back_end_asks_about_harden_its_site(dialect: str) -> None:
    site = Site()
    forged = "shop:" + "0" * 32 + ":" + "0" * 60 if dialect == "cap" else FORGED
    for number in range(120):
        site.now = START + number / 4
        site.ask(dialect, SHOP, forged)
        site.ask(dialect, "wrong", forged)
    assert site.gate.hardening() == {"shop": "critical", "blog": "normal"}
    site.gate.close()


@EACH
def test_right_tokens_and_calls_without_its_secret_do_not(dialect: str) -> None:
    site = Site(in_process={"wrong_secrets_per_minute": 1000, "challenges_per_minute": 1000})
    for number in range(120):
        site.now = START + number / 4
        site.ask(dialect, "wrong", FORGED)
        if number % 2:
            assert site.passes(dialect, SHOP, site.cap())
    assert site.gate.hardening()["blog"] == "normal"
    assert site.gate.hardening()["shop"] in ("normal", "suspicious")  # a young site, with a busy minute
    site.gate.close()


# The store


@EACH
def test_a_store_that_does_not_answer_is_no_verdict(site: Site, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a success nor the token's fault: clients count it as a failure of the service."""
    token, store = site.native(), type(site.gate._store)
    expected = {
        **dict.fromkeys(LIKE_RECAPTCHA, (503, "internal-error")),
        "turnstile": (200, "internal-error"),
        "cap": (500, "Internal error"),
        "captchaapi": (503, "unavailable"),
        "procaptcha": (503, "API.UNKNOWN"),
        "friendly": (503, "internal_error"),
        "mcaptcha": (503, "nobody could tell"),
    }[dialect]
    with monkeypatch.context() as trouble:
        trouble.setattr(store, "claim", lambda *_: ClaimResult.STORE_DOWN)
        assert answered(site, dialect, SHOP, token) == expected
    with monkeypatch.context() as trouble:
        trouble.setattr(store, "count", lambda *_: StoreDown())
        assert answered(site, dialect, SHOP, token) == expected
    with monkeypatch.context() as trouble:
        trouble.setattr(NativeChallenges, "check", lambda *_, **__: 1 / 0)
        assert answered(site, dialect, SHOP, token) == expected
    assert site.passes(dialect, SHOP, token)


# The answer


@EACH_LIKE_RECAPTCHA
def test_error_codes_are_there_when_clients_expect_them(site: Site, dialect: str) -> None:
    success = site.ask(dialect, SHOP, site.native()).raw
    failure = site.ask(dialect, SHOP, FORGED).raw
    assert ('"error-codes":[]' in success) is (dialect in ("turnstile", "caputchin"))
    assert ('"error-codes"' in success) is (dialect in ("turnstile", "caputchin"))
    assert re.search(r'"error-codes":\["[a-z-]+"\]', failure)


SECONDS, MILLISECONDS, MICROSECONDS = "2027-01-15T08:00:07Z", "2027-01-15T08:00:07.000Z", "2027-01-15T08:00:07.000000Z"


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        ("recaptcha", {"success": True, "challenge_ts": SECONDS, "hostname": "shop.example"}),
        ("hcaptcha", {"success": True, "challenge_ts": MICROSECONDS, "hostname": "shop.example"}),
        (
            "turnstile",
            {
                "success": True,
                "error-codes": [],
                "challenge_ts": MILLISECONDS,
                "hostname": "shop.example",
                "action": "",
                "cdata": "",
                "metadata": {"interactive": False},
            },
        ),
        (
            "caputchin",
            {"success": True, "error-codes": [], "platform": {"game_id": None, "score": None, "duration_ms": None}},
        ),
        ("gotcha", {"success": True, "challenge_ts": SECONDS, "hostname": "shop.example"}),
        ("cap", {"success": True}),
        ("captchaapi", {"success": True, "error_code": None, "over_limit": False}),
        ("procaptcha", {"status": "ok", "verified": True}),
        (
            "friendly",
            {
                "success": True,
                "data": {
                    "event_id": "{event}",
                    "challenge": {"timestamp": SECONDS, "origin": "https://shop.example"},
                    "risk_intelligence": None,
                },
            },
        ),
        ("mcaptcha", {"valid": True}),
    ],
)
def test_a_success_has_exactly_the_members_of_its_dialect(site: Site, dialect: str, members: dict[str, Any]) -> None:
    site.now += 7.9
    told = site.ask(dialect, SHOP, site.native())
    raw = re.sub('"ev_[0-9a-f]{32}"', '"{event}"', told.raw)
    assert (told.status, raw) == (200, json.dumps(members, separators=(",", ":")))


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        ("turnstile", {"success": False, "error-codes": [INVALID], "messages": []}),
        (
            "gotcha",
            {"success": False, "challenge_ts": "1970-01-01T00:00:00Z", "hostname": "", "error-codes": [INVALID]},
        ),
        ("captchaapi", {"success": False, "error_code": "invalid_token", "over_limit": False}),
        ("procaptcha", {"status": "ok", "verified": False}),
    ],
)
def test_a_failure_has_exactly_the_members_of_its_dialect(site: Site, dialect: str, members: dict[str, Any]) -> None:
    assert site.ask(dialect, SHOP, FORGED).members == members


def test_a_token_that_is_none_scores_0_at_procaptcha(site: Site) -> None:
    assert site.ask("procaptcha", SHOP, "x").members == {"status": "ok", "verified": False, "score": 0}


def test_a_missing_bearer_is_told_how_to_come() -> None:
    site = Site()
    for headers in ({}, {"authorization": "Basic x"}, {"authorization": SHOP}):
        told = Told(site.send("api/v1/captcha/verify", b"{}", headers={**headers, "content-type": JSON}))
        assert (told.status, told.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert told.members == {"success": False, "error_code": "invalid_secret", "over_limit": False}
    site.gate.close()


# Whose page, which action, when


TWO = {"site_key": "shop", "secret": SHOP, "domains": ["shop.example", "www.shop.example", "Checkout.Shop.Example"]}


@pytest.mark.parametrize("kind", ["native", "cap", "caputchin"])
@pytest.mark.parametrize(
    ("origin", "hostname"),
    [
        ("https://shop.example", "shop.example"),
        ("http://WWW.shop.example:8443", "www.shop.example"),
        ("https://checkout.shop.example", "checkout.shop.example"),
    ],
)
def test_the_hostname_is_that_of_the_page(kind: str, origin: str, hostname: str) -> None:
    site = Site(sites=[TWO])
    token = getattr(site, kind)(origin=origin)
    assert site.ask("recaptcha", SHOP, token).members["hostname"] == hostname
    site.gate.close()


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256"])
def test_a_page_without_an_origin_is_known_by_its_referer(algorithm: str) -> None:
    site = Site(sites=[TWO], in_process={"altcha": {"algorithm": algorithm}})
    headers = {"referer": "https://www.shop.example/contact?a=b"}
    for query, expected in (("", {}), ("action=login", {"action": "login"})):
        issued = json.loads(site.send("altcha/shop/challenge", method="GET", headers=headers, query=query).body)
        assert site.ask("recaptcha", SHOP, solve_altcha(issued), **expected).members["hostname"] == "www.shop.example"
    site.gate.close()


def test_where_the_page_is_not_known_there_is_no_hostname(site: Site) -> None:
    assert "hostname" not in site.ask("recaptcha", BLOG, site.native("blog")).members
    assert site.ask("gotcha", BLOG, site.native("blog")).members["hostname"] == ""


def test_another_set_of_domains_after_a_restart_costs_nobody_who_is_still_right() -> None:
    one, none = {**TWO, "domains": ["shop.example"]}, {**TWO, "domains": []}
    for before, after, expected in (
        (one, TWO, "shop.example"),
        (TWO, one, "shop.example"),
        (none, TWO, None),
        (TWO, {**TWO, "domains": ["www.shop.example"]}, INVALID),
    ):
        old, new = Site(sites=[before]), Site(sites=[after])
        told = new.ask("recaptcha", SHOP, old.native())
        assert told.members.get("hostname", (told.codes or [None])[0]) == expected
        old.gate.close()
        new.gate.close()


V3 = {**SITES[0], "v3": True, "actions": ["login", "sign up"]}


@pytest.mark.parametrize("action", ["", "login", "sign up"])
def test_version_3_is_told_a_constant_and_the_action_of_the_page(action: str) -> None:
    site = Site(sites=[{**V3, "score": 0.9}])
    named = {"action": action} if action else {}
    told = site.ask("recaptcha", SHOP, site.native(**named))
    assert (told.members["score"], told.members["action"]) == (0.9, action)
    assert site.ask("turnstile", SHOP, site.native(**named)).members["action"] == action
    assert set(site.ask("recaptcha", SHOP, FORGED).members) == {"success", "error-codes"}
    site.gate.close()


def test_the_action_of_altchas_widget_is_told_too() -> None:
    site = Site(sites=[V3])
    token = site.altcha(query="action=sign+up")
    assert answered(site, "hcaptcha", SHOP, token) == (200, INVALID)
    assert site.ask("turnstile", SHOP, token).members["action"] == "sign up"
    assert answered(site, "turnstile", SHOP, site.altcha(query="action=other")) == (200, INVALID)
    site.gate.close()


def test_a_score_is_seven_tenths_unless_the_settings_say_another(site: Site) -> None:
    v3 = Site(sites=[V3])
    assert v3.ask("recaptcha", SHOP, v3.native()).members["score"] == 0.7
    assert "score" not in site.ask("recaptcha", SHOP, site.native()).members
    assert set(v3.ask("hcaptcha", SHOP, v3.native()).members) == {"success", "challenge_ts", "hostname"}
    v3.gate.close()


@EACH
def test_a_token_for_an_action_needs_that_action_to_be_expected(site: Site, dialect: str) -> None:
    token = site.native(action="login")
    for expected in ({}, {"action": "signup"}, {"action": "x" * 1025}, {"action": 7}):
        assert not word_is_success(site, dialect, token, **expected)
    assert site.passes(dialect, SHOP, token, action="login")


def word_is_success(site: Site, dialect: str, token: str, **more: Any) -> bool:
    told = site.ask(dialect, SHOP, token, **more)
    return CALLS[dialect].passed(told.status, {"success": False, "verified": False, "valid": False, **told.members})


# The visitor's address, and the site that is expected


ADDRESS = {name: "ip" if name == "procaptcha" else "remoteip" for name in CALLS}


@EACH
def test_the_visitors_address_is_compared_where_it_is_sent(site: Site, dialect: str) -> None:
    token = site.native()
    foreign = {ADDRESS[dialect]: "192.0.2.77"}
    if dialect == "cap":  # its servers ignore the address
        assert site.passes(dialect, SHOP, token, **foreign)
        return
    told = site.ask(dialect, SHOP, token, **foreign)
    expected = {"hcaptcha": (200, "invalid-remoteip"), "gotcha": (200, None)}
    assert (told.status, word(dialect, told)) == expected.get(dialect, ROWS["response unknown"][dialect])
    assert site.passes(dialect, SHOP, token, **{ADDRESS[dialect]: f" ::ffff:{VISITOR}"})


@EACH
@pytest.mark.parametrize("address", ["nonsense", "1.2.3", 7, ["203.0.113.9"], "9" * 2000])
def test_an_address_that_can_not_be_read(site: Site, dialect: str, address: Any) -> None:
    token = site.native()
    told = site.ask(dialect, SHOP, token, **{ADDRESS[dialect]: address})
    expected = {"hcaptcha": "invalid-remoteip", "gotcha": "bad-request"}
    if dialect in expected:
        assert (told.status, word(dialect, told)) == (200, expected[dialect])
        assert site.passes(dialect, SHOP, token)
    else:
        assert CALLS[dialect].passed(told.status, told.members)


@EACH
@pytest.mark.parametrize(("binding", "passes"), [("require", False), ("off", True)])
def test_the_binding_of_the_settings_holds_in_every_dialect(dialect: str, binding: str, passes: bool) -> None:
    site = Site(in_process={"client_binding": binding})
    token = site.native()
    assert word_is_success(site, dialect, token) is passes
    if binding == "require":
        assert not word_is_success(site, dialect, token, **{ADDRESS[dialect]: "192.0.2.77"})
        assert word_is_success(site, dialect, token, **{ADDRESS[dialect]: VISITOR})
    site.gate.close()


@pytest.mark.parametrize(
    ("dialect", "named", "expected"),
    [
        ("hcaptcha", {"sitekey": "blog"}, (200, "sitekey-secret-mismatch")),
        ("hcaptcha", {"sitekey": 7}, (200, "sitekey-secret-mismatch")),
        ("hcaptcha", {"sitekey": "shop"}, (200, None)),
        ("friendly", {"sitekey": "nobody"}, (400, "sitekey_invalid")),
        ("friendly", {"sitekey": "shop"}, (200, None)),
        ("mcaptcha", {"key": "blog"}, (404, "Captcha not found.")),
        ("mcaptcha", {"key": ""}, (400, "secret, key or token is missing")),
        ("recaptcha", {"sitekey": "blog"}, (200, None)),
        ("turnstile", {"sitekey": "blog"}, (200, None)),
    ],
)
def test_a_site_that_is_expected_is_compared_where_the_dialect_has_it(
    site: Site, dialect: str, named: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    token = site.native()
    assert answered(site, dialect, SHOP, token, **named) == expected
    if expected[1] is not None:
        assert site.passes(dialect, SHOP, token)


def test_a_token_of_another_site_is_told_as_the_wrong_site_to_who_named_one(site: Site) -> None:
    assert answered(site, "friendly", SHOP, site.native("blog"), sitekey="shop") == (400, "sitekey_invalid")


# How often


@EACH
def test_too_many_calls_of_one_network_are_refused_for_a_while(dialect: str) -> None:
    site = Site(in_process={"verifications_per_minute": 10})
    headers, fields = CALLS[dialect].written(SHOP, FORGED)
    headers["content-type"] = JSON
    for _ in range(10):
        assert Told(site.send(CALLS[dialect].path, json.dumps(fields).encode(), headers=headers)).status in (200, 404)
    site.now += 20.5
    told = site.ask(dialect, SHOP, site.native())
    assert (told.status, told.headers["Retry-After"]) == (429, "40")
    expected = {"cap": "Rate limit exceeded", "procaptcha": "API.RATE_LIMITED", "mcaptcha": "too many calls"}
    expected |= {"captchaapi": "rate_limited", "friendly": "rate_limited"}
    assert word(dialect, told) == expected.get(dialect, "rate-limited")
    elsewhere = Told(site.send(CALLS[dialect].path, json.dumps(fields).encode(), headers=headers, peer="192.0.2.1"))
    assert elsewhere.status != 429
    site.now += 40
    assert site.passes(dialect, SHOP, site.native())
    site.gate.close()


def test_captchaapis_clients_are_told_when_to_come_back_in_the_body_too() -> None:
    site = Site(in_process={"wrong_secrets_per_minute": 1})
    assert answered(site, "captchaapi", "wrong", FORGED) == (401, "invalid_secret")
    told = site.ask("captchaapi", "wrong", FORGED)
    assert told.members == {"success": False, "error_code": "rate_limited", "over_limit": False, "retry_after": 60}
    site.gate.close()


def test_who_guesses_secrets_is_slowed_down_and_who_knows_one_is_not() -> None:
    site = Site(in_process={"wrong_secrets_per_minute": 3})
    answers = [answered(site, "recaptcha", f"guess {number}", FORGED) for number in range(4)]
    assert answers == [(200, "invalid-input-secret")] * 3 + [(429, "rate-limited")]
    assert site.passes("recaptcha", SHOP, site.native())
    site.gate.close()


# Test keys


def test_test_keys_are_wrong_secrets_unless_they_are_allowed(site: Site) -> None:
    for secret in ("gate_sec_test_pass", "1x0000000000000000000000000000000AA"):
        assert answered(site, "turnstile", secret, "x") == (200, "invalid-input-secret")
    assert "X-Gate-Test-Key" not in site.ask("turnstile", SHOP, FORGED).headers
    assert json.loads(site.challenge("gate_pub_test_pass").body)["error_code"] == "invalid_site_key"


@EACH
def test_test_keys_say_what_the_answer_is(dialect: str) -> None:
    site = Site(allow_test_keys=True)
    for _ in range(2):
        told = site.ask(dialect, "gate_sec_test_pass", "any:text:at all")
        assert CALLS[dialect].passed(told.status, told.members)
        assert told.headers["X-Gate-Test-Key"] == "1"
    used = ROWS["response used"][dialect]
    assert answered(site, dialect, "gate_sec_test_spent", "a:b:c") == used
    unknown = ROWS["response unknown"][dialect]
    assert answered(site, dialect, "gate_sec_test_block", "a:b:c") == unknown
    assert site.ask(dialect, "gate_sec_test_error", "a:b:c").status in (200, 500, 503)
    assert not word_is_success_with(site, dialect, "gate_sec_test_error", "a:b:c")
    assert answered(site, dialect, "gate_sec_test_pass", "") == ROWS["response missing"][dialect]
    assert answered(site, dialect, "gate_sec_test_pass", 7) == ROWS["response malformed"][dialect]
    assert site.ask(dialect, SHOP, site.native()).headers["X-Gate-Test-Key"] == "1"
    site.gate.close()


def word_is_success_with(site: Site, dialect: str, secret: str, token: str) -> bool:
    told = site.ask(dialect, secret, token)
    return CALLS[dialect].passed(told.status, {"success": False, "verified": False, "valid": False, **told.members})


ZEROS = "0x" + "0" * 40


@pytest.mark.parametrize(
    ("dialect", "secret", "response", "code"),
    [
        ("turnstile", "1x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", None),
        ("turnstile", "2x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", INVALID),
        ("turnstile", "3x0000000000000000000000000000000AA", "XXXX.DUMMY.TOKEN.XXXX", "timeout-or-duplicate"),
        ("turnstile", ZEROS, "XXXX.DUMMY.TOKEN.XXXX", "invalid-input-secret"),
        ("hcaptcha", ZEROS, "10000000-aaaa-bbbb-cccc-000000000001", None),
        ("hcaptcha", ZEROS, "20000000-aaaa-bbbb-cccc-000000000002", None),
        ("hcaptcha", ZEROS, "30000000-aaaa-bbbb-cccc-000000000003", INVALID),
        ("hcaptcha", "1x0000000000000000000000000000000AA", "x", "invalid-input-secret"),
        ("recaptcha", "1x0000000000000000000000000000000AA", "x", "invalid-input-secret"),
    ],
)
def test_the_providers_public_test_keys_work_in_their_dialects(
    dialect: str, secret: str, response: str, code: str | None
) -> None:
    site = Site(allow_test_keys=True)
    told = site.ask(dialect, secret, response)
    assert (told.codes or None) == ([code] if code is not None else None)
    if code is None:
        assert told.members["hostname"] == "example.com"
    if dialect == "turnstile" and code is None:
        assert told.members["metadata"]["result_with_testing_key"] is True
    site.gate.close()


def test_pages_get_challenges_for_the_test_keys_and_no_route_takes_them() -> None:
    site = Site(allow_test_keys=True)
    for key in ("gate_pub_test_pass", "gate_pub_test_block", "gate_pub_test_spent"):
        issued = site.challenge(key)
        assert issued.status == 200
    token = site.native("gate_pub_test_pass")
    assert site.ask("cap", "gate_sec_test_pass", token, path="gate_pub_test_pass/siteverify").status == 200
    assert str(getattr(site.gate.verify(token), "reason", "")) == "token-rejected"
    assert answered(site, "recaptcha", SHOP, token) == (200, INVALID)
    site.gate.close()


# The log


def test_each_call_is_one_line_that_holds_no_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    token = site.native()
    with caplog.at_level(logging.INFO, "caputchin_gate"):
        for dialect in CALLS:
            site.ask(dialect, SHOP, token)
        site.ask("recaptcha", "canary-secret", token)
        query = urlencode({"secret": SHOP, "response": token})
        Told(site.send("siteverify", query=query))
    events = [record for record in caplog.records if getattr(record, "event", "") == "siteverify"]
    assert len(events) == len(CALLS) + 2
    first: Any = events[0]
    assert (first.dialect, first.site_key, first.outcome, first.caller) == ("recaptcha", "shop", "success", BACK_END)
    assert first.elapsed >= 0
    assert re.fullmatch("[0-9a-f]{8}", first.token_digest)
    assert {getattr(record, "token_digest", None) for record in events} == {first.token_digest}
    written = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for hidden in (SHOP, token, token[:32], "canary-secret", query):
        assert hidden not in written


def test_an_outage_and_a_limit_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(in_process={"wrong_secrets_per_minute": 1})
    with caplog.at_level(logging.WARNING, "caputchin_gate"):
        for _ in range(2):
            site.ask("recaptcha", "wrong", FORGED)
    assert [getattr(record, "outcome", None) for record in caplog.records][-1:] == ["rate-limited"]
    site.gate.close()


def test_whatever_breaks_is_told_by_its_class_alone_and_answered_in_json(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ValueError(SHOP)

    token = site.native()
    with monkeypatch.context() as trouble:
        trouble.setattr(NativeChallenges, "check", breaks)
        assert answered(site, "recaptcha", SHOP, token) == (503, "internal-error")
    with monkeypatch.context() as trouble:
        trouble.setattr(type(site.gate._store), "claim", breaks)
        told = site.ask("recaptcha", SHOP, token)
        assert (told.status, told.members["success"]) == (503, False)
    assert "ValueError" in caplog.text
    assert SHOP not in caplog.text


@EACH
def test_every_outcome_has_an_answer_in_every_dialect(dialect: str) -> None:
    from caputchin_gate.endpoints.siteverify.findings import Finding

    spoken = {one.name: one for one in (*PATHS.values(), CAP)}[dialect]
    impossible = {Outcome.SUCCESS, Outcome.REPEATED}
    if dialect != "turnstile":
        impossible.add(Outcome.IDEMPOTENCY_INVALID)
    if not spoken.readable_address:
        impossible.add(Outcome.ADDRESS_UNREADABLE)
    if spoken.site_key is None:
        impossible.add(Outcome.SITEKEY_MISMATCH)
    for outcome in set(Outcome) - impossible:
        told = Told(spoken.answer(Finding((outcome,))))
        assert not CALLS[dialect].passed(told.status, {"success": 0, "verified": 0, "valid": 0, **told.members})
