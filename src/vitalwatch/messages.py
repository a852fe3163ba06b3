"""Strict JSON: one flat object in UTF-8, each field once, nothing after it.

Python's own parser, like most, lets the last of two equal fields win and reads `NaN`; a monitor must not.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vitalwatch.timestamps import unsafe

MAX_BYTES, MAX_DEPTH, MAX_KEYS = 65_536, 8, 64


def decode(raw: bytes | None) -> dict[str, Any] | str:
    """Return the one JSON object of `raw`, or the reason (see `reading.REASONS`) why there is none.

    Numbers beyond float64 and the literals NaN and Infinity come back as non-finite floats, for the reader to refuse.
    """
    if raw is None:
        return "null_value"
    if len(raw) > MAX_BYTES:
        return "too_large"
    if b"\0" in raw or raw.startswith(b"\xef\xbb\xbf"):
        return "encoding"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "encoding"
    if not text.strip(" \t\r\n"):
        return "empty"
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return "too_deep"
    try:
        found = (_LONG if _MANY_DIGITS.search(text) else _PLAIN).decode(text)
    except _DuplicateKeyError:
        return "duplicate_key"
    except json.JSONDecodeError as error:
        return {"Extra data": "trailing_data", "Invalid control character at": "bad_text"}.get(error.msg, "not_json")
    if found is None:
        return "null_value"
    if not isinstance(found, dict):
        return "not_json"
    if unsafe("".join(found)):
        return "bad_text"
    return "unknown_field" if len(found) > MAX_KEYS else found


class _DuplicateKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


_PLAIN = json.JSONDecoder(object_pairs_hook=_unique)
_LONG = json.JSONDecoder(object_pairs_hook=_unique, parse_int=float)  # thousands of digits would be slow
_MANY_DIGITS = re.compile(r"[0-9]{20}")


def _depth(text: str) -> int:
    """Return how deep brackets outside strings nest."""
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            inside = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest
