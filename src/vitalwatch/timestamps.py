"""Times as text: RFC 3339 with a zone, nothing else; one text or a whole column."""

from __future__ import annotations

import calendar
import datetime as dt
import re

import numpy as np
from numpy.typing import NDArray

from vitalwatch.tables import Bools, Times

LATEST = 7_258_118_400_000  # 2200-01-01, UTC ms
OFFSETS = (-720, 840)  # minutes; the zones in use

EPOCH = dt.date(1970, 1, 1).toordinal()

_STAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(.*)")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_ZONE = re.compile(r"[Zz]|([+-])([0-9]{2}):([0-9]{2})")


def parse_time(text: object) -> tuple[int, int] | str:
    """Return (UTC milliseconds, offset in minutes) of an RFC 3339 text with zone, or the reason why it is none."""
    if not isinstance(text, str):
        return "bad_timestamp"
    if unsafe(text):
        return "bad_text"
    match = _STAMP.fullmatch(text)
    if not match:
        return "bad_timestamp"
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    zone = _ZONE.fullmatch(match[8])
    if not match[8]:
        return "timestamp_without_zone"
    if not zone or not 1969 <= year <= 2200 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return "bad_timestamp"
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return "bad_timestamp"
    offset = 0 if zone[1] is None else (int(zone[2]) * 60 + int(zone[3])) * (-1 if zone[1] == "-" else 1)
    if not OFFSETS[0] <= offset <= OFFSETS[1] or (zone[3] and int(zone[3]) > 59):
        return "bad_timestamp"
    days = dt.date(year, month, day).toordinal() - EPOCH
    milliseconds = int((match[7] or "").ljust(3, "0")[:3])
    moment = ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1_000 + milliseconds
    return (moment, offset) if 0 <= moment < LATEST else "bad_timestamp"


def parse_times(text: NDArray[np.uint8]) -> tuple[Times, NDArray[np.int16], Bools]:
    """Read many RFC 3339 texts of equal length at once, as `parse_time` does.

    Args:
        text: ASCII codes, shape (n, length); 20 <= length.

    Returns:
        UTC milliseconds, offsets in minutes, and where the text was plain; the others are for `parse_time`. Shape (n,).
    """
    n, length = text.shape
    text = np.ascontiguousarray(text.T)  # a character of all texts lies together
    plain = np.logical_and.reduce(text[MARKS] == MARKED, axis=0) & ((text[10] == ord("T")) | (text[10] == ord(" ")))
    (century, rest, month, day, hour, minute, second), numeric = _pairs(text, DIGITS)
    year = century * 100 + rest
    plain &= numeric & (year >= 1969) & (year <= 2200) & (month >= 1) & (month <= 12) & (day >= 1)
    plain &= (hour <= 23) & (minute <= 59) & (second <= 59)
    offset, zoned, utc = _zones(text)
    fraction = length - 19 - np.where(utc, 1, 6)  # characters between the seconds and the zone
    plain &= zoned & ((fraction == 0) | ((fraction == 4) & (text[min(19, length - 1)] == ord("."))))
    milliseconds = np.zeros(n, np.int32)
    if length > 23:
        some, digit = fraction == 4, text[20:23].astype(np.int32) - 48
        plain &= ~some | np.logical_and.reduce((digit >= 0) & (digit <= 9), axis=0)
        milliseconds = np.where(some, digit[0] * 100 + digit[1] * 10 + digit[2], 0)
    months = np.where(plain, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    first = months.astype("M8[D]").astype(np.int64)
    plain &= day <= (months + 1).astype("M8[D]").astype(np.int64) - first
    clock = ((first + day - 1) * 24 + hour) * 60 + minute - offset
    moment = clock * 60_000 + second * 1_000 + milliseconds
    return moment, offset.astype(np.int16), plain & (moment >= 0) & (moment < LATEST)


DIGITS = np.asarray([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18], np.intp)  # where they stand, two a number
MARKS, MARKED = np.asarray([4, 7, 13, 16], np.intp), np.frombuffer(b"--::", np.uint8)[:, None]


def _pairs(text: NDArray[np.uint8], places: NDArray[np.intp] | list[int]) -> tuple[NDArray[np.int32], Bools]:
    """Return the numbers that pairs of characters tell, (pairs, n), and where all of these are digits, (n,)."""
    digit = text[places] - np.uint8(48)  # what is less than "0" becomes large
    number = digit[::2].astype(np.int32)
    number *= 10
    number += digit[1::2]
    return number, np.logical_and.reduce(digit <= 9, axis=0)


def _zones(text: NDArray[np.uint8]) -> tuple[NDArray[np.int32], Bools, Bools]:
    """Return the offsets in minutes, where the zone is one, and where it is Z, (n,) each."""
    utc = text[-1] == ord("Z")
    if utc.all():
        return np.zeros(len(utc), np.int32), utc, utc
    sign, (hour, minute) = text[-6], (pairs := _pairs(text, [-5, -4, -2, -1]))[0]
    offset = np.where(utc, 0, (hour * 60 + minute) * np.where(sign == ord("-"), -1, 1))
    told = ((sign == ord("+")) | (sign == ord("-"))) & (text[-3] == ord(":")) & pairs[1] & (minute <= 59)
    return offset, utc | (told & (offset >= OFFSETS[0]) & (offset <= OFFSETS[1])), utc


def unsafe(text: str) -> bool:
    """Return whether a text holds control characters, text-direction marks or broken characters."""
    return not (text.isascii() and text.isprintable()) and _UNSAFE.search(text) is not None


def rfc3339(moment: int, offset: int = 0) -> str:
    """Return UTC milliseconds as RFC 3339 text with the zone `offset` (minutes); inverse of `parse_time`."""
    offset = offset if OFFSETS[0] <= offset <= OFFSETS[1] else 0
    text = str(np.datetime64(moment + offset * 60_000, "ms"))
    sign, size = ("-" if offset < 0 else "+"), abs(offset)
    text = text.removesuffix(".000")
    return text + (f"{sign}{size // 60:02}:{size % 60:02}" if offset else "Z")
