"""The log of a command that serves: every event of the process as one line on stderr, and nothing else.

Also what libraries, the interpreter and other threads have to say comes out as such lines. Of their texts only those
are repeated that can't hold anything of a request: what is left is the class of an exception and its place.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from caputchin_gate.events import hand_to, place_of, tell, tell_broken
from caputchin_gate.service_log.lines import Format, json_line, text_line
from caputchin_gate.service_log.writer import LineWriter

LogFormat: TypeAlias = Literal["auto", "text", "json"]

STDERR: Final = 2
PATIENCE: Final = 1.0  # seconds that a reader gets at the end

_LEVELS: Final = {
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}

# Sentences of libraries that are the same whatever a client sends.
_SENTENCES: Final = frozenset(
    {
        "Task exception was never retrieved",
        "Future exception was never retrieved",
        "Task was destroyed but it is pending!",
        "Invalid HTTP request received.",
        "Exception in ASGI application",
        "Unsupported upgrade request.",
    }
)


class ServiceLog(logging.Handler):
    """Takes events at once, and the records of libraries from WARNING up as a handler of the root logger."""

    def __init__(self, format: LogFormat = "auto", descriptor: int = STDERR) -> None:
        super().__init__(logging.WARNING)
        self._writer = LineWriter(descriptor, self._dropped)
        self._date = 0, ""
        self._on_terminal = os.isatty(descriptor)
        self.use(format)

    def use(self, format: LogFormat) -> None:
        """From now on lines are of this format; "auto" is text on a terminal, and JSON elsewhere."""
        self.format_name = format
        as_text = self._on_terminal if format == "auto" else format == "text"
        self._line: Format = text_line if as_text else json_line

    @contextmanager
    def trying(self, format: LogFormat) -> Iterator[None]:
        """Use this format, if what is done with it succeeds."""
        before = self.format_name
        self.use(format)
        try:
            yield
        except BaseException:
            self.use(before)
            raise

    def take(self, level: int, event: str, message: object, fields: Mapping[str, Any]) -> None:
        if level >= logging.INFO:
            self._writer.write(partial(self._made, self._line, time.time(), level, event, message, fields))

    def _made(
        self, format: Format, now: float, level: int, event: str, message: object, fields: Mapping[str, Any]
    ) -> bytes:
        """The line of an event; whatever breaks, the thread that writes has one."""
        try:
            return format(self._date_of(now), os.getpid(), _LEVELS[level], event, message, fields)
        except Exception as failure:
            place = place_of(failure)
            told = f"an event can't be told: {place}"
            return format(self._date_of(now), os.getpid(), "error", "internal-error", told, {"exception": place})

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "place": f"{record.filename}:{record.lineno}"}
        sentence = str(record.msg).partition("\n")[0].strip()
        if sentence not in _SENTENCES:
            sentence = "a library has something to say"
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = place_of(record.exc_info[1])
        level = min(logging.CRITICAL, record.levelno // 10 * 10)
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        self.take(level, "library", f"{sentence} ({told})", fields)

    def flush(self) -> None:
        self._writer.flush(PATIENCE)

    def _dropped(self, number: int) -> bytes:
        message = f"{number} lines of the log were dropped, because they are read too slowly"
        return self._made(self._line, time.time(), logging.WARNING, "log-dropped", message, {"lines": number})

    def _date_of(self, now: float) -> str:
        """RFC 3339, UTC. The part that lasts a second is made once in it."""
        second, date = self._date
        if second != int(now):
            second = int(now)
            date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._date = second, date
        return f"{date}.{int((now - second) * 1e6):06d}Z"


@contextmanager
def taking_all(format: LogFormat = "auto") -> Iterator[ServiceLog]:
    """All that this process and its children have to say goes to stderr, in lines of this format."""
    log = ServiceLog(format)
    with ExitStack() as afterwards:
        for place, name, taking in _HOOKS:
            afterwards.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, taking)
        root = logging.getLogger()
        root.addHandler(log)
        afterwards.callback(root.removeHandler, log)
        hand_to(log.take)
        afterwards.callback(hand_to, None)
        afterwards.callback(log.flush)
        yield log


def _tell_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    place = f"{Path(filename).name}:{lineno}"
    tell(logging.WARNING, "library", f"{category.__name__} at {place}", logger="warnings", place=place)


def _tell_lost(failure: BaseException | None) -> None:
    if failure is not None:
        tell_broken(failure)


_HOOKS: Final[tuple[tuple[Any, str, object], ...]] = (
    (logging, "raiseExceptions", False),
    (warnings, "showwarning", _tell_warning),
    (sys, "unraisablehook", lambda trouble: _tell_lost(trouble.exc_value)),
    (threading, "excepthook", lambda trouble: _tell_lost(trouble.exc_value)),
)
