"""Strict JSON: one flat object in UTF-8, each field once, nothing after it.

Python's own parser, like most, lets the last of two equal fields win and reads `NaN`; a monitor must not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import from_json

from vitalwatch.timestamps import unsafe

MAX_BYTES, MAX_DEPTH, MAX_KEYS = 65_536, 8, 64


def decode(raw: bytes | None) -> dict[str, Any] | str:
    """Return the one JSON object of `raw`, or the reason (see `reading.REASONS`) why there is none.

    Numbers beyond float64 and the literals NaN and Infinity come back as non-finite floats, for the reader to refuse.
    """
    if raw is None:
        return "null_value"
    found, reason = strict(raw, MAX_BYTES)
    if reason:
        return reason
    if found is None:
        return "null_value"
    return found if isinstance(found, dict) else "not_json"


def decode_all(messages: Sequence[bytes]) -> Sequence[dict[str, Any] | str]:
    """Return what `decode` returns for each of many messages."""
    found = _together(messages) if len(messages) > 1 else None
    return [decode(raw) for raw in messages] if found is None else found


def items(raw: bytes, most: int) -> list[bytes] | None:
    """Return the items of a JSON array as they came, to be read one by one; None where they cannot be told apart.

    Only strings, brackets and commas are looked at, so that what is wrong inside an item stays that item's affair.
    Of more than `most` items the first of them and one are returned.
    """
    found, begin, depth, last = list[bytes](), 0, 0, 0
    for token in _TOKEN.finditer(raw):
        kind = raw[token.start()]
        if kind == _QUOTE:
            continue
        if depth == 0 and (last or kind != _OPEN or raw[: token.start()].strip()):
            return None
        if kind in b"[{":
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif depth == 1 and kind in b",]":
            found.append(raw[begin : token.start()].strip(b" \t\r\n"))
            begin = token.end()
            if not found[-1] or len(found) > most:
                return found if found[-1] else None
        if kind in b"]}":
            depth -= 1
            last = token.end()
    whole = last and depth == 0 and not raw[last:].strip(b" \t\r\n") and raw[last - 1] == _CLOSE
    return found if whole else None


def _together(messages: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Return the objects of messages that are read in one go, None where one has to be looked at.

    No string can hold a line break, so that with one between two messages none reaches into the next; and each begins
    with the only opening bracket that is in it and ends with the only closing one, so that each is read as if alone.
    """
    joined, n = b",\n".join(messages), len(messages)
    if joined.count(b"\n") != n - 1 or joined.count(b"},\n{") != n - 1 or joined.count(b"{") != n:
        return None
    alone = joined.startswith(b"{") and joined.endswith(b"}") and joined.count(b"}") == n and b"[" not in joined
    if not alone or b"\0" in joined or max(map(len, messages)) > MAX_BYTES:
        return None
    try:
        whole = b"[" + joined + b"]"
        found: list[dict[str, Any]] | None = _plainly(whole, whole.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    return found


def strict(raw: bytes, most: int) -> tuple[Any, str]:
    """Return the JSON value of `raw` and an empty text, or None and the reason why there is none.

    Args:
        raw: UTF-8.
        most: Bytes that are looked at; more are `too_large`.
    """
    if len(raw) > most:
        return None, "too_large"
    if b"\0" in raw or raw.startswith(b"\xef\xbb\xbf"):
        return None, "encoding"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None, "encoding"
    if not text.strip(" \t\r\n"):
        return None, "empty"
    found = _plainly(raw, text)
    shallow = found is not None and raw.count(b"[") <= MAX_DEPTH - 2  # `_plainly` is sure of two objects deep at most
    if not shallow and _seems_deep(raw) and _depth(text) > MAX_DEPTH:
        return None, "too_deep"
    if found is not None:
        return found, ""
    try:
        return (_LONG if _MANY_DIGITS.search(text) else _PLAIN).decode(text), ""
    except _RefusedError as error:
        return None, str(error)
    except json.JSONDecodeError as error:
        known = {"Extra data": "trailing_data", "Invalid control character at": "bad_text"}
        return None, known.get(error.msg, "not_json")


class _RefusedError(Exception):
    pass


_known: set[tuple[str, ...]] = set()  # names of fields that were looked at before: a batch repeats them


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError("duplicate_key")
    names = tuple(found)
    if names not in _known:
        _look_at(names)
    return found


def _look_at(names: tuple[str, ...]) -> None:
    text = "".join(names)
    if unsafe(text):
        raise _RefusedError("bad_text")
    if len(names) > MAX_KEYS:
        raise _RefusedError("unknown_field")
    if len(_known) >= 1000:
        _known.clear()
    if len(text) < 2000:
        _known.add(names)


def _plainly(raw: bytes, text: str) -> Any:
    """Return the value where the fast way is sure of it, None where the strict way has to look.

    Without spaces every field ends with a quote and a colon: of a field that stands twice, one is missing in the value
    (a text with such a pair in it looks the same, and is looked at). Objects are counted by their brackets.
    """
    dense = raw.translate(_DIGITS, b" \t\r\n")
    if _TWENTY in dense or text[0] not in "{[":
        return None
    try:
        value = from_json(raw, cache_strings="keys")
    except ValueError:  # Python's own parser says what is wrong, or knows better
        return None
    brackets = raw.count(b"{")
    objects = [value] if brackets == 1 and type(value) is dict else _objects(value)
    if brackets != len(objects) or dense.count(b'":') != sum(map(len, objects)):
        return None
    return value if _known.issuperset(map(tuple, objects)) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a value: itself, those in it, and those in lists in it."""
    found: list[dict[str, Any]] = []
    inner: Iterable[Any] = value
    if type(value) is dict:
        found.append(value)
        inner = value.values()
        for one in inner:
            if type(one) is list:
                found += [each for each in one if type(each) is dict]
    return found + [one for one in inner if type(one) is dict]


_PLAIN = json.JSONDecoder(object_pairs_hook=_unique)
_LONG = json.JSONDecoder(object_pairs_hook=_unique, parse_int=float)  # thousands of digits would be slow
_TOKEN = re.compile(
    rb'"[^"\\]*(?:\\[\s\S]?[^"\\]*)*(?:"|\Z)|[\[\]{},]'
)  # a string that does not end reaches to the end
_QUOTE, _OPEN, _CLOSE = b'"[]'
_MANY_DIGITS = re.compile(r"[0-9]{20}")
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_TWENTY = b"0" * 20
_SHAPE = bytes.maketrans(b"[]", b"{}")
_REST = bytes(code for code in range(256) if code not in b"[]{}")


def _seems_deep(raw: bytes) -> bool:
    """Return whether brackets may nest too deeply; those inside strings count, so that only `_depth` is sure."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    left = raw.translate(_SHAPE, _REST)
    for _ in range(MAX_DEPTH):
        left = left.replace(b"{}", b"")
        if not left:
            return False
    return True


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
