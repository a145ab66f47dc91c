"""A small client that speaks as Caputchin's widget does (caputchin.md 6): it replays `caputchin_conversation.json`.

It stands in for the widget, which is in no package registry. What it sends and what it takes for an answer comes from
that file alone, not from the gate's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caputchin_gate.engines.solver import solve_cap
from tests.wire import Answer, exchange, request_bytes

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("caputchin_conversation.json").read_text())[
    "exchanges"
]


@dataclass
class Widget:
    """One widget on one page, which belongs to `origin`, before a gate on a port of this machine."""

    port: int
    sitekey: str
    origin: str
    mount: str = "/.caputchin"
    known: dict[str, Any] = field(default_factory=dict)

    def says(self, name: str, change: Callable[[dict[str, Any]], object] = lambda body: None) -> Answer:
        """Make one of the recorded requests; `change` may spoil its body."""
        recorded = next(one for one in RECORDED if one["name"] == name)
        head = "\n".join(
            [
                f"{recorded['method']} {self.mount}{self._filled(recorded['target'])}",
                *(f"{header}: {self._filled(value)}" for header, value in recorded["headers"].items()),
            ]
        )
        content = b""
        if "body" in recorded:
            body = self._filled(recorded["body"])
            change(body)
            content = json.dumps(body).encode()
        answer = exchange(self.port, request_bytes(head, content))
        if answer.status == recorded["status"]:
            self._learn(recorded, answer)
        return answer

    def goes_through(self) -> str:
        """The whole conversation, answered as recorded; the token that the form then holds."""
        for recorded in RECORDED:
            answer = self.says(recorded["name"])
            assert answer.status == recorded["status"], recorded["name"]
            assert answer.headers.items() >= recorded["answer_headers"].items(), recorded["name"]
        return str(self.known["wrappedToken"])

    def _filled(self, value: Any) -> Any:
        match value:
            case "{solutions}":
                return solve_cap({"challenge": self.known["challenge"], "token": self.known["token"]})
            case str() if place := re.fullmatch(r"<(\w+)>", value):
                return self.known[place[1]]
            case str():
                return value.replace("{sitekey}", self.sitekey).replace("{origin}", self.origin)
            case dict():
                return {name: self._filled(one) for name, one in value.items()}
            case _:
                return value

    def _learn(self, recorded: Mapping[str, Any], answer: Answer) -> None:
        if "answer" in recorded:
            self._compare(recorded["answer"], json.loads(answer.body))

    def _compare(self, expected: Any, told: Any) -> None:
        match expected:
            case str() if place := re.fullmatch(r"<(\w+)>", expected):
                self.known[place[1]] = told
            case dict():
                assert told.keys() == expected.keys()
                for name, one in expected.items():
                    self._compare(one, told[name])
            case _:
                assert told == expected
