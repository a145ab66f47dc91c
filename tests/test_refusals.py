"""Refusals: what programs and people are told, in which language, and what never gets into an answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.refusals import is_local_path, render, wants_json
from caputchin_gate.refusals.texts import LANGUAGES, Notice
from caputchin_gate.verdict import ADMITTING, Decision, Reason

MISSING = Decision(Reason.TOKEN_MISSING)
REFUSING = sorted(set(Reason) - ADMITTING)
JSON = {"accept": "application/json"}
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "sec-fetch-mode": "navigate"}


def head(headers: dict[str, str] | None = None, method: str = "POST") -> RequestHead:
    return RequestHead(method, "/contact", headers={name: [value] for name, value in (headers or {}).items()})


def fields(response: Response) -> dict[str, str]:
    names = [name.lower() for name, _ in response.headers]
    assert len(names) == len(set(names)), "every header once"
    return {name.lower(): value for name, value in response.headers}


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text by tag."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        self.text[tag] = self.text.get(tag, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


# Every refusal

NOTICES = {
    Reason.TOKEN_MISSING: (403, "missing-input-response", Notice.MISSING),
    Reason.TOKEN_AMBIGUOUS: (400, "bad-request", Notice.UNREADABLE),
    Reason.TOKEN_MALFORMED: (403, "invalid-input-response", Notice.INVALID),
    Reason.TOKEN_REJECTED: (403, "invalid-input-response", Notice.INVALID),
    Reason.TOKEN_EXPIRED: (403, "timeout-or-duplicate", Notice.EXPIRED),
    Reason.TOKEN_USED: (403, "timeout-or-duplicate", Notice.EXPIRED),
    Reason.TOKEN_ELSEWHERE: (403, "token-elsewhere", Notice.INVALID),
    Reason.SCORE_TOO_LOW: (403, "score-too-low", Notice.INVALID),
    Reason.BODY_UNREADABLE: (400, "bad-request", Notice.UNREADABLE),
    Reason.BODY_TOO_LARGE: (413, "body-too-large", Notice.TOO_LARGE),
    Reason.BODY_INCOMPLETE: (400, "bad-request", Notice.UNREADABLE),
    Reason.TARGET_AMBIGUOUS: (400, "bad-request", Notice.UNREADABLE),
    Reason.RATE_LIMITED: (429, "rate-limited", Notice.SLOW_DOWN),
    Reason.UNAVAILABLE: (503, "verification-unavailable", Notice.UNAVAILABLE),
    Reason.MISCONFIGURED: (503, "verification-misconfigured", Notice.UNAVAILABLE),
    Reason.OVERLOADED: (503, "overloaded", Notice.UNAVAILABLE),
}


@pytest.mark.parametrize("reason", REFUSING)
def test_a_program_gets_a_problem_document_with_the_members_it_knows(reason: Reason) -> None:
    status, code, notice = NOTICES[reason]
    response = render(Decision(reason), head(JSON))
    words = LANGUAGES["en"].notices[notice]
    assert response.status == status
    assert fields(response)["content-type"] == "application/problem+json"
    assert json.loads(response.body) == {
        "type": f"urn:caputchin-gate:refusal:{notice}",
        "title": words.title,
        "status": status,
        "detail": f"{words.happened} {words.advice}",
        "success": False,
        "error-codes": [code],
    }


@pytest.mark.parametrize("reason", REFUSING)
def test_a_person_reads_what_happened_and_what_to_do(reason: Reason) -> None:
    status, code, notice = NOTICES[reason]
    response = render(Decision(reason), head(BROWSER))
    words = LANGUAGES["en"].notices[notice]
    outline = Outline(response.body)
    assert response.status == status
    assert fields(response)["content-type"] == "text/html; charset=utf-8"
    assert outline.text["h1"].strip() == outline.text["title"].strip() == words.title
    assert words.happened in outline.text["p"]
    assert words.advice in outline.text["p"]
    assert outline.text["span"].strip() == code


@pytest.mark.parametrize("headers", [JSON, BROWSER], ids=["program", "person"])
@pytest.mark.parametrize("reason", REFUSING)
def test_no_refusal_is_ever_stored_or_sniffed(reason: Reason, headers: dict[str, str]) -> None:
    response = render(Decision(reason), head(headers))
    found = fields(response)
    assert response.status >= 400
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    assert not {"etag", "last-modified", "expires"} & found.keys()
    assert {"Accept", "Accept-Language", "Origin"} <= set(found["vary"].split(", "))
    assert int(found["content-length"]) == len(response.body)


@pytest.mark.parametrize("reason", sorted(ADMITTING))
def test_an_admitting_decision_has_no_refusal(reason: Reason) -> None:
    with pytest.raises(ValueError, match="admits"):
        render(Decision(reason), head())


@pytest.mark.parametrize("status", [408, 415])
def test_the_decisions_own_status_counts(status: int) -> None:
    response = render(Decision(Reason.BODY_UNREADABLE, http_status=status), head(JSON))
    assert response.status == json.loads(response.body)["status"] == status


@pytest.mark.parametrize("headers", [JSON, BROWSER], ids=["program", "person"])
def test_a_head_request_gets_the_headers_without_the_body(headers: dict[str, str]) -> None:
    answer, bare = render(MISSING, head(headers)), render(MISSING, head(headers, method="HEAD"))
    assert bare.body == b""
    assert bare.headers == answer.headers


# Who gets which form


@pytest.mark.parametrize(
    ("headers", "json_wanted"),
    [
        ({}, False),
        (BROWSER, False),
        ({"accept": "*/*"}, False),
        ({"accept": ""}, False),
        ({"accept": "application/json"}, True),
        ({"accept": "Application/JSON; Charset=UTF-8"}, True),
        ({"accept": "application/problem+json"}, True),
        ({"accept": "application/vnd.api+json"}, True),
        ({"accept": "application/json, text/plain, */*"}, True),
        ({"accept": "text/html, */*"}, False),
        ({"accept": "text/*, application/json"}, True),
        ({"accept": "application/json, */*;q=0.5"}, True),
        ({"accept": "application/json;q=0.5, text/html"}, False),
        ({"accept": "text/html;q=0.5, application/json"}, True),
        ({"accept": "text/html, application/json"}, False),
        ({"accept": "application/*"}, True),
        ({"accept": "application/json;q=0"}, False),
        ({"accept": "text/html;q=0, */*"}, True),
        ({"accept": "application/json;q=high, text/html;q=0.1"}, False),
        ({"content-type": "application/json"}, True),
        ({"content-type": "application/json; charset=utf-8", "accept": "*/*"}, True),
        ({"content-type": "application/ld+json"}, True),
        ({"content-type": "application/x-www-form-urlencoded"}, False),
        ({"content-type": "multipart/form-data; boundary=json"}, False),
        ({"x-requested-with": "XMLHttpRequest"}, True),
        ({"x-requested-with": "xmlhttprequest", "accept": "text/html, */*; q=0.01"}, True),
        ({"x-requested-with": "com.example.app", "accept": "text/html"}, False),
        ({"hx-request": "true", "accept": "*/*"}, True),
        ({"hx-request": "false"}, False),
        ({"sec-fetch-mode": "cors", "accept": "*/*"}, True),
        ({"sec-fetch-mode": "same-origin"}, True),
        ({"sec-fetch-mode": "navigate", "accept": "*/*"}, False),
        ({"sec-fetch-mode": "no-cors"}, False),
        ({"sec-fetch-mode": "cors", "accept": "text/vnd.turbo-stream.html, text/html, application/xhtml+xml"}, False),
    ],
)
def test_programs_get_json_and_people_get_a_page(headers: dict[str, str], json_wanted: bool) -> None:
    assert wants_json(head(headers)) is json_wanted
    content_type = fields(render(MISSING, head(headers)))["content-type"]
    assert content_type.startswith("application/problem+json" if json_wanted else "text/html")


def test_several_accept_headers_are_one_list() -> None:
    several = RequestHead("POST", "/", headers={"accept": ["text/html;q=0.4", "application/json;q=0.6"]})
    assert wants_json(several)


# Languages


@pytest.mark.parametrize(
    ("accept_language", "tag"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("pt-BR, en;q=0.8", "pt"),
        ("sv, nl;q=0.5, en;q=0.3", "nl"),
        ("en;q=0.3, pl;q=0.9, it;q=0.5", "pl"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("fr, es", "fr"),
        ("zh-Hans, ja", "en"),
        ("*", "en"),
        ("es;q=much, it;q=0.2", "it"),
        (";;,,q=1;", "en"),
        ("../../de", "en"),
    ],
)
def test_the_visitors_first_language_that_we_speak_is_used(accept_language: str, tag: str) -> None:
    page = render(MISSING, head(BROWSER | {"accept-language": accept_language}))
    outline = Outline(page.body)
    assert outline.all("html") == [{"lang": tag}]
    assert outline.text["h1"].strip() == LANGUAGES[tag].notices[Notice.MISSING].title
    assert fields(page)["content-language"] == tag
    problem = render(MISSING, head(JSON | {"accept-language": accept_language}))
    assert json.loads(problem.body)["title"] == LANGUAGES[tag].notices[Notice.MISSING].title
    assert fields(problem)["content-language"] == tag


def test_every_language_says_everything_in_its_own_words_and_without_markup() -> None:
    sentences: list[str] = []
    for language in LANGUAGES.values():
        assert set(language.notices) == set(Notice)
        assert len({(words.title, words.happened) for words in language.notices.values()}) == len(Notice)
        sentences += [language.back_link, language.back_button]
        sentences += {text for words in language.notices.values() for text in (words.happened, words.advice)}
    assert len(sentences) == len(set(sentences)), "a sentence stands twice: is it translated?"
    assert all(re.fullmatch(r"[^<>&\"\\]+[^\s<>&\"\\]", sentence) for sentence in sentences)


OUR_FAULT = {
    "en": "on our side",
    "de": "bei uns",
    "fr": "de chez nous",
    "es": "es nuestro",
    "it": "è nostro",
    "nl": "bij ons",
    "pl": "po naszej stronie",
    "pt": "é nosso",
}


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.MISCONFIGURED, Reason.OVERLOADED])
@pytest.mark.parametrize("tag", LANGUAGES)
def test_what_is_our_fault_is_called_our_fault(tag: str, reason: Reason) -> None:
    page = render(Decision(reason), head(BROWSER | {"accept-language": tag}))
    assert OUR_FAULT[tag] in page.body.decode()


# The page


def test_a_page_has_one_heading_a_title_and_nothing_from_elsewhere() -> None:
    outline = Outline(render(MISSING, head(BROWSER)).body)
    assert len(outline.all("h1")) == len(outline.all("title")) == len(outline.all("main")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in outline.all("meta")
    assert not {"script", "img", "link", "iframe", "form", "a"} & {tag for tag, _ in outline.tags}
    assert not {"src", "href", "style", "onload"} & {name for _, names in outline.tags for name in names}


def test_the_policy_of_a_page_allows_its_own_style_and_nothing_else() -> None:
    page = render(MISSING, head(BROWSER))
    (style,) = re.findall(rb"<style>(.*?)</style>", page.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert fields(page)["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert fields(page)["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("back", "local"),
    [
        ("/contact", True),
        ("/", True),
        ("/contact?captcha=failed#form", True),
        ("contact", False),
        ("", False),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("https://evil.example", False),
        ("javascript:history.back()", False),
        ("/con\ttact", False),
        ("/con\r\ntact", False),
        ("/\t/evil.example", False),
        ("/contact\n", False),
    ],
)
def test_a_page_links_back_only_within_the_site(back: str, local: bool) -> None:
    assert is_local_path(back) is local
    page = render(MISSING, head(BROWSER), back=back)
    outline = Outline(page.body)
    assert outline.all("a") == ([{"href": back}] if local else [])
    assert (LANGUAGES["en"].back_button in page.body.decode()) is not local


def test_a_link_back_is_escaped() -> None:
    page = render(MISSING, head(BROWSER), back='/"><script>alert(1)</script>')
    assert b"<script" not in page.body


# Retry-After


@pytest.mark.parametrize(
    ("reason", "retry_after", "answered"),
    [
        (Reason.RATE_LIMITED, None, "60"),
        (Reason.RATE_LIMITED, 12.2, "13"),
        (Reason.RATE_LIMITED, 0, "1"),
        (Reason.RATE_LIMITED, -5, "1"),
        (Reason.UNAVAILABLE, None, "30"),
        (Reason.MISCONFIGURED, None, "30"),
        (Reason.OVERLOADED, 2, "2"),
        (Reason.UNAVAILABLE, 1e12, "3600"),
        (Reason.UNAVAILABLE, float("inf"), "30"),
        (Reason.UNAVAILABLE, float("nan"), "30"),
        (Reason.TOKEN_MISSING, 7, None),
    ],
)
def test_clients_are_told_when_to_come_back(reason: Reason, retry_after: float | None, answered: str | None) -> None:
    assert fields(render(Decision(reason, retry_after=retry_after), head())).get("retry-after") == answered


# Other origins

ALLOWED = ("shop.example", "https://app.example:8443", "::1")


@pytest.mark.parametrize(
    ("origin", "readable"),
    [
        ("https://shop.example", True),
        ("http://shop.example:8000", True),
        ("https://app.example:8443", True),
        ("http://[::1]:3000", True),
        ("https://app.example", False),
        ("https://shop.example.evil.example", False),
        ("https://evil-shop.example", False),
        ("https://shop.example@evil.example", False),
        ("https://evil.example/shop.example", False),
        ("https://SHOP.example", True),
        ("https://shop.example/", False),
        ("https://shop.example.", False),
        ("ftp://shop.example", False),
        ("https://shop.example\r\nX-Evil: 1", False),
        ("https://shop.example\n", False),
        ("shop.example", False),
        ("null", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("headers", [JSON, BROWSER], ids=["program", "person"])
def test_only_the_sites_own_origins_can_read_a_refusal(headers: dict[str, str], origin: str, readable: bool) -> None:
    found = fields(render(MISSING, head(headers | {"origin": origin}), allowed_origins=ALLOWED))
    assert found.get("access-control-allow-origin") == (origin if readable else None)
    assert found.get("access-control-expose-headers") == ("Retry-After" if readable else None)
    assert "Origin" in found["vary"]


def test_no_origin_is_allowed_unasked() -> None:
    assert "access-control-allow-origin" not in fields(render(MISSING, head({"origin": "https://shop.example"})))


# Nothing of the request

NAMES = ("accept", "accept-language", "content-type", "origin", "sec-fetch-mode", "hx-request", "x-requested-with")
VALUES = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(
    ["application/json", "text/html;q=0.5", "de, en;q=0.1", "https://shop.example", "cors", "true", '"><b>', "\r\nX: 1"]
)
BODIES = {
    render(MISSING, head(headers | {"accept-language": tag})).body for headers in (JSON, BROWSER) for tag in LANGUAGES
}


@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(VALUES, max_size=3)),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_nothing_of_a_request_gets_into_a_refusal(headers: dict[str, list[str]], path: str, query: str) -> None:
    request = RequestHead("POST", path, raw_path=path, query=query, headers=headers)
    response = render(MISSING, request, allowed_origins=ALLOWED)
    assert response.body in BODIES
    for name, value in response.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[\x20-\x7e]+", value)


def test_of_a_very_long_header_the_beginning_counts() -> None:
    many = ", ".join(f"x{number:03}" for number in range(1000))
    assert fields(render(MISSING, head({"accept-language": f"de, {many}, fr;q=0.5"})))["content-language"] == "de"
    assert fields(render(MISSING, head({"accept-language": f"{many}, fr"})))["content-language"] == "en"
    assert wants_json(head({"accept": f"application/json, {many}"}))
    cut = "text/html;q=0.5, " + "application/json;q=0." + "0" * 2040 + "9"
    assert not wants_json(head({"accept": cut}))
