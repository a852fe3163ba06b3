"""A form for rules of one person: fields in words -> a rule as rules.yaml writes it, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitalwatch.alerting.alerts import PRIORITIES
from vitalwatch.alerting.rules import LIMIT, MINE, OWN, Personal, span
from vitalwatch.baseline import VITALS
from vitalwatch.schema import Schema
from vitalwatch.ui.plain import words

VALUE, MEAN, USUAL, NEWS2, PART = "vital", "mean", "usual", "total", "single"
KINDS = {  # what a comparison looks at -> words
    VALUE: "a vital sign, as measured",
    MEAN: "its mean over a while",
    USUAL: "how far it is from this person's usual",
    NEWS2: "NEWS2, the total",
    PART: "NEWS2, the highest single part",
}
JOINS = {"": "only this", "all": "and, at the same time", "any": "or"}
OVER = {"1h": "1 hour", "6h": "6 hours", "12h": "12 hours", "1d": "1 day", "2d": "2 days", "3d": "3 days",
        "7d": "7 days", "14d": "14 days"}  # fmt: skip
LASTS = {"0min": "at once", "10min": "10 minutes", "30min": "30 minutes", "60min": "1 hour", "2h": "2 hours",
         "6h": "6 hours", "12h": "12 hours"}  # fmt: skip
QUIET = {"30min": "30 minutes", "60min": "1 hour", "6h": "6 hours", "12h": "12 hours", "1d": "1 day"}
HYSTERESIS = {
    "heart_rate": 5.0,
    "oxygen_saturation": 1.0,
    "respiratory_rate": 2.0,
    "body_temperature": 0.2,
    "blood_pressure_systolic": 5.0,
    "blood_pressure_diastolic": 5.0,
}  # fmt: skip - of rules.yaml
NEAR = 0.5  # hysteresis of a distance from usual, own spreads, as in rules.yaml
NAMED = {  # rules whose name alone says little
    "unusual": "unusual for this person",
    "known": "looks like a known kind of episode",
    "technical": "sensor",
    "news2": "NEWS2",
    "news2_single": "NEWS2, a single part",
    "backlog": "summary after a reconnect",
}
MANY = 1.0  # alarms a day above which somebody is asked to think again


@dataclass(frozen=True)
class Comparison:
    """The fields of one comparison: what is looked at (of KINDS), of which vital, side, number, and over what."""

    kind: str = VALUE
    vital: str = "heart_rate"
    above: bool = True
    at: float | None = None
    over: str = "3d"


@dataclass(frozen=True)
class Fields:
    """The fields of a rule: comparisons, how they are joined (of JOINS), how long, how loudly, how long quiet after."""

    comparisons: tuple[Comparison, ...] = (Comparison(),)
    join: str = ""
    lasts: str = "30min"
    priority: str = "medium"
    quiet: str = "6h"


def fields_of(rule: Mapping[str, Any], personal: Mapping[str, Any], schema: Schema) -> Fields:
    """Return the fields of a rule as it is written; `limit` becomes the number that it stands for."""
    join = next((name for name in ("all", "any") if rule.get(name)), "")
    return Fields(
        tuple(_comparison(term, personal, schema) for term in _terms(rule)),
        join,
        rule.get("lasts", "0min"),
        rule.get("priority") or PRIORITIES[0],
        rule.get("cool_down", "30min"),
    )


def rule_of(fields: Fields, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a rule as rules.yaml writes it.

    Args:
        fields: Of the form.
        before: The rule that it is made of, whose other keys stay where they still fit; None for a new one.
    """
    kept = {key: value for key, value in (before or {}).items() if key not in ("when", "all", "any", "enabled")}
    kept |= {"priority": fields.priority, "lasts": fields.lasts, "cool_down": fields.quiet}
    kept.setdefault("clears", "10min")
    old = [*_terms(before or {}), *([{}] * len(fields.comparisons))]
    terms = [_term(one, was) for one, was in zip(fields.comparisons, old, strict=False)]
    louder = {name: at for name, at in kept.pop("louder", {}).items() if name in _above(fields.priority)}
    if not fields.join and louder:
        kept["louder"] = louder
    if "louder" not in kept or span(kept.get("sooner", "0min")) > span(fields.lasts):
        kept.pop("sooner", None)
    return {"when": terms[0], **kept} if not fields.join else {fields.join: terms, **kept}


def next_name(own: Iterable[str]) -> str:
    """Return the lowest name that no own rule has."""
    taken = set(own)
    return next(name for name in (f"own_{i}" for i in range(1, 100)) if name not in taken)


def with_rule(personal: Mapping[str, Any], name: str, rule: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a person's settings with an own rule, or without it (None); changes of a rule of that name go."""
    own = {key: value for key, value in personal.get("own", {}).items() if key != name}
    changes = {key: value for key, value in personal.get("rules", {}).items() if rule is None or key != name}
    return {**personal, "own": own if rule is None else {**own, name: dict(rule)}, "rules": changes}


def title(name: str) -> str:
    """Return what a rule, or a kind of episode, is called: an own rule by its number, others by their name in words."""
    named = f"own rule {name.removeprefix('own_')}" if OWN.fullmatch(name) else NAMED.get(name) or words(name)
    return named[:1].upper() + named[1:]


def written(rules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rules of this person alone."""
    return [one for one in rules if one["source"] == MINE]


def replaceable(rules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the shared rules whose place an own rule can take: those that compare values, four at most."""
    return [one for one in rules if one["source"] != MINE and {"when", "all", "any"} & one["rule"].keys()]


def tried_words(tried: Mapping[str, Any] | None, name: str = "") -> tuple[bool, str]:
    """Return what a rehearsal found in a sentence, and whether it is few enough to be read by somebody.

    Args:
        tried: As `rehearsal.Rehearsal.to_json`, None without a run.
        name: The rule that is written, empty for all together.
    """
    if tried is None:
        return True, "It could not be tried on history: there is no model yet."
    if not tried["days"]:
        return True, "It could not be tried on history: nothing of this person is stored yet."
    days = max(tried["days"], 1.0)
    mine = next((one for one in tried["rules"] if one["rule"] == name), None)
    told = f"In the last {tried['days']:g} days"
    if mine is not None:
        told += f" it would have raised {_alarms(mine['alarms'])};"
    told += f" all rules of this person {_alarms(tried['alarms'])} ({tried['before']} as it is now)."
    few = (tried["alarms"] if mine is None else mine["alarms"]) / days <= MANY
    return few, told if few else f"{told} That is more than one a day: think of a longer while or another number."


def reach(comparison: Comparison, schema: Schema) -> tuple[float, float, float, str]:
    """Return smallest and largest number of a comparison, the step of its field, and its unit."""
    if comparison.kind in (NEWS2, PART):
        return 1.0, 20.0 if comparison.kind == NEWS2 else 3.0, 1.0, "points"
    if comparison.kind == USUAL:
        return 0.5, 10.0, 0.5, "of their own spreads"
    column = schema.columns[comparison.vital]
    step = 0.1 if column.unit == "Cel" else 1.0
    return float(column.possible[0]) + step, float(column.possible[1]) - step, step, column.shown


def start(comparison: Comparison, schema: Schema) -> float:
    """Return the number in an empty field: the usual limit of the vital on that side, or what is unusual."""
    if comparison.kind in (NEWS2, PART):
        return 5.0 if comparison.kind == NEWS2 else 3.0
    usual = schema.columns[comparison.vital].usual
    if comparison.kind == USUAL or usual is None:
        return 2.5 if comparison.kind == USUAL else reach(comparison, schema)[0]
    return float(usual[comparison.above])


def vitals_of(kind: str, schema: Schema) -> list[str]:
    """Return the vitals that a kind of comparison can be about."""
    return list(VITALS if kind == USUAL else schema.vitals)


def options(known: Mapping[str, str], told: str) -> dict[str, str]:
    """Return choices with one more where a rule has another."""
    same = next((name for name in known if span(name) == span(told)), None)
    return dict(known) if same is not None else {**known, told: told}


def choice(known: Mapping[str, str], told: str) -> str:
    """Return the choice that is as long as what a rule has."""
    return next(name for name in known if span(name) == span(told))


def _comparison(term: Mapping[str, Any], personal: Mapping[str, Any], schema: Schema) -> Comparison:
    kind = term.get("news2") or next(name for name in (VALUE, MEAN, USUAL) if term.get(name))
    vital = term.get(kind, "heart_rate")
    side = next(name for name in ("above", "below", "at_least") if term.get(name) is not None)
    at = term[side]
    if at == LIMIT:
        own = Personal.model_validate(personal).limits.get(vital)
        mine = None if own is None else own.low if side == "below" else own.high
        at = mine if mine is not None else (schema.columns[vital].usual or (0.0, 0.0))[side != "below"]
    return Comparison(kind, vital, side != "below", float(at), term.get("over", "3d"))


def _terms(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the comparisons of a rule as they are written."""
    return [*([rule["when"]] if rule.get("when") else []), *rule.get("all", ()), *rule.get("any", ())]


def _term(one: Comparison, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a comparison as rules.yaml writes it; of the one before stays what the form does not ask about."""
    if one.kind in (NEWS2, PART):
        return {"news2": one.kind, "at_least": one.at}
    same = before.get(one.kind) == one.vital
    near = NEAR if one.kind == USUAL else HYSTERESIS.get(one.vital, 0.0)
    told = {one.kind: one.vital, "above" if one.above else "below": one.at}
    told["hysteresis"] = before.get("hysteresis", 0.0) if same else near
    if one.kind == MEAN:
        told["over"] = one.over
    if same and before.get("at_rest") is not None:
        told["at_rest"] = before["at_rest"]
    return told


def _above(priority: str) -> tuple[str, ...]:
    return PRIORITIES[PRIORITIES.index(priority) + 1 :]


def _alarms(count: int) -> str:
    return f"{count} alarm{'' if count == 1 else 's'}"
