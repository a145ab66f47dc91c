"""Multipart forms (threats.md R21, D5): one grammar, and no outcome depends on how the body is cut."""

from __future__ import annotations

import pytest

from caputchin_gate.tokens import BodySearch, Found, Places, Source, begin
from caputchin_gate.tokens.multipart import _StrictParser
from tests.memory import traced
from tests.tokens.searching import (
    AMBIGUOUS,
    BOUNDARY,
    END,
    FIELD,
    MALFORMED,
    MISSING,
    MULTIPART,
    OLD_FIELD,
    UNREADABLE,
    UNSUPPORTED,
    file,
    part,
    request,
    search,
    told,
)

BOTH = Places((FIELD, OLD_FIELD))
TOKEN = part(FIELD, "abc")
DISPOSITION = f'Content-Disposition: form-data; name="{FIELD}"'
CUTS = pytest.mark.parametrize("size", [10**9, 1, 7])


def headed(*lines: str, value: str = "abc") -> bytes:
    """A part with exactly these header lines."""
    head = "".join(f"{line}\r\n" for line in lines)
    return f"--{BOUNDARY}\r\n{head}\r\n{value}\r\n".encode()


def outcome_of(body: bytes, size: int, places: Places = BOTH) -> str:
    return told(search(body, MULTIPART, places, [size] * len(body)))


@CUTS
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (TOKEN + END, "abc"),
        (TOKEN + END.rstrip(), "abc"),
        (part("name", "Ann") + TOKEN + part("x", "") + END, "abc"),
        (part(FIELD, " abc\r\n") + END, "abc"),
        (part(FIELD, "") + part(OLD_FIELD, "abc") + END, "abc"),
        (TOKEN + TOKEN + END, "abc"),
        (part(FIELD, "a" * 16384) + END, "a" * 16384),
        (file(b"\x00\xff" * 100) + TOKEN + END, "abc"),
        (file(b"xyz", name=FIELD) + TOKEN + END, "abc"),
        (part("text", "\r\n--Bound4r\r\n--\r\n\r\r\n-") + TOKEN + END, "abc"),
        (part("a", "--Bou") + part("b", "nd4ry") + TOKEN + END, "abc"),
        (part(FIELD, "abc", "Content-Type: text/plain") + END, "abc"),
        (part(FIELD, "abc", "Content-Type: text/plain; charset=UTF-8", "Content-Length: 3") + END, "abc"),
        (headed(DISPOSITION.replace("Content-Disposition", "content-disposition")) + END, "abc"),
        (headed(DISPOSITION.replace(": form-data; ", ":form-data;")) + END, "abc"),
        (headed("X-A: b", DISPOSITION) + END, "abc"),
        (headed(DISPOSITION, "Content-Length: 2") + END, "abc"),
        (headed('Content-Disposition: form-data; name="a%22b \xe9"', value="x") + TOKEN + END, "abc"),
        (b"\r\n" + TOKEN + END, "abc"),
        (b"This is a multi-part message.\r\n" + TOKEN + END, "abc"),
        (b"- -- -\r\n \r\n" + TOKEN + END, "abc"),
        (TOKEN + END + b"\r\n\r\nGoodbye - --\r\n", "abc"),
        (TOKEN + END.rstrip() + b" \t\r\n", "abc"),
        (part("a", "x") * 999 + TOKEN + END, "abc"),
        (headed(DISPOSITION, *(f"X-{number}: y" for number in range(15))) + END, "abc"),
        (headed(DISPOSITION, "X: " + "y" * (8192 - len(DISPOSITION) - 7)) + END, "abc"),
        (b"", MISSING),
        (END, MISSING),
        (part("name", "Ann") + END, MISSING),
        (part(FIELD, "") + END, MISSING),
        (part(FIELD, " \r\n\t") + END, MISSING),
        (part(FIELD.upper(), "abc") + END, MISSING),
        (part("", "abc") + END, MISSING),
        (file(b"abc", name=FIELD) + END, MISSING),
        (TOKEN + part(FIELD, "abd") + END, AMBIGUOUS),
        (TOKEN + part(OLD_FIELD, "abc") + END, AMBIGUOUS),
        (part(FIELD, "a b") + END, MALFORMED),
        (part(FIELD, "a\nb") + END, MALFORMED),
        (part(FIELD, "\xe9") + END, MALFORMED),
        (part(FIELD, "a" * 16385) + END, MALFORMED),
        (part(FIELD, "a" * 100_000) + END, MALFORMED),
    ],
)
def test_the_token_is_the_value_of_its_plain_part(body: bytes, expected: str, size: int) -> None:
    assert outcome_of(body, size) == expected


@CUTS
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TOKEN, id="no closing boundary"),
        pytest.param(TOKEN + END[: -len("--\r\n")], id="a closing boundary cut short"),
        pytest.param(f"--{BOUNDARY}\r\n{DISPOSITION}\r\n".encode(), id="a head cut short"),
        pytest.param(b"garbage", id="no boundary"),
        pytest.param(b"\r\n", id="nothing but a line break"),
        pytest.param((TOKEN + END).replace(b"\r\n", b"\n"), id="LF instead of CRLF"),
        pytest.param((TOKEN + END).replace(b"\r\n", b"\r"), id="CR instead of CRLF"),
        pytest.param(TOKEN.replace(b"Bound4ry\r\n", b"Bound4ry \r\n") + END, id="a blank after the boundary"),
        pytest.param(TOKEN.replace(b"Bound4ry\r\n", b"Bound4ry7\r\n") + END, id="a longer boundary"),
        pytest.param(TOKEN + b"--Bound4ry7\r\n" + END, id="a longer boundary later"),
        pytest.param(b"x" + TOKEN + END, id="a preamble without a line end"),
        pytest.param(b"x\n" + TOKEN + END, id="a preamble that ends in LF"),
        pytest.param(b"--x\r\n" + TOKEN + END, id="a preamble like a boundary"),
        pytest.param(b"x\r\n--x\r\n" + TOKEN + END, id="a preamble with a line like a boundary"),
        pytest.param(b"x\n--x\r\n" + TOKEN + END, id="a preamble with such a line after LF"),
        pytest.param(DISPOSITION.encode() + b"\r\n\r\nx\r\n" + TOKEN + END, id="a preamble like a part"),
        pytest.param(b"x" * 9000 + b"\r\n" + TOKEN + END, id="a long preamble"),
        pytest.param(TOKEN + END + TOKEN, id="a part behind the end"),
        pytest.param(TOKEN + END + END, id="two ends"),
        pytest.param(TOKEN + END + b"\n--x", id="an epilogue with a line like a boundary"),
        pytest.param(TOKEN + END.rstrip() + b"--", id="four hyphens at the end"),
        pytest.param(TOKEN + END.rstrip() + b"x", id="text on the last boundary's line"),
        pytest.param(TOKEN + END + DISPOSITION.upper().encode() + b"\r\n\r\nx", id="an epilogue like a part"),
        pytest.param(TOKEN + END + b"x" * 9000, id="a long epilogue"),
        pytest.param(part("a", "x") * 1000 + TOKEN + END, id="1001 parts"),
        pytest.param(part("a", f"x--{BOUNDARY}y") + TOKEN + END, id="the boundary inside a value"),
        pytest.param(part(FIELD, f"x--{BOUNDARY}y") + END, id="the boundary inside the token"),
        pytest.param(part("a", f"\n--{BOUNDARY}\n") + TOKEN + END, id="the boundary after LF"),
        pytest.param(part("a", f"--{BOUNDARY}--") + TOKEN + END, id="the boundary right after the head"),
        pytest.param(file(f"x\n--{BOUNDARY}\n".encode()) + TOKEN + END, id="the boundary inside a file"),
        pytest.param(headed(DISPOSITION, f"X: --{BOUNDARY}") + END, id="the boundary inside a header"),
        pytest.param(headed(DISPOSITION, f"--{BOUNDARY}: x") + END, id="the boundary for a header name"),
    ],
)
def test_a_body_that_others_may_cut_elsewhere_is_refused(body: bytes, size: int) -> None:
    assert outcome_of(body, size) == UNREADABLE


@CUTS
@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Content-Type: text/plain",),
        (DISPOSITION, DISPOSITION),
        (DISPOSITION, 'Content-disposition: form-data; name="x"'),
        (DISPOSITION, "Content-Disposition: attachment"),
        (DISPOSITION.replace("form-data", "attachment"),),
        (DISPOSITION.replace("form-data", "Form-Data"),),
        (DISPOSITION.replace('"', ""),),
        (DISPOSITION.replace('"', "'"),),
        (DISPOSITION.replace("name", "Name"),),
        (DISPOSITION.replace("name=", "name = "),),
        (DISPOSITION + ";",),
        (DISPOSITION + " ",),
        (DISPOSITION + '; name="x"',),
        (DISPOSITION + "; name*=utf-8''x",),
        (DISPOSITION + '; name*0="x"',),
        (DISPOSITION + '; x="y"',),
        (DISPOSITION + "; filename=x",),
        (DISPOSITION + '; filename="x\\"y"',),
        (DISPOSITION + '; filename="x\\"',),
        (DISPOSITION + '; filename="x\\\\"',),
        (DISPOSITION + '; filename="x"; filename="y"',),
        (DISPOSITION + "; filename=\"x\"; filename*=latin-1''y",),
        (DISPOSITION + "; filename=\"x\"; filename*=utf-8''",),
        ("Content-Disposition: form-data",),
        ('Content-Disposition: form-data; filename="x"',),
        (f'Content-Disposition: form-data; filename="x"; name="{FIELD}"',),
        ("Content-Disposition: form-data; name*=utf-8''caputchin-token",),
        (f'Content-Disposition: form-data; name="\\{FIELD}"',),
        (f'Content-Disposition: form-data; name="x\\"; y="; z="{FIELD}"',),
        ("Content-Disposition : form-data; name=x",),
        (f" {DISPOSITION}",),
        ("X: y", f" {DISPOSITION}"),
        ("X: y\n" + DISPOSITION, DISPOSITION),
        ("X: y\r" + DISPOSITION, DISPOSITION),
        (DISPOSITION, "X: \ty"),
        (DISPOSITION, "X: \x00"),
        (DISPOSITION, "X: \x7f"),
        (DISPOSITION, "X"),
        (DISPOSITION, ": y"),
        (DISPOSITION, "X Y: z"),
        (DISPOSITION, "\xa0X: z"),
        (DISPOSITION, "Content-Transfer-Encoding: base64"),
        (DISPOSITION, "content-transfer-encoding: 7bit"),
        (DISPOSITION, "Content-Length: -1"),
        (DISPOSITION, "Content-Length: 3", "Content-Length: 3"),
        (DISPOSITION, *(f"X-{number}: y" for number in range(16))),
        (DISPOSITION, "X: " + "y" * (8192 - len(DISPOSITION) - 6)),
        (DISPOSITION, "X: " + "y" * 20_000),
        # Read as the token's field by some, as another or as a file by others.
        (f'Content-Disposition: form-data; name=" {FIELD}"',),
        (f'Content-Disposition: form-data; name="{FIELD}\xa0"',),
        ('Content-Disposition: form-data; name="caputchin%2dtoken"',),
        (DISPOSITION + '; filename=""',),
        (DISPOSITION + "; filename*=utf-8''x",),
    ],
)
def test_a_part_that_others_may_read_differently_is_refused(lines: tuple[str, ...], size: int) -> None:
    assert outcome_of(headed(*lines) + TOKEN + END, size) == UNREADABLE


@pytest.mark.parametrize(
    "content_type", ["text/plain; charset=utf-16", "text/plain; charset=utf-7", "text/plain; charset=a; charset=b", "x"]
)
def test_a_token_in_another_charset_is_refused(content_type: str) -> None:
    assert told(search(part(FIELD, "abc", f"Content-Type: {content_type}") + END, MULTIPART)) == UNSUPPORTED


@CUTS
@pytest.mark.parametrize(
    "filename",
    [
        'filename="photo of me (1).jpeg"',
        'filename="C:\\temp\\x.png"',
        'filename="\xe9\u6587.png"',
        'filename="a%22b; name=x"',
        'filename=""',
        "filename*=UTF-8''%e2%82%ac%20rates",
        "filename=\"x\"; filename*=utf-8'en'x.png",
    ],
)
def test_files_are_skipped_whatever_they_are_called(filename: str, size: int) -> None:
    body = headed(f'Content-Disposition: form-data; name="upload"; {filename}', value="xyz") + TOKEN + END
    assert outcome_of(body, size) == "abc"


FILE_HEAD = file(b"")[:-2]
EXTENDED_FILE_HEAD = headed("Content-Disposition: form-data; name=\"upload\"; filename*=utf-8''a.bin", value="")[:-2]


@CUTS
@pytest.mark.parametrize(
    "head_of_file", [FILE_HEAD, EXTENDED_FILE_HEAD, file(b"", FIELD)[:-2], file(b"", "x", "")[:-2]]
)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (TOKEN, "abc"),
        (part("name", "Ann") + TOKEN + part("x", "y"), "abc"),
        (file(b"first") + TOKEN, "abc"),
        (TOKEN + part(FIELD, "abd"), AMBIGUOUS),
        (part(FIELD, "a b"), MALFORMED),
        (part(FIELD, "a" * 20_000), MALFORMED),
    ],
)
def test_the_first_file_after_a_token_decides_before_it_is_received(
    before: bytes, expected: str, head_of_file: bytes, size: int
) -> None:
    begun = begin(request(MULTIPART), BOTH)
    assert isinstance(begun, BodySearch)
    fed = before + head_of_file
    outcomes = [begun.feed(fed[start : start + size]) for start in range(0, len(fed), size)]
    assert outcomes[:-1] == [None] * (len(outcomes) - 1)
    assert outcomes[-1] is not None
    assert told(outcomes[-1]) == expected
    assert outcome_of(fed + b"\x00" * 1000 + b"whatever follows", size) == expected


@pytest.mark.parametrize("before", [b"", part(FIELD, ""), part("x", "y"), part(FIELD, " ")])
def test_a_file_without_a_token_before_it_decides_nothing(before: bytes) -> None:
    begun = begin(request(MULTIPART), BOTH)
    assert isinstance(begun, BodySearch)
    assert begun.feed(before + file(b"x" * 100)) is None
    assert begun.feed(TOKEN) is None
    assert told(begun.feed(END) or begun.finish()) == "abc"


def test_a_token_in_the_head_of_the_request_counts_as_one_before_the_file() -> None:
    places = Places((FIELD,), frozenset({Source.FORM, Source.QUERY}))
    begun = begin(request(MULTIPART, query="caputchin-token=abc"), places)
    assert isinstance(begun, BodySearch)
    assert isinstance(begun.feed(file(b"x")), Found)


def test_the_boundary_may_hold_every_character_that_is_legal() -> None:
    boundary = "'()+_,-./:=? aZ09"
    body = (TOKEN + END).replace(BOUNDARY.encode(), boundary.encode())
    assert told(search(body, f'multipart/form-data; boundary="{boundary}"', sizes=[1] * len(body))) == "abc"


@pytest.mark.parametrize("content", [b"\r" * 65536, b"\r\n--" * 16384, b"x" * 65536, b"\r\n--Bound4r" * 6000])
def test_files_and_other_fields_are_not_held(content: bytes) -> None:
    begun = begin(request(MULTIPART), BOTH)
    assert isinstance(begun, BodySearch)
    begun.feed(file(b"")[:-2])
    with traced() as held:
        for _ in range(50):
            assert begun.feed(content) is None
        assert held() < 8192


def test_a_library_that_hands_header_lines_over_another_way_lets_nothing_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(_StrictParser, "_on_segment_headerline")
    assert told(search(TOKEN + END, MULTIPART)) == UNREADABLE
