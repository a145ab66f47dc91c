"""Where settings come from: a file, the environment over it, the command line over both; and where each was typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from caputchin_gate.config.configuration import Configuration, read
from caputchin_gate.config.environment import typed_in
from caputchin_gate.config.gate_file import GateFile, load
from caputchin_gate.config.tables import Table
from caputchin_gate.errors import ConfigurationError, Place, Problem

SHORT: Final = 6  # characters: no secret is shorter, and many words of a message are


@dataclass(frozen=True, slots=True)
class Override:
    """A value that does not stand in the file.

    unsaid: what of it no message may repeat, because many variables hold secrets; None where it was typed openly
    """

    place: Place
    unsaid: tuple[str, ...] | None = field(default=None, repr=False)

    def placed(self, problem: Problem) -> Problem:
        if self.unsaid is None:
            return replace(problem, place=self.place)
        said = replace(problem, place=self.place, shown="")
        for text in self.unsaid:
            said = replace(said, what=said.what.replace(text, "..."), fix=said.fix.replace(text, "..."))
        return said


@dataclass(frozen=True, slots=True)
class Typed:
    """All that was typed, in one table.

    strange: variables that stand for no setting
    """

    tables: Table = field(repr=False)
    file: GateFile | None = None
    overriding: Mapping[str, Override] = field(default_factory=dict)
    strange: Sequence[Problem] = ()

    def read(self, *, must_guard: bool = False) -> Configuration:
        """What it means. Raises ConfigurationError with every problem, whatever source it is of."""
        return read(self.tables, self.strange, must_guard=must_guard)

    def placed(self, problem: Problem) -> Problem:
        """The same problem, with its place."""
        if problem.place is not None:
            return problem
        path = problem.setting
        while path:
            if path in self.overriding:
                return self.overriding[path].placed(problem)
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return replace(problem, place=self.file.place_of(problem.setting)) if self.file is not None else problem

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Problems that are raised inside get their places, and the order of the file."""
        try:
            yield
        except ConfigurationError as failure:
            found = map(self.placed, failure.problems)
            raise ConfigurationError(sorted(found, key=lambda problem: problem.place or Place(""))) from None


def gather(path: str | Path | None, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Typed:
    """All that was typed. Raises ConfigurationError where that can't be told.

    path:    of a gate.toml; None for the environment alone
    options: what was typed on the command line, by the path of the setting; an option is called like its key
    """
    file = load(path) if path is not None else None
    tables: Table = file.tables if file is not None else {}
    overriding: dict[str, Override] = {}
    problems: list[Problem] = []
    for keys, (variable, value) in typed_in(environment, tables, problems).items():
        tables = _with(tables, keys, value)
        unsaid = (part.strip() for part in environment[variable].split(","))
        overriding[".".join(keys)] = Override(Place(variable), tuple(part for part in unsaid if len(part) >= SHORT))
    for setting, value in (options or {}).items():
        *_, key = keys = tuple(setting.split("."))
        tables = _with(tables, keys, value)
        overriding[setting] = Override(Place(f"--{key}"))
    return Typed(tables, file, overriding, tuple(problems))


def _with(tables: Any, keys: Sequence[str], value: Any) -> Any:
    """The tables with one value in the place of another. What is no table stays, and is told when it is read."""
    if not keys:
        return value
    if not isinstance(tables, Mapping):
        return tables
    key, *below = keys
    return {**tables, key: _with(tables.get(key, {}), below, value)}
