"""Which node of a cluster is asked. A single server is a cluster of one.

All keys of a part are on one node. Which one is learned from the nodes themselves: whoever is asked for a key that is
another's names the owner. So no map of the cluster is kept up to date, and a failover needs nothing but asking again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from caputchin_gate.stores.redis_address import Node
from caputchin_gate.stores.redis_claims import Command, Conversation

T = TypeVar("T")

_MOST_REDIRECTIONS: Final = 4


class Lost(Exception):
    """The nodes send us from one to the other."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The reply of a node that does not have the key. For good, or `once` because it is moving right now."""

    node: Node
    once: bool


@dataclass(frozen=True, slots=True)
class Sending:
    """asking: with the word ASKING before it, which a node wants to hear from who was sent to it once."""

    node: Node
    words: tuple[str | bytes | int | float, ...]
    asking: bool = False


class Nodes:
    """What one process knows about the nodes."""

    def __init__(self, named: Sequence[Node]) -> None:
        self._all = list(named)
        self._owners: dict[int, Node] = {}

    def owner(self, part: int) -> Node:
        """The node to ask, which may be the wrong one."""
        return self._owners.get(part, self._all[0])

    def learn(self, part: int, node: Node) -> None:
        self._owners[part] = node
        if node not in self._all:
            self._all.append(node)

    def doubt(self, node: Node) -> None:
        """It gave no answer: the others are asked where its keys are by now."""
        for part in [part for part, owner in self._owners.items() if owner == node]:
            self._owners.pop(part, None)
        if len(self._all) > 1 and self._all[0] == node:
            self._all.append(self._all.pop(0))


def directed(conversation: Conversation[T], nodes: Nodes) -> Generator[Sending, object, T]:
    """The conversation, with each command sent to the node that has the key."""
    reply: object = None
    while True:
        try:
            command = conversation.send(reply)
        except StopIteration as done:
            answer: T = done.value
            return answer
        reply = yield from _send(command, nodes)


def _send(command: Command, nodes: Nodes) -> Generator[Sending, object, object]:
    sending = Sending(nodes.owner(command.part), command.words)
    for _ in range(_MOST_REDIRECTIONS):
        match (yield sending):
            case Elsewhere(node=node, once=True):
                sending = Sending(node, command.words, asking=True)
            case Elsewhere(node=node):
                nodes.learn(command.part, node)
                sending = Sending(node, command.words)
            case reply:
                return reply
    raise Lost
