"""Plain values -> JSON, fast; numbers that are none (NaN) become null."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, TypeAdapter

_ANY: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="null"))


def dumped(told: Any) -> bytes:
    """Return UTF-8 JSON."""
    return _ANY.dump_json(told)
