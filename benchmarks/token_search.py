"""Finding the token in a body, whatever the rest of the body holds: what is searched was written by the attacker."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import parse_qsl

from multipart import PushMultipartParser

from benchmarks.harness import MICRO, Row, Samples, at_least, at_most_times, by_turns, cpu_seconds
from caputchin_gate.messages import RequestHead
from caputchin_gate.tokens import BodySearch, Found, Outcome, Places, begin

FIELD = "caputchin-token"
PLACES = Places((FIELD,))
PIECE = 64 * 1024  # what servers hand over at once
MEGABYTE = 10**6
JSON_VALUES = 9_900  # just below the limit for one body
FILE = 100 * MEGABYTE
BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
HOSTILE_BOUNDARY = b"-" * 68 + b"x"  # the attacker chooses it


def rows() -> Iterator[Row]:
    yield from urlencoded_rows()
    yield from json_rows()
    yield from multipart_rows()


# One megabyte of a form or of JSON: the dearest content beside the cheapest


def urlencoded_rows() -> Iterator[Row]:
    token = FIELD.encode() + b"="
    contents = {
        "one long field": filled(b"message=", b"a"),
        "escapes": filled(b"message=", b"%41"),
        "a thousand fields": b"&".join([b"message=" + b"a" * 992] * 999),
        "a long token": filled(token, b"a"),
        "equal tokens": b"&".join([token + b"a" * 984] * 999),
        "equal tokens of escapes": b"&".join([token + b"%41" * 328] * 999),
        "equal tokens of plus signs": b"&".join([token + b"a" + b"+" * 984] * 999),
        "names of escapes": b"&".join([b"%63" * 333] * 999),
        "blanks": filled(b"message=", b"+"),
        "equals signs": filled(b"message", b"="),
    }
    kind = "application/x-www-form-urlencoded"
    samples = by_turns({name: partial(search_seconds, kind, body, 20) for name, body in contents.items()})
    dearest = max(contents, key=samples.of)
    parsed = by_turns({"parse_qsl": lambda: cpu_seconds(lambda: parse_qsl(contents[dearest]))}, rounds=3)
    yield extremes("urlencoded", contents, samples, ("parse_qsl", parsed))
    yield separators_row(kind)


def separators_row(kind: str) -> Row:
    """Too many fields end the search early, so this one can't be compared with a body that is read to its end."""
    body = b"a&" * (MEGABYTE // 2)
    samples = by_turns(
        {
            "gate": lambda: search_seconds(kind, body, 20, complete=False),
            "parse_qsl": lambda: cpu_seconds(lambda: parse_qsl(body)),
        },
        rounds=3,
    )
    return Row(
        "token search, 1 MB urlencoded of nothing but separators",
        samples.of("gate") * MICRO,
        "us",
        (("parse_qsl", samples.of("parse_qsl") * MICRO),),
        note="A form of more than 1000 fields is refused as soon as that is seen.",
    )


def json_rows() -> Iterator[Row]:
    token = b'{"%s":"a","rest":' % FIELD.encode()
    keys = (b',"%090d":1' % number for number in range(JSON_VALUES))
    contents = {
        "one long text": filled(token + b'"', b"a", b'"}'),
        "escaped letters": filled(token + b'"', rb"\u0041", b'"}'),
        "escaped quotes": filled(token + b'"', rb"\"", b'"}'),
        "letters of three bytes": filled(token + b'"', "\u20ac".encode(), b'"}'),
        "blanks": filled(token, b" ", b"1}"),
        "numbers of 4300 digits": filled(token + b"[1", b"," + b"1" * 4300, b"]}"),
        "numbers of 100 digits": filled(token + b"[1", b"," + b"1" * 100, b"]}"),
        "decimals of 100 digits": filled(token + b"[1", b",1." + b"1" * 98, b"]}"),
        "decimals with exponents": filled(token + b"[1", b"," + b"1" * 100 + b"e1", b"]}"),
        "texts of escapes": filled(token + b"[1", b',"' + rb"\u0041" * 17 + b'"', b"]}"),
        "objects": filled(token + b"[1", b',{"a":{"b":{' + b" " * 600 + b"}}}", b"]}"),
        "different keys": b"".join([token, b"1", *keys, b"}"]),
        # More values than any form has: refused, and that has to be cheap too
        "short numbers": filled(token + b"[1", b",1", b"]}"),
        "empty arrays": filled(token + b"[[]", b",[]", b"]}"),
        "nested arrays": filled(token + b"[1", b"," + b"[" * 60 + b"]" * 60, b"]}"),
        "small objects": filled(token + b"[{}", b',{"a":1}', b"]}"),
    }
    samples = by_turns(
        {name: partial(search_seconds, "application/json", body, 3) for name, body in contents.items()}, rounds=5
    )
    dearest = max(contents, key=lambda name: samples.of(name) / len(contents[name]))
    parsed = by_turns({"json.loads": lambda: cpu_seconds(lambda: json.loads(contents[dearest]))}, rounds=3)
    yield extremes("JSON", contents, samples, ("json.loads", parsed))


def filled(start: bytes, filling: bytes, end: bytes = b"") -> bytes:
    """About a megabyte."""
    return start + filling * ((MEGABYTE - len(start) - len(end)) // len(filling)) + end


def extremes(grammar: str, contents: Mapping[str, bytes], samples: Samples, peer: tuple[str, Samples]) -> Row:
    seconds = {name: samples.of(name) * MEGABYTE / len(body) for name, body in contents.items()}
    cheapest, dearest = min(seconds, key=seconds.__getitem__), max(seconds, key=seconds.__getitem__)
    name, parsed = peer
    return Row(
        f"token search, 1 MB {grammar}, dearest content",
        seconds[dearest] * MICRO,
        "us",
        (("cheapest", seconds[cheapest] * MICRO), (name, parsed.of(name) * MICRO)),
        at_most_times(4),
        note=f"{grammar}, {len(contents)} contents tried, all searched to the end: the dearest is {dearest!r}, the "
        f"cheapest {cheapest!r}; {name} reads the dearest.",
    )


def search_seconds(kind: str, body: bytes, times: int, *, complete: bool = True) -> float:
    pieces = pieces_of(body)

    def search_again_and_again() -> None:
        for _ in range(times):
            outcome, to_the_end = search(kind, pieces)
            if to_the_end is not complete:
                raise RuntimeError(f"not the body that was to be measured: {outcome}")

    return cpu_seconds(search_again_and_again, times)


def search(kind: str, pieces: Sequence[bytes]) -> tuple[Outcome, bool]:
    """The outcome, and whether all of the body had to be seen."""
    searching = begin(RequestHead("POST", "/contact", headers={"content-type": (kind,)}), PLACES, max_json=2 * MEGABYTE)
    if not isinstance(searching, BodySearch):
        return searching, False
    for piece in pieces:
        outcome = searching.feed(piece)
        if outcome is not None:
            return outcome, False
    return searching.finish(), True


def pieces_of(body: bytes) -> list[bytes]:
    return [body[start : start + PIECE] for start in range(0, len(body), PIECE)]


# A hundred megabytes of a file


def multipart_rows() -> Iterator[Row]:
    contents = {
        "noise": random.Random(1).randbytes(MEGABYTE),
        "zeros": bytes(MEGABYTE),
        "line ends": b"\r\n" * (MEGABYTE // 2),
        "carriage returns": b"\r" * MEGABYTE,
        "almost boundaries": b"\r\n--" + BOUNDARY[:-1],
        "short almost boundaries": b"\r\n--",
        "hyphens": b"-" * MEGABYTE,
        "ends of boundaries": b"x" + BOUNDARY[1:],
    }
    usual = {name: multipart_seconds(BOUNDARY, content) for name, content in contents.items()}
    chosen = {
        "hyphens": multipart_seconds(HOSTILE_BOUNDARY, b"-" * MEGABYTE),
        "almost boundaries of hyphens": multipart_seconds(HOSTILE_BOUNDARY, b"\r\n" + b"-" * 70),
    }
    noise = {name: FILE / usual["noise"].of(name) / 1e9 for name in ("gate", "multipart", "bytes.find")}
    yield Row(
        "token search, 100 MB multipart file of noise",
        noise["gate"],
        "GB/s",
        tuple(noise.items())[1:],
        at_least(4),
    )
    cheapest = min(samples.of("gate") for samples in usual.values())
    yield multipart_row("a browser's boundary", usual, cheapest)
    yield multipart_row("a hostile boundary", chosen, cheapest)
    yield Row(
        "token search, memory for 100 MB multipart",
        peak_memory(FILE) / 1024,
        "KiB",
        (("10 MB", peak_memory(FILE // 10) / 1024),),
        at_most_times(1.1),
    )


def multipart_row(boundary: str, contents: Mapping[str, Samples], cheapest: float) -> Row:
    dearest = max(contents, key=lambda name: contents[name].of("gate"))
    samples = contents[dearest]
    return Row(
        f"token search, 100 MB multipart, dearest content for {boundary}",
        samples.of("gate") * 1000,
        "ms",
        (("cheapest", cheapest * 1000), *((name, samples.of(name) * 1000) for name in ("multipart", "bytes.find"))),
        at_most_times(4),
        note=f"Multipart, {boundary}, {len(contents)} contents tried: the dearest is {dearest!r}.",
    )


def multipart_seconds(boundary: bytes, filling: bytes) -> Samples:
    pieces = list(multipart_pieces(boundary, filling, FILE))
    readers: dict[str, Callable[[], object]] = {
        "gate": lambda: found(boundary, pieces),
        "multipart": lambda: bare_parse(boundary, pieces),
        "bytes.find": lambda: [piece.find(b"\r\n--" + boundary) for piece in pieces],
    }
    return by_turns({name: partial(cpu_seconds, read) for name, read in readers.items()}, rounds=3)


def multipart_pieces(boundary: bytes, filling: bytes, size: int) -> Iterator[bytes]:
    """A form with a file before the token, so that all of it has to be read. The content repeats, the pieces too."""
    start = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    end = b"\r\n--" + boundary + b'\r\nContent-Disposition: form-data; name="' + FIELD.encode() + b'"\r\n\r\na\r\n--'
    repeated = pieces_of((filling * (16 * PIECE // len(filling) + 1))[: 16 * PIECE])
    yield start
    for number in range(size // PIECE):
        yield repeated[number % len(repeated)]
    yield end + boundary + b"--\r\n"


def found(boundary: bytes, pieces: Sequence[bytes]) -> None:
    outcome, _ = search(f"multipart/form-data; boundary={boundary.decode()}", pieces)
    if not isinstance(outcome, Found):
        raise RuntimeError(f"not the body that was to be measured: {outcome}")


def bare_parse(boundary: bytes, pieces: Sequence[bytes]) -> None:
    with PushMultipartParser(boundary, strict=True) as parser:
        for piece in pieces:
            for _ in parser.parse(piece):
                pass


def peak_memory(size: int) -> float:
    pieces = list(multipart_pieces(BOUNDARY, random.Random(1).randbytes(MEGABYTE), size))
    tracemalloc.start()
    found(BOUNDARY, pieces)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
