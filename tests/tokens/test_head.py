"""What the head of a request decides about its token, and which bodies are searched at all."""

from __future__ import annotations

import pytest

from caputchin_gate.errors import ConfigurationError
from caputchin_gate.messages import RequestHead
from caputchin_gate.tokens import BodySearch, Candidate, Found, Places, Source, begin
from tests.tokens.searching import (
    AMBIGUOUS,
    FIELD,
    JSON,
    MALFORMED,
    MISSING,
    MULTIPART,
    OLD_FIELD,
    PLACES,
    UNREADABLE,
    UNSUPPORTED,
    URLENCODED,
    request,
    search,
    told,
)

EVERYWHERE = Places((FIELD,), frozenset(Source))
HEADERLESS = Places((FIELD,), frozenset({Source.FORM, Source.JSON}))
QUERY = Places((FIELD,), frozenset({Source.QUERY}))
COOKIE = Places((FIELD, OLD_FIELD), frozenset({Source.COOKIE}))


def test_a_header_token_is_found_without_a_look_at_the_body() -> None:
    head = request(f"{URLENCODED}, text/plain", content_encoding="gzip", x_caputchin_token=" abc ")
    assert begin(head, PLACES) == Found(Candidate(None, "abc", Source.HEADER))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("abc",), "abc"),
        (("\tabc ",), "abc"),
        (("a" * 16384,), "a" * 16384),
        (("",), MISSING),
        ((" ",), MISSING),
        (("abc", "def"), AMBIGUOUS),
        (("abc", "abc"), AMBIGUOUS),
        (("abc", ""), AMBIGUOUS),
        (("abc,abc",), AMBIGUOUS),
        (("abc, def",), AMBIGUOUS),
        (("abc,",), AMBIGUOUS),
        (("a b",), MALFORMED),
        (("a\x7f",), MALFORMED),
        (("\xe9",), MALFORMED),
        (("a" * 16385,), MALFORMED),
    ],
)
def test_a_header_token_is_one_plain_value(values: tuple[str, ...], expected: str) -> None:
    assert told(search(b"", request(x_caputchin_token=values))) == expected


def test_a_header_is_ignored_where_the_route_does_not_look_for_it() -> None:
    head = request(URLENCODED, x_caputchin_token=("abc", "def"))
    assert told(search(b"caputchin-token=xyz", head, HEADERLESS)) == "xyz"


def test_an_empty_header_leaves_the_search_to_the_body() -> None:
    assert told(search(b"caputchin-token=xyz", request(URLENCODED, x_caputchin_token=""))) == "xyz"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=latin-1",
        "application/octet-stream",
        "multipart/mixed; boundary=x",
        "application/jsonp",
        "application/x-www-form-urlencoded2",
    ],
)
def test_a_body_that_carries_no_token_is_decided_at_once(content_type: str | None) -> None:
    assert told(begin(request(content_type), PLACES)) == MISSING


@pytest.mark.parametrize(
    "content_type",
    [
        URLENCODED,
        "Application/X-WWW-Form-URLencoded",
        f"{URLENCODED};charset=UTF-8",
        f'{URLENCODED} ; charset="utf-8" ;',
        f"{URLENCODED}; charset=us-ascii; x=y",
        MULTIPART,
        f"{MULTIPART}; charset=utf-8",
        'multipart/form-data; boundary="a b:c"',
        "multipart/form-data; BOUNDARY=" + "b" * 70,
        JSON,
        "text/json",
        "application/problem+json",
        "application/vnd.api+json; charset=utf8",
    ],
)
def test_forms_and_json_are_searched(content_type: str) -> None:
    assert isinstance(begin(request(content_type), PLACES), BodySearch)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ((URLENCODED, URLENCODED), UNREADABLE),
        ((URLENCODED, "text/plain"), UNREADABLE),
        ((f"{URLENCODED},{URLENCODED}",), UNREADABLE),
        ((f"text/plain, {URLENCODED}",), UNREADABLE),
        ((f"text/plain; a=b, {URLENCODED}",), UNREADABLE),
        ((f"{URLENCODED} x",), UNREADABLE),
        (("urlencoded",), UNREADABLE),
        ((f"{URLENCODED}; charset=utf-8; charset=utf-8",), UNREADABLE),
        ((f"{URLENCODED}; charset*=utf-8''utf-8",), UNREADABLE),
        ((f"{URLENCODED}; charset",), UNREADABLE),
        ((f"{URLENCODED}; charset = utf-8",), UNREADABLE),
        ((f"{URLENCODED}; charset=latin-1",), UNSUPPORTED),
        ((f"{URLENCODED}; charset=utf-16",), UNSUPPORTED),
        ((f"{MULTIPART}; charset=utf-7",), UNSUPPORTED),
        ((f"{JSON}; charset=iso-8859-1",), UNSUPPORTED),
        (("multipart/form-data",), UNREADABLE),
        (("multipart/form-data; boundary=",), UNREADABLE),
        (('multipart/form-data; boundary=""',), UNREADABLE),
        (('multipart/form-data; boundary="x "',), UNREADABLE),
        (('multipart/form-data; boundary="x\\"y"',), UNREADABLE),
        (('multipart/form-data; boundary="x@y"',), UNREADABLE),
        (("multipart/form-data; boundary=x@y",), UNREADABLE),
        (("multipart/form-data; boundary=a=b",), UNREADABLE),
        (("multipart/form-data; boundary=a; boundary=a",), UNREADABLE),
        (("multipart/form-data; boundary=a; Boundary=b",), UNREADABLE),
        (("multipart/form-data; boundary*0=a; boundary*1=b",), UNREADABLE),
        (("multipart/form-data; boundary*=utf-8''a",), UNREADABLE),
        (("multipart/form-data; boundary=a; boundary*=utf-8''b",), UNREADABLE),
        (("multipart/form-data; boundary=" + "b" * 71,), UNREADABLE),
    ],
)
def test_a_content_type_that_can_be_read_in_two_ways_is_refused(content_type: tuple[str, ...], expected: str) -> None:
    assert told(begin(request(content_type=None, **{"content-type": content_type}), PLACES)) == expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("gzip", UNSUPPORTED),
        ("br", UNSUPPORTED),
        ("identity, gzip", UNSUPPORTED),
        (("identity", "gzip"), UNSUPPORTED),
        ("identity", "xyz"),
        ("Identity ", "xyz"),
        ("", "xyz"),
    ],
)
def test_a_compressed_body_is_not_searched(encoding: str | tuple[str, ...], expected: str) -> None:
    assert told(search(b"caputchin-token=xyz", request(URLENCODED, content_encoding=encoding))) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("caputchin-token=abc", "abc"),
        ("a=b&caputchin%2dtoken=ab%63&c", "abc"),
        ("caputchin-token=", MISSING),
        ("Caputchin-Token=abc", MISSING),
        ("", MISSING),
        ("caputchin-token=abc&caputchin-token=abc", "abc"),
        ("caputchin-token=abc&caputchin-token=def", AMBIGUOUS),
        ("caputchin-token=%zz", MALFORMED),
        ("caputchin-token=\xe9", MALFORMED),
        ("a&" * 1000, UNREADABLE),
    ],
)
def test_a_query_is_searched_where_the_route_looks_there(query: str, expected: str) -> None:
    assert told(begin(request(query=query), QUERY)) == expected
    assert told(begin(request(query=query), PLACES)) == MISSING


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("caputchin-token=abc", "abc"),
        ("a=b; caputchin-token=abc;c=d", "abc"),
        ('caputchin-token="abc"', "abc"),
        ("caputchin-token=a=b", "a=b"),
        (("a=b", "caputchin-token=abc"), "abc"),
        ("caputchin-token=", MISSING),
        ('caputchin-token=""', MISSING),
        ("caputchin-token", MISSING),
        ("Caputchin-Token=abc", MISSING),
        ("x-caputchin-token=abc", MISSING),
        ("caputchin-token=abc; caputchin-token=abc", "abc"),
        ("caputchin-token=abc; caputchin-token=def", AMBIGUOUS),
        ("caputchin-token=abc; g-recaptcha-response=abc", AMBIGUOUS),
        ('caputchin-token="a\\142c"', MALFORMED),
        ('caputchin-token="abc', MALFORMED),
        ("caputchin-token=abc,x=y", MALFORMED),
        ("a=b; " * 500 + f"{FIELD}=abc", "abc"),
        ("a=b; " * 1000 + f"{FIELD}=abc", MISSING),
        (f"{FIELD}=abc; " + "a=b; " * 1000, MISSING),
    ],
)
def test_cookies_are_searched_where_the_route_looks_there(cookies: str | tuple[str, ...], expected: str) -> None:
    assert told(begin(request(cookie=cookies), COOKIE)) == expected
    assert told(begin(request(cookie=cookies), PLACES)) == MISSING


@pytest.mark.parametrize(
    ("query", "cookie", "body", "expected"),
    [
        ("caputchin-token=abc", "", b"", "abc"),
        ("", "caputchin-token=abc", b"x=y", "abc"),
        ("caputchin-token=abc", "caputchin-token=abc", b"caputchin-token=abc", "abc"),
        ("caputchin-token=abc", "", b"caputchin-token=def", AMBIGUOUS),
        ("", "caputchin-token=abc", b"caputchin-token=def", AMBIGUOUS),
        ("caputchin-token=abc", "caputchin-token=def", b"", AMBIGUOUS),
        ("caputchin-token=", "caputchin-token=", b"caputchin-token=abc", "abc"),
        ("caputchin-token=a%20b", "", b"caputchin-token=abc", AMBIGUOUS),
    ],
)
def test_the_tokens_of_all_places_are_compared(query: str, cookie: str, body: bytes, expected: str) -> None:
    assert told(search(body, request(URLENCODED, query, cookie=cookie), EVERYWHERE)) == expected


def test_a_token_tells_the_field_and_the_place_it_was_found_in() -> None:
    both = Places((FIELD, OLD_FIELD), frozenset(Source))
    form = search(b"g-recaptcha-response=abc", URLENCODED, both)
    assert form == Found(Candidate(OLD_FIELD, "abc", Source.FORM))
    assert begin(request(query="caputchin-token=abc"), both) == Found(Candidate(FIELD, "abc", Source.QUERY))
    assert search(b'{"caputchin-token": "abc"}', JSON, both) == Found(Candidate(FIELD, "abc", Source.JSON))


@pytest.mark.parametrize("source", [Source.FORM, Source.JSON])
def test_only_the_kinds_of_body_that_the_route_names_are_searched(source: Source) -> None:
    only = Places((FIELD,), frozenset({source}))
    form, json = search(b"caputchin-token=abc", URLENCODED, only), search(b'{"caputchin-token":"abc"}', JSON, only)
    assert [told(form), told(json)] == (["abc", MISSING] if source is Source.FORM else [MISSING, "abc"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_every_method_is_searched_alike(method: str) -> None:
    head = RequestHead(method, "/x", query="caputchin-token=abc", headers={"content-type": (JSON,)})
    assert told(search(b"", head, EVERYWHERE)) == "abc"


def test_an_outcome_stays_what_it_is() -> None:
    search = begin(request(JSON), PLACES, max_json=10)
    assert isinstance(search, BodySearch)
    refused = search.feed(b"x" * 11)
    assert refused is not None
    assert search.feed(b"{}") is refused
    assert search.finish() is refused


def test_a_token_is_not_in_the_text_of_its_candidate() -> None:
    assert "sesame" not in repr(search(b"caputchin-token=sesame", URLENCODED))


@pytest.mark.parametrize("field", ["", "a b", 'a"b', "a%62", "a+b", "a&b", "a=b", "a;b", "a\\b", "jeton-é", "a\n"])
def test_a_field_name_that_frameworks_read_differently_is_a_mistake_of_the_settings(field: str) -> None:
    with pytest.raises(ConfigurationError, match="token_field"):
        Places((FIELD, field))


@pytest.mark.parametrize("pointer", ["", "token", "/a~b", "/a~2"])
def test_what_is_no_json_pointer_is_a_mistake_of_the_settings(pointer: str) -> None:
    with pytest.raises(ConfigurationError, match="json_pointer"):
        Places((FIELD,), json_pointer=pointer)


def head_with(header: str, query: str = "", cookie: str = "") -> RequestHead:
    headers = {"x-caputchin-token": (header,), "content-type": ("application/json",)}
    return RequestHead("POST", "/", query=query, headers=headers | ({"cookie": (cookie,)} if cookie else {}))


def test_a_header_token_and_an_equal_one_elsewhere_in_the_head_are_one() -> None:
    head = head_with("abc", f"{FIELD}=abc", f"{FIELD}=abc")
    assert begin(head, EVERYWHERE) == Found(Candidate(None, "abc", Source.HEADER))


def test_a_header_token_and_another_elsewhere_in_the_head_are_ambiguous() -> None:
    for head in (head_with("abc", f"{FIELD}=xyz"), head_with("abc", cookie=f"{FIELD}=xyz")):
        assert told(begin(head, EVERYWHERE)) == AMBIGUOUS


def test_an_empty_header_token_leaves_the_body_to_be_read() -> None:
    assert isinstance(begin(head_with(" "), EVERYWHERE), BodySearch)
