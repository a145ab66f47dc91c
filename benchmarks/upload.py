"""A gibibyte through the ASGI door under uvicorn, with the token before the file."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.harness import Row, Samples, at_most, by_turns
from benchmarks.serving import keep_to_core, server
from benchmarks.solutions import solved

MEBIBYTE = 2**20
FILE = 1024 * MEBIBYTE
ROUNDS = 3
BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"


@dataclass(frozen=True, slots=True)
class Uploaded:
    seconds: float
    growth: float  # MiB
    first_file_byte: float  # when the application got it, as a share of the time that sending took


def rows() -> Iterator[Row]:
    tokens = iter(solved(2 * (ROUNDS + 2), client="127.0.0.1"))
    with server("upload") as bare, server("gated upload") as gated:
        keep_to_core(0)
        ports = {"gate": gated, "bare": bare}
        for port in ports.values():
            upload(port, next(tokens), 4 * MEBIBYTE)  # imports, buffers
        uploads: dict[str, list[Uploaded]] = {name: [] for name in ports}

        def one_more(name: str) -> float:
            uploads[name].append(upload(ports[name], next(tokens), FILE))
            return uploads[name][-1].seconds

        samples = by_turns({name: partial(one_more, name) for name in ports}, rounds=ROUNDS)
    yield from rows_of(uploads, samples)


def rows_of(uploads: dict[str, list[Uploaded]], samples: Samples) -> Iterator[Row]:
    """The worst of all rounds counts for what must never happen."""
    worst = {
        name: (max(one.growth for one in rounds), max(one.first_file_byte for one in rounds))
        for name, rounds in uploads.items()
    }
    note = "Peak of resident memory over its value before, the worst of all rounds."
    growth, first = worst["gate"]
    bare_growth, bare_first = worst["bare"]
    yield Row("1 GiB upload, token first: memory grows by", growth, "MiB", (("bare", bare_growth),), at_most(8), note)
    yield Row(
        "1 GiB upload: the application sees the file after",
        100 * first,
        "% of the sending",
        (("bare", 100 * bare_first),),
        at_most(99),
    )
    speed, bare_speed = (FILE / samples.of(name) / 1e9 for name in ("gate", "bare"))
    yield Row("1 GiB upload, throughput", speed, "GB/s", (("bare", bare_speed),))


def upload(port: int, token: str, size: int) -> Uploaded:
    resident = call(port, [b"GET /reset HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"])["resident"]
    start, end = parts(token)
    head = (
        "POST /upload HTTP/1.1",
        "Host: shop.example",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}",
        f"Content-Length: {len(start) + size + len(end)}",
        f"X-File-Offset: {len(start)}",
        "Connection: close",
    )
    piece = bytes(MEBIBYTE)
    began = time.monotonic()
    sent = [began]
    pieces = ["\r\n".join([*head, "", ""]).encode() + start, *[piece] * (size // MEBIBYTE), end]
    seen = call(port, pieces, sent)
    if seen.get("received") != len(start) + size + len(end):
        raise RuntimeError(f"the application got something else: {seen}")
    seconds = time.monotonic() - began
    share = (seen["first_file_byte"] - began) / (sent[0] - began)
    return Uploaded(seconds, (seen["peak"] - resident) / MEBIBYTE, share)


def parts(token: str) -> tuple[bytes, bytes]:
    part = b"--%s\r\nContent-Disposition: form-data; name=%s\r\n\r\n"
    field = part % (BOUNDARY, b'"caputchin-token"') + token.encode() + b"\r\n"
    return field + part % (BOUNDARY, b'"film"; filename="film.mp4"'), b"\r\n--%s--\r\n" % BOUNDARY


def call(port: int, pieces: Sequence[bytes], sent: list[float] | None = None) -> dict[str, float]:
    """Send, then read the answer; `sent` learns when the last piece was handed to the kernel."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if sent is not None:
            sent[0] = time.monotonic()
        answer = b""
        while received := connection.recv(65536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"refused: {answer[:500]!r}")
    figures: dict[str, float] = json.loads(body)
    return figures
