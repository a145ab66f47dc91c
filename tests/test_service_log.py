"""The log of the commands that serve: its lines, who writes them, and what happens when nobody reads them."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.decision_log import log_decision
from caputchin_gate.events import Line, hand_to, tell
from caputchin_gate.service_log import ServiceLog
from caputchin_gate.service_log.lines import LONGEST, json_line, text_line
from caputchin_gate.service_log.writer import LineWriter
from caputchin_gate.verdict import Cause, Decision, Failed, Passed, Reason, Unavailable
from tests.test_cli import run_to_end

TIME = "2026-05-04T09:08:07.123456Z"
PATIENCE = 10.0


# Lines


def lines_of(message: object, **fields: Any) -> tuple[dict[str, Any], str]:
    written = json_line(TIME, 7, "info", "event", message, fields), text_line(TIME, 7, "info", "event", message, fields)
    for line in written:
        assert line.endswith(b"\n")
        assert len(line) <= LONGEST
        assert line[:-1].decode().isprintable()
    return json.loads(written[0]), written[1].decode()


def test_a_json_line_has_the_fields_beside_the_words_and_a_text_line_behind_them() -> None:
    fields = {"route": "POST /contact", "elapsed": 0.25, "provider": None, "codes": ("a-b", "c d"), "admitted": False}
    as_json, as_text = lines_of(Line("decision x", fields, frozenset({"admitted"})), **fields)
    assert as_json == {
        "time": TIME,
        "level": "info",
        "event": "event",
        "message": "decision x",
        **fields,
        "codes": ["a-b", "c d"],
        "pid": 7,
    }
    assert as_text == f"{TIME} info decision x route='POST /contact' elapsed=0.25 codes=a-b,'c d'\n"


@pytest.mark.parametrize(
    "hostile",
    ["a\nb", "a\r\nb", "\x1b[2J", "\x9b2J", "a\u2028b", "a\u202eb", "\x00", "\x7f", "\ud800", '"\\', "é", "x" * 10**4],
)
def test_whatever_a_value_holds_a_line_stays_one_printable_line(hostile: str) -> None:
    as_json, _ = lines_of(f"it says {hostile}", said=hostile, codes=(hostile,) * 50)
    assert set(as_json) == {"time", "level", "event", "message", "said", "codes", "pid"}
    lines_of(Line("words", {"said": hostile, "codes": (hostile,) * 500}))


@given(st.text(), st.dictionaries(st.text("abc_", min_size=1), st.text() | st.integers() | st.none() | st.floats()))
def test_any_text_makes_one_printable_line(message: str, fields: dict[str, Any]) -> None:
    lines_of(message, **fields)
    lines_of(Line("words", fields), **fields)


# Writing


class Pipe:
    """A pipe that is read when the test wants it to be."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def close(self) -> None:
        for end in (self.reading, self.writing):
            if end >= 0:
                os.close(end)
        self.reading = self.writing = -1

    def stop_reading(self) -> None:
        os.close(self.reading)
        self.reading = -1

    def lines(self, until: str) -> list[str]:
        """All lines until one that holds a text."""
        received, end = b"", time.monotonic() + PATIENCE
        while until.encode() not in received or not received.endswith(b"\n"):
            assert time.monotonic() < end, received[-300:]
            if select.select([self.reading], [], [], 0.1)[0]:
                received += os.read(self.reading, 65536)
        return received.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def numbered(number: int) -> bytes:
    return b"line %d " % number + b"x" * 500 + b"\n"


def test_who_writes_never_waits_for_the_reader_and_what_is_dropped_is_counted(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writing, lambda number: b"%d were dropped\n" % number, most_kept=200)
    began = time.monotonic()
    for number in range(2000):  # 1 MB: much more than the pipe and the writer keep
        writer.write(partial(numbered, number))
    assert time.monotonic() - began < 2
    lines: list[str] = []
    kept: list[int] = []
    dropped = 0  # told as often as there was room in between
    while len(kept) + dropped < 2000:
        lines += pipe.lines("were dropped")
        kept = [int(line.split()[1]) for line in lines if line.startswith("line")]
        dropped = sum(int(line.split()[0]) for line in lines if line.endswith("were dropped"))
    assert kept == sorted(set(kept))
    assert len(kept) + dropped == 2000
    writer.write(lambda: b"and on it goes\n")
    assert pipe.lines("goes") == ["and on it goes"]


def test_a_reader_that_went_away_is_no_error(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writing, lambda number: b"")
    pipe.stop_reading()
    for number in range(1000):
        writer.write(partial(numbered, number))
    writer.flush(PATIENCE)
    assert not writer._kept


def test_the_end_waits_for_a_reader_only_so_long(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writing, lambda number: b"")
    for number in range(1000):
        writer.write(partial(numbered, number))
    began = time.monotonic()
    writer.flush(0.2)
    assert time.monotonic() - began < 2
    pipe.stop_reading()  # lets it end
    writer.flush(PATIENCE)


def test_flush_returns_when_all_is_written(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writing, lambda number: b"")
    for number in range(50):
        writer.write(partial(numbered, number))
        writer.flush(PATIENCE)
        assert os.read(pipe.reading, 65536) == numbered(number)


def test_lines_of_several_processes_and_threads_never_mix(pipe: Pipe) -> None:
    writer = LineWriter(pipe.writing, lambda number: b"")
    writer.write(lambda: b"the parent's\n")  # its thread is there when the children begin

    def write(who: int) -> None:
        for number in range(300):
            line = b"%d %d " % (who, number) + b"y" * (number % 700) + b" end\n"
            writer.write(partial(bytes, line))

    children = []
    for who in range(1, 4):
        child = os.fork()
        if not child:
            threads = [threading.Thread(target=write, args=(10 * who + n,)) for n in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            writer.flush(PATIENCE)
            os._exit(0)
        children.append(child)
    received: list[bytes] = []
    while len(b"".join(received).splitlines()) < 3 * 2 * 300 + 1:
        assert select.select([pipe.reading], [], [], PATIENCE)[0]
        received.append(os.read(pipe.reading, 65536))
    for child in children:
        os.waitpid(child, 0)
    lines = b"".join(received).decode().splitlines()
    seen: dict[str, int] = {}
    for line in lines:
        if line == "the parent's":
            continue
        found = re.fullmatch(r"(\d\d) (\d+) (y*) end", line)
        assert found is not None, line
        assert int(found[2]) == seen.get(found[1], 0) == len(found[3]) + int(found[2]) // 700 * 700
        seen[found[1]] = int(found[2]) + 1
    assert set(seen.values()) == {300}


def test_a_descriptor_that_does_not_block_is_written_to_all_the_same(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    writer = LineWriter(pipe.writing, lambda number: b"")
    for number in range(500):
        writer.write(partial(numbered, number))
    assert len(pipe.lines("line 499")) == 500


# Events


@pytest.fixture
def log(pipe: Pipe) -> Iterator[ServiceLog]:
    made = ServiceLog("json", pipe.writing)
    hand_to(made.take)
    yield made
    hand_to(None)
    made.flush()


DECISION = Decision(
    Reason.VERIFIED, "caputchin", "POST /contact", Passed("caputchin"), "POST", 0.00012, token_digest="0123abcd"
)


def test_a_decision_is_one_line_of_stable_fields(log: ServiceLog, pipe: Pipe) -> None:
    log_decision(DECISION)
    (line,) = pipe.lines("decision")
    told = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told.pop("time"))
    assert list(told.items()) == [
        ("level", "info"),
        ("event", "decision"),
        ("message", "decision verified"),
        ("reason", "verified"),
        ("would_refuse", None),
        ("admitted", True),
        ("route", "POST /contact"),
        ("provider", "caputchin"),
        ("method", "POST"),
        ("status", None),
        ("elapsed", 0.00012),
        ("token_digest", "0123abcd"),
        ("codes", []),
        ("pid", os.getpid()),
    ]


@pytest.mark.parametrize(
    ("decision", "level", "codes"),
    [
        (Decision(Reason.TOKEN_REJECTED, verdict=Failed(Reason.TOKEN_REJECTED, ("a\x1bb",))), "info", ["?"]),
        (Decision(Reason.UNAVAILABLE, verdict=Unavailable(Cause.TIMEOUT)), "warning", ["timeout"]),
        (Decision(Reason.OUTAGE_ADMITTED, verdict=Unavailable(Cause.TLS)), "warning", ["tls"]),
        (Decision(Reason.MISCONFIGURED), "error", []),
        (Decision(Reason.VERIFIED, verdict=Passed("x", details={"warning": "over-quota"})), "warning", ["over-quota"]),
        (Decision(Reason.REPORT_ONLY, would_refuse=Reason.TOKEN_USED), "warning", []),
    ],
)
def test_what_needs_a_look_stands_out(
    decision: Decision, level: str, codes: list[str], log: ServiceLog, pipe: Pipe
) -> None:
    log_decision(decision)
    (line,) = map(json.loads, pipe.lines("decision"))
    assert (line["level"], line["codes"], line["admitted"]) == (level, codes, decision.admitted)


def test_an_event_that_can_not_be_told_is_one_that_broke(log: ServiceLog, pipe: Pipe) -> None:
    class Untold:
        def __str__(self) -> str:
            raise ValueError("a secret")

    log.take(logging.INFO, "event", "words", {"value": Untold()})
    (line,) = map(json.loads, pipe.lines("internal-error"))
    assert (line["level"], line["exception"].partition(" at ")[0]) == ("error", "ValueError")
    assert "a secret" not in str(line)


def test_a_format_that_is_tried_stays_only_if_all_goes_well(log: ServiceLog, pipe: Pipe) -> None:
    with log.trying("text"):
        pass
    tell(logging.INFO, "one", "first")
    with pytest.raises(KeyError), log.trying("json"):
        raise KeyError
    tell(logging.INFO, "two", "second")
    assert [line.split(" ", 1)[1] for line in pipe.lines("second")] == ["info first", "info second"]


CANARY = "canary-5ecret"


def test_of_what_libraries_say_nothing_is_repeated_that_may_be_a_clients(log: ServiceLog, pipe: Pipe) -> None:
    library = logging.getLogger("library.part")
    library.addHandler(log)
    library.propagate = False
    try:
        raise ValueError(CANARY)
    except ValueError:
        library.exception("Task exception was never retrieved\n%s", CANARY)
        library.error(f"Exception in callback data_received({CANARY!r})", exc_info=True)
    library.info(CANARY)
    library.warning(CANARY)
    library.critical("%s", CANARY)
    library.removeHandler(log)
    tell(logging.INFO, "last", "last")
    first, second, *others, _ = map(json.loads, pipe.lines('"last"'))
    assert CANARY not in json.dumps([first, second, others])
    assert first["message"].startswith("Task exception was never retrieved (logger=library.part place=test_service_log")
    assert (first["event"], first["level"], first["logger"]) == ("library", "error", "library.part")
    assert re.fullmatch(r"ValueError at test_service_log\.py:\d+", second["exception"])
    assert [one["level"] for one in others] == ["warning", "critical"]


def test_in_an_application_events_are_records_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "caputchin_gate")
    log_decision(DECISION)
    (record,) = caplog.records
    assert record.getMessage() == (
        "decision verified route='POST /contact' provider=caputchin method=POST elapsed=0.00012 token_digest=0123abcd"
    )
    assert (record.__dict__["event"], record.__dict__["reason"], record.name) == (
        "decision",
        "verified",
        "caputchin_gate",
    )


# The processes


def test_uncaught_exceptions_and_warnings_are_lines_of_the_log_too(tmp_path: Path) -> None:
    program = f"""
import threading, warnings
from caputchin_gate import service_log
class Lost:
    def __del__(self):
        raise ValueError("{CANARY}")
def fail():
    raise KeyError("{CANARY}")
with service_log.taking_all("json"):
    warnings.warn("{CANARY}")
    Lost()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
"""
    done = run_to_end([sys.executable, "-c", program])
    assert CANARY not in done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(event["event"], event["message"].split(" at ")[0]) for event in events] == [
        ("library", "UserWarning"),
        ("internal-error", "internal error: ValueError"),
        ("internal-error", "internal error: KeyError"),
    ]
