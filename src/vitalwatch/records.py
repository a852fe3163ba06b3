"""Records of which every reading makes new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(kind: type[T]) -> type[T]:
    """Return the class as a dataclass that is frozen for the type checker only.

    A frozen dataclass sets each field by a call, 0.14 us a field in place of 0.015, and one reading makes records of a
    hundred fields.
    """
    return dataclass(kind)
