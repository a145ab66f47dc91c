"""Tests of the policy read as conversations: what it asks of the world, what the world answers, how it ends.

    talk = Conversation(decide(head, terms, settings))
    talk.expect(ReadBody, b"caputchin-token=abc")
    talk.expect(Claim, ClaimResult.WON)
    assert talk.end().reason is Reason.VERIFIED

No network, no event loop, no mocks: an answer is a value.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from caputchin_gate.effects import Effect

T = TypeVar("T")
E = TypeVar("E", bound=Effect[Any])


class Conversation(Generic[T]):
    def __init__(self, policy: Coroutine[Effect[Any], Any, T]) -> None:
        self._policy = policy
        self._asked: Effect[Any] | None = None
        self._result: list[T] = []
        self._answer(None)

    def _answer(self, answer: object) -> None:
        try:
            self._asked = self._policy.send(answer)
        except StopIteration as done:
            self._asked = None
            self._result.append(done.value)

    def expect(self, kind: type[E], answer: object) -> E:
        """The policy must be asking for an effect of this kind now; it gets the answer. Returns what it asked."""
        asked = self._asked
        assert isinstance(asked, kind), f"expected {kind.__name__}, but the policy " + (
            f"asks {asked!r}" if asked is not None else f"ended with {self._result[0]!r}"
        )
        self._answer(answer)
        return asked

    @property
    def asks(self) -> Effect[Any] | None:
        """What the policy waits for now, None when it has ended."""
        return self._asked

    def end(self) -> T:
        """The policy must have ended by now."""
        assert self._result, f"the policy still asks {self._asked!r}"
        return self._result[0]
