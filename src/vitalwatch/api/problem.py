"""What a refused request is told: RFC 9457 problem+json, with a code of one table and never what was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vitalwatch.api.wire import dumped
from vitalwatch.deliveries import REASONS as BY_DATABASE
from vitalwatch.errors import (
    AlarmRefused,
    BundleRefused,
    ChangedMeanwhile,
    DatabaseBusy,
    DatabaseError,
    GatesFailed,
    HouseOnly,
    NoModelYet,
    NotAllowed,
    NotEnoughHistory,
    NotFound,
    StorageFull,
    UsageError,
    VitalsError,
)
from vitalwatch.reading import REASONS as BY_READING

MEDIA = "application/problem+json"
URI = "urn:vitalwatch:problem:"
REQUEST = "urn:vitalwatch:request:"
MOST_FAULTS = 20  # a thousand refused readings need no thousand lines
HOUSE_KEY = "`python main.py keys make --ward '*'` makes a key of all wards."
RETRY = 1  # seconds, where nothing better is known

# Code -> status and title; the codes of readings are those of every other surface
TABLE: dict[str, tuple[int, str]] = {
    **{code: (422, title) for code, title in {**BY_READING, **BY_DATABASE}.items()},
    "wrong_type": (422, "a value is of another type than is needed there"),
    "not_json": (400, "the body is not JSON"),
    "too_large": (413, "the body is longer than this route takes"),
    "event_id_conflict": (409, BY_DATABASE["event_id_conflict"]),
    "not_allowed": (403, BY_DATABASE["not_allowed"]),
    "missing_field": (422, "a field is missing"),
    "out_of_range": (422, "a number is outside its limits"),
    "unknown_value": (422, "a value is not one of those listed"),
    "too_many": (422, "there are more items than this route takes"),
    "too_few": (422, "there are fewer items than this route needs"),
    "not_enough_history": (422, "too little was measured to answer"),
    "not_learnt": (422, "the run in production learnt no model that answers this"),
    "bad_action": (409, "this action does not fit the state of the alert"),
    "changed_meanwhile": (412, "what is to be replaced is no longer what If-Match names"),
    "gates_failed": (409, "this run did not pass every gate"),
    "run_refused": (409, "this run does not open: damaged, not signed, of another format, or its self-test failed"),
    "no_earlier_run": (409, "there is no earlier good run to go back to"),
    "unauthenticated": (401, "a valid key or token is needed"),
    "scope_missing": (403, "the key may not do this"),
    "wards_missing": (403, "this is about every ward, and the key is for some"),
    "loopback_only": (403, "without keys only this machine is answered"),
    "not_found": (404, "there is nothing here for this key"),
    "method_not_allowed": (405, "this route has other methods"),
    "slow_request": (408, "the body came too slowly"),
    "media_type": (415, "the body must be of a media type that the route lists, without compression"),
    "headers_too_large": (431, "the headers or the address are too long"),
    "too_many_requests": (429, "this key sends more than it may"),
    "busy": (503, "more is waiting than can be answered in time"),
    "no_model": (503, "no model is in production"),
    "provider_silent": (503, "the identity provider does not tell its keys"),
    "storage": (503, "the database does not take anything now"),
    "internal": (500, "something went wrong here, not with the request"),
}
WANTED = {  # what pydantic calls it, and what a value of another type should have been
    "string": "text is needed here",
    "int": "a whole number is needed here",
    "int_from_float": "a whole number is needed here",
    "float": "a number is needed here",
    "bool": "true or false is needed here",
    "list": "an array is needed here",
    **dict.fromkeys(("dict", "model", "model_attributes"), "an object is needed here"),
}
OF_PYDANTIC = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "finite_number": "not_finite",
    "string_unicode": "bad_text",
    "string_pattern_mismatch": "unknown_value",
    "literal_error": "unknown_value",
    "enum": "unknown_value",
    "too_long": "too_many",
    "too_short": "too_few",
    "string_too_long": "bad_text",
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), "out_of_range"),
    **dict.fromkeys(("int_parsing", "float_parsing", "bool_parsing", "int_from_float"), "wrong_type"),
}


BOUNDS = {  # what pydantic calls a bound of a form -> what we do
    "ge": "minimum",
    "gt": "exclusive_minimum",
    "le": "maximum",
    "lt": "exclusive_maximum",
    "min_length": "min_length",
    "max_length": "max_length",
}
WORDS = {
    "minimum": "at least",
    "exclusive_minimum": "above",
    "maximum": "at most",
    "exclusive_maximum": "below",
    "min_length": "of a length of at least",
    "max_length": "of a length of at most",
}


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a request: where (RFC 6901), one of TABLE's codes, and a sentence without what was sent.

    `bounds` tells what is taken there: `minimum`, `maximum` (excluded where they begin so), `allowed`.
    """

    pointer: str
    code: str
    detail: str = ""
    bounds: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "pointer": self.pointer, "code": self.code, "detail": self.detail or TABLE[self.code][1], **self.bounds,
        }  # fmt: skip


class Problem(Exception):
    """A request that is not answered as asked.

    Attributes:
        code: Of TABLE.
        detail: A sentence with the next step.
        faults: Where in the request, if that is known.
        headers: Beside the usual ones.
        more: Extension members.
        actor: Id of the key that asks, where it is known and the request is refused before anybody is.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        faults: Sequence[Fault] = (),
        headers: Sequence[tuple[str, str]] = (),
        more: Mapping[str, Any] | None = None,
        status: int | None = None,
        actor: str = "",
    ) -> None:
        super().__init__(code)
        self.code, self.detail, self.faults, self.headers = code, detail, tuple(faults), tuple(headers)
        self.more, self.actor = dict(more or {}), actor
        self.status = status or TABLE[code][0]

    def body(self, request: str) -> bytes:
        """Return problem+json; `request` is the id of the request."""
        title = TABLE[self.code][1]
        told: dict[str, Any] = {
            "type": URI + self.code,
            "title": title[0].upper() + title[1:],
            "status": self.status,
            "detail": self.detail or title[0].upper() + title[1:] + ".",
            "instance": REQUEST + request,
        }
        if self.faults:
            told["errors"] = [fault.to_json() for fault in self.faults[:MOST_FAULTS]]
        return dumped(told | self.more)

    def error(self) -> bytes:
        """Return it as the Open Inference Protocol has it: one sentence, which begins with the code."""
        why = self.faults[0].to_json()["detail"] if self.faults else self.detail or TABLE[self.code][1]
        return dumped({"error": f"{self.code}: {why}"})


def in_protocol(path: str) -> bool:
    """Return whether a path is of the Open Inference Protocol, whose errors have a form of their own."""
    return path == "/v2" or path.startswith("/v2/")


def busy(code: str, detail: str, seconds: int = RETRY) -> Problem:
    """Return the problem of somebody who should come back later."""
    return Problem(code, detail, headers=(("retry-after", str(seconds)),))


def of_error(error: VitalsError) -> Problem:
    """Return the problem of an error of ours; places on this machine stay here."""
    if isinstance(error, NoModelYet):
        return Problem("no_model", "Run `python main.py`: it trains a model and puts it into production.")
    if isinstance(error, NotAllowed | NotFound):
        return Problem("not_found", "It is unknown, or for another key.")
    if isinstance(error, ChangedMeanwhile):
        return Problem("changed_meanwhile", "Nothing was written. Get it again, with its ETag.")
    if isinstance(error, HouseOnly):
        return Problem("wards_missing", HOUSE_KEY)
    if isinstance(error, NotEnoughHistory):
        return Problem("not_enough_history", "Nothing of this person is scored yet. Send readings first.")
    if isinstance(error, GatesFailed):
        return Problem("gates_failed", str(error))
    if isinstance(error, BundleRefused):
        return Problem("run_refused", f"It was refused: {error.check}. {error.hint}")
    if isinstance(error, AlarmRefused):
        return Problem("bad_action", str(error))
    if isinstance(error, UsageError):
        return Problem("unknown_value", str(error))
    if isinstance(error, StorageFull):
        return busy("storage", "The disk is full. Everything that was accepted is still there.", 60)
    if isinstance(error, DatabaseBusy):
        return busy("storage", "Another process is writing. Try again.")
    if isinstance(error, DatabaseError):
        return busy("storage", "The database cannot be used. `python main.py doctor` says why.", 10)
    return Problem("internal", "Look into the log under this request's id.")


def of_validation(error: ValidationError, around: int = 0) -> Problem:
    """Return the problem of a body or a query that does not fit its form; names that were sent are not repeated.

    Args:
        error: Of the form.
        around: Levels that were put around what was sent.
    """
    faults = []
    for one in error.errors(include_url=False, include_input=False):
        kind, place = one["type"], one["loc"][around:]
        place = place[:-1] if kind == "extra_forbidden" else place
        code = OF_PYDANTIC.get(kind, "wrong_type" if kind.endswith("_type") else "unknown_value")
        detail = WANTED.get(kind.removesuffix("_type").removesuffix("_parsing"), "") if code == "wrong_type" else ""
        bounds = _bounds(one.get("ctx", {}))
        faults.append(Fault("".join(f"/{part}" for part in place), code, detail or _told(bounds), bounds))
    return Problem(faults[0].code, faults=faults)


def _bounds(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form takes; of what pydantic tells, only what is the form's and never the request's."""
    found = {name: context[key] for key, name in BOUNDS.items() if key in context}
    if "expected" in context:
        found["allowed"] = re.findall(r"'([^']*)'", str(context["expected"]))
    return {name: told for name, told in found.items() if told not in (None, [])}


def _told(bounds: Mapping[str, Any]) -> str:
    """Return in words what a form takes, empty where it does not say."""
    parts = [f"{WORDS[name]} {told}" for name, told in bounds.items() if name in WORDS]
    if "allowed" in bounds:
        parts.append(f"one of {', '.join(bounds['allowed'])}")
    return f"this must be {' and '.join(parts)}" if parts else ""
