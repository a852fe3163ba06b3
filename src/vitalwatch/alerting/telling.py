"""Rules in plain words, for those who set them and those who answer them."""

from __future__ import annotations

from typing import Any

from vitalwatch.alerting.rules import LIMIT, InForce, Personal, Rule, Rules, Term, in_force, span
from vitalwatch.alerting.terms import Comparison
from vitalwatch.schema import Schema

CHANNELS = {
    "unusual": "what is unusual for this person, as the models see it",
    "known": "what looks like a known kind of episode, as the models see it",
    "technical": "what a sensor did, as the monitor sees it",
}
SENSORS = {
    "spikes": "values jump to and fro",
    "weak_signal": "the sensor's signal is weak at rest",
    "no_heart_rate": "the device reports but measures no heart rate",
    "two_devices": "two devices send for one person and differ",
}


def sentence(rule: Rule, schema: Schema, personal: Personal) -> str:
    """Return when a rule raises which alarm, in one sentence, with the limits of a person in it."""
    if rule.channel is not None:
        return _ended(CHANNELS[rule.channel], rule)
    if rule.sensor is not None:
        return _ended(f"{SENSORS[rule.sensor]}, {rule.times} times within {rule.within}", rule)
    joined = (" and " if rule.all else " or ").join(_term(term, schema, personal) for term in rule.terms)
    lasts = f", for {rule.lasts}" if span(rule.lasts) else ""
    return _ended(f"{joined}{lasts}", rule)


def listed(rules: Rules, personal: Personal, schema: Schema) -> list[dict[str, Any]]:
    """Return the rules in force for a person as plain values: where each stands, what it says, and that in words."""
    return [_told(name, one, personal, schema) for name, one in in_force(rules, personal).items()]


def _told(name: str, one: InForce, personal: Personal, schema: Schema) -> dict[str, Any]:
    return {
        "name": name,
        "source": one.source,
        "enabled": one.rule.enabled,
        "priority": one.rule.priority,
        "sentence": sentence(one.rule, schema, personal),
        "rule": one.rule.model_dump(mode="json", exclude_unset=True, exclude_none=True),
    }


def _ended(text: str, rule: Rule) -> str:
    loud = f"; {rule.priority} priority" if rule.priority else ""
    return f"{text[:1].upper()}{text[1:]}{loud}."


def _term(term: Term, schema: Schema, personal: Personal) -> str:
    one = Comparison.of(term, personal, schema)
    side = "at least" if one.equal else "above" if one.sign > 0 else "below"
    if term.news2 is not None:
        return f"{'NEWS2' if term.news2 == 'total' else 'a single part of NEWS2'} {side} {one.at:g}{_beyond(one)}"
    column = schema.columns[term.signal]
    label = column.label.lower()
    if term.usual is not None:
        return f"{label} {one.at:g} own spreads {side} usual"
    what = f"mean {label} over {term.over}" if term.mean is not None else label
    limit = " (the limit)" if LIMIT in (term.above, term.below) else ""
    return f"{what} {side} {one.at:g} {column.shown}{limit}{_beyond(one)}"


def _beyond(one: Comparison) -> str:
    return "" if one.beyond is None else ", and unusual for this person"
