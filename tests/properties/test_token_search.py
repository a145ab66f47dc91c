"""What holds for every body, however it is cut: the search answers as a plain reference does, and sees the token that
the frameworks see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caputchin_gate.tokens import BodySearch, Found, Missing, Outcome, Places, begin
from tests.properties.token_readers import (
    FIELDS,
    FORM_READERS,
    Reader,
    json_reader,
    json_reference,
    multipart_reference,
    urlencoded_reference,
)
from tests.tokens.searching import (
    BOUNDARY,
    END,
    FIELD,
    JSON,
    MULTIPART,
    OLD_FIELD,
    URLENCODED,
    file,
    part,
    request,
    search,
    told,
)

BOTH = Places(FIELDS)
MARK = f"--{BOUNDARY}".encode()
PART_WITHOUT_BOUNDARY = f'Content-Disposition: form-data; name="{FIELD}"\r\n\r\nabd'.encode()

sizes = st.one_of(st.just([]), st.just([1] * 100_000), st.lists(st.integers(1, 60), max_size=60))


def often(usual: st.SearchStrategy[bytes], odd: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly what clients send, so that the odd thing stands alone and is not lost among others."""
    return st.integers(0, 7).flatmap(lambda dice: odd if dice == 0 else usual)


def joined(strategy: st.SearchStrategy[bytes], most: int) -> st.SearchStrategy[bytes]:
    return st.lists(strategy, max_size=most).map(b"".join)


values = st.sampled_from([b"abc", b"abc", b"abd", b"", b" ", b" abc\r\n", b"a b", b"\xff", b"a" * 16384, b"a" * 16385])

# Urlencoded

urlencoded_names = st.sampled_from(
    [
        *(FIELD.encode(), OLD_FIELD.encode(), b"%63aputchin-token", b"caputchin%2Dtoke%6e", b"%2563aputchin-token"),
        *(b"Caputchin-token", b"+caputchin-token", b"caputchin-token%", b"name", b"items%5B%5D", b"\xe9"),
        *(b"%zz", b"%", b""),
    ]
)
urlencoded_values = st.one_of(
    values, joined(st.sampled_from([b"a", b"%61", b"%2B", b"+", b"%", b"%4", b"%0a", b"\n", b"%00", b"=", b";"]), 6)
)
urlencoded_field = st.tuples(urlencoded_names, st.sampled_from([b"=", b"=", b"=", b"", b"=="]), urlencoded_values)
urlencoded_bodies = st.lists(urlencoded_field.map(b"".join), max_size=5).map(b"&".join)

# Multipart

plain_parts = st.builds(part, st.sampled_from([FIELD, FIELD, OLD_FIELD, "name"]), values)
file_parts = st.builds(file, values, st.sampled_from(["upload", "upload", FIELD]))
dispositions = st.sampled_from(
    [
        f'form-data; name="{name}"{more}'.encode()
        for name in (FIELD, f" {FIELD}", f"{FIELD}\xa0", "caputchin%2dtoken", "a%22b", "x", "")
        for more in ("", '; filename=""', '; filename="x"', '; filename="\\"', '; filename="a\\b"', "; x=y", ";")
    ]
    + [f"form-data; name={FIELD}".encode(), f'attachment; name="{FIELD}"'.encode(), b'form-data; name="\xff"']
)
header_lines = st.sampled_from(
    [
        b"Content-Type: text/plain",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Type: text/plain; charset=utf-16",
        b"Content-Transfer-Encoding: base64",
        b"content-transfer-encoding: 7bit",
        b"X-Odd: a\tb",
        b"X-Odd: a\rb",
        b"X-Odd: a\nb",
        b" folded",
        b"nothing",
        b"X-Long: " + b"y" * 8000,
        b"X-Odd: " + MARK,
        MARK + b": x",
        f'content-disposition: form-data; name="{FIELD}"'.encode(),
    ]
)
contents = st.one_of(
    values,
    joined(
        st.sampled_from(
            [b"\r\n", b"\n", b"\r", b"--", b"--\r\n", MARK, MARK[:-1], PART_WITHOUT_BOUNDARY, b"abc", b"x"]
        ),
        6,
    ),
)


def odd_part(disposition: bytes, lines: list[bytes], line_end: bytes, content: bytes) -> bytes:
    head = [MARK, b"Content-Disposition: " + disposition, *lines, b""]
    return line_end.join(head) + line_end + content + line_end


odd_parts = st.builds(
    odd_part,
    dispositions,
    st.lists(header_lines, max_size=2),
    st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r"]),
    contents,
)
margins = joined(
    st.sampled_from([b"\r\n", b"\n", b"x", b"--", b" ", MARK, b"content-disposition: form-data; name=x\r\n\r\n", b"-"]),
    4,
)
multipart_bodies = st.builds(
    lambda before, parts, end, after: before + parts + end + after,
    often(st.just(b""), margins),
    joined(often(st.one_of(plain_parts, file_parts), odd_parts), 5),
    often(st.just(END), st.sampled_from([b"", END[:-2], END[:-4], END + END, MARK + b" --\r\n"])),
    often(st.just(b""), margins),
)

# JSON

json_texts = often(
    st.sampled_from(
        [b'"abc"', b'"abd"', b'"\\u0061bc"', b'""', b'" abc"', b"null", b"1", b"[]", b'{"caputchin-token":"abd"}']
    ),
    st.sampled_from(
        [
            *(b'"a b"', b'"\\ud800"', b'"\xc3\xa9"', b'"\xe9"', b'"\\\\"', b'"\\""', b'["abc"]', b"true", b"1e999"),
            *(b"NaN", b"-", b"[" * 63 + b"]" * 63, b"[" * 64 + b"]" * 64),
        ]
    ),
)
json_names = st.sampled_from(
    [FIELD.encode(), OLD_FIELD.encode(), b"\\u0063aputchin-token", b"Caputchin-token", b"name", b"x", b"[[{", b'\\"']
)
json_members = st.builds(b'"%b":%b'.__mod__, st.tuples(json_names, json_texts))
json_objects = st.lists(json_members, max_size=4).map(lambda members: b"{" + b",".join(members) + b"}")
json_bodies = st.builds(
    lambda before, document, after: before + document + after,
    often(st.just(b""), st.sampled_from([b"\xef\xbb\xbf", b" ", b"\xa0", b"\0"])),
    often(json_objects, st.one_of(json_texts, json_objects.map(lambda body: body.decode("latin-1").encode("utf-16")))),
    often(st.just(b""), st.sampled_from([b"\n", b"]", b"x", b"\0"])),
)


@pytest.mark.parametrize(
    ("content_type", "bodies", "reference"),
    [
        pytest.param(URLENCODED, urlencoded_bodies, urlencoded_reference, id="urlencoded"),
        pytest.param(MULTIPART, multipart_bodies, multipart_reference, id="multipart"),
        pytest.param(JSON, json_bodies, json_reference, id="json"),
    ],
)
def test_the_search_answers_as_the_reference_however_the_body_is_cut(
    content_type: str, bodies: st.SearchStrategy[bytes], reference: Callable[[bytes], str]
) -> None:
    @settings(max_examples=300, deadline=None)
    @given(bodies, sizes)
    def holds(body: bytes, sizes: list[int]) -> None:
        whole = search(body, content_type, BOTH)
        assert told(whole) == reference(body)
        assert told(search(body, content_type, BOTH, sizes)) == told(whole)

    holds()


def judged(body: bytes, content_type: str) -> tuple[Outcome, bool]:
    """The outcome, and whether it was certain before the body's end."""
    begun = begin(request(content_type), Places((FIELD,)))
    assert isinstance(begun, BodySearch)
    early = begun.feed(body)
    return (early, True) if early is not None else (begun.finish(), False)


def check_agreement(body: bytes, content_type: str, read: Reader) -> None:
    outcome, early = judged(body, content_type)
    values = read(body, content_type)
    seen = {value.strip(" \t\r\n\v\f") for value in values or ()} - {""}
    match outcome:
        case Found(candidate=candidate) if values is not None:
            assert candidate.value in seen if early else seen == {candidate.value}
        case Missing():
            assert not seen


@pytest.mark.parametrize("reader", FORM_READERS)
def test_a_framework_sees_the_token_that_was_found_and_no_other(reader: str) -> None:
    @settings(max_examples=400, deadline=None)
    @given(
        st.one_of(
            st.tuples(multipart_bodies, st.just(MULTIPART)),
            st.tuples(multipart_bodies, st.just(MULTIPART)),
            st.tuples(urlencoded_bodies, st.just(URLENCODED)),
        )
    )
    @example(
        (part(FIELD, "abc") + END + f'Content-Disposition: form-data; name="{FIELD}"\r\n\r\nx'.encode(), MULTIPART)
    )
    @example(
        (f'Content-Disposition: form-data; name="{FIELD}"\r\n\r\nx\r\n'.encode() + part("x", "y") + END, MULTIPART)
    )
    @example((part("x", f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{FIELD}"\r\n\r\nx') + END, MULTIPART))
    @example((file(b"abc", FIELD, "") + END, MULTIPART))
    @example((file(b"abc", FIELD, "\\") + END, MULTIPART))
    def agrees(submission: tuple[bytes, str]) -> None:
        check_agreement(*submission, FORM_READERS[reader])

    agrees()


@settings(max_examples=300, deadline=None)
@given(json_bodies)
def test_the_json_that_applications_read_holds_the_token_that_was_found_and_no_other(body: bytes) -> None:
    check_agreement(body, JSON, json_reader)


@pytest.mark.parametrize("reader", FORM_READERS)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"name=Ann&caputchin-token=%61bc", URLENCODED),
        (part("name", "Ann") + part(FIELD, "abc") + END, MULTIPART),
        (file(b"\x00" * 100) + part(FIELD, "abc") + END, MULTIPART),
    ],
)
def test_what_browsers_send_is_read_alike_by_everybody(reader: str, body: bytes, content_type: str) -> None:
    assert told(search(body, content_type)) == "abc"
    assert FORM_READERS[reader](body, content_type) == ["abc"]
