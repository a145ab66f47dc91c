"""Values: dataclasses that nobody changes, and that cost little to make.

A request makes a dozen. One that is frozen at run time takes five times as long to construct, so here only the type
checker sees to it that no attribute is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")

_make: Callable[[type[T]], type[T]] = dataclass(slots=True, unsafe_hash=True)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """The class as a dataclass with slots, equality and a hash."""
    return _make(cls)
