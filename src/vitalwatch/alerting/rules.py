"""rules.yaml as closed types: when to alarm, how loudly, for whom; docs/alarms.md explains it by example."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vitalwatch.alerting.alerts import PRIORITIES
from vitalwatch.alerting.lifecycle import Signals, Timing
from vitalwatch.baseline import VITALS
from vitalwatch.errors import SettingsError
from vitalwatch.explaining import MOVED
from vitalwatch.schema import Closed, Schema
from vitalwatch.settings import closed, read_closed
from vitalwatch.tables import MINUTE

UNITS = {"s": 1_000, "min": MINUTE, "h": 60 * MINUTE, "d": 1440 * MINUTE}
LONGEST_MEAN = 30 * UNITS["d"]  # a mean remembers its hours: memory of a person is bounded
SPIKES, WEAK, BLIND = "spikes", "weak_signal", "no_heart_rate"  # what a sensor tells of itself
TWO = "two_devices"  # what several tell of one person
LIMIT = "limit"  # the person's own limit, else the usual one of schema.yaml
MOST_OWN, MOST_TERMS = 20, 4  # own rules of one person, and comparisons in one of them: judging stays fast
OWN = re.compile(r"own_[1-9][0-9]?")  # numbered, not named: names reach alarms, notices and the audit log
REACH_USUAL, REACH_NEWS2 = (0.0, 20.0), (0.0, 20.5)  # own spreads; points, 20 at most (RCP 2017)
LONGEST_COOL_DOWN = "1d"  # of one person: how long resolved alerts are looked up at least
LONGEST_OWN = "30d"  # any other duration of one person: as long as the longest mean
SHARED, CHANGED, MINE = "rules.yaml", "rules.yaml, changed for this person", "this person"  # where a rule stands


@lru_cache(maxsize=256)
def span(text: str) -> int:
    """Return a duration such as `15s`, `10min`, `6h` or `3d` in milliseconds; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)\s*(s|min|h|d)", str(text))
    if not match:
        raise ValueError("a duration is written like 15s, 10min, 6h or 3d")
    return int(match[1]) * UNITS[match[2]]


def _span(text: str) -> str:
    span(text)
    return text


Span = Annotated[str, AfterValidator(_span)]
Priority = Literal["high", "medium", "low"]
Threshold = float | Literal["limit"]


class Term(Closed):
    """One comparison: one of `vital`, `mean`, `usual`, `news2` with one of `above`, `below`, `at_least`.

    Attributes:
        vital: A vital as it was measured, in its unit.
        mean: Its mean over the last `over`, known once half of that was measured.
        usual: How far it is from the person's own usual, in their own spreads: 2 is unusual, 4 is far.
        news2: The `total`, or the highest `single` part.
        above, below, at_least: What it is compared with; `limit` is the person's own limit, else that of schema.yaml.
        over: Of a mean, up to 30d.
        at_rest: Whether it says nothing while the person is active; by default where movement explains it.
        hysteresis: How far back it must come before the condition counts as gone, in the same unit.
        beyond_usual: Where the person's own usual is known, the condition begins only with values that are also so
            many of their own spreads beyond it (of NEWS2: with 3 points or more from such vitals). A louder value, and
            a limit that a clinician set, ask for no such thing.
    """

    vital: str | None = None
    mean: str | None = None
    usual: str | None = None
    news2: Literal["total", "single"] | None = None
    above: Threshold | None = None
    below: Threshold | None = None
    at_least: float | None = None
    over: Span | None = None
    at_rest: bool | None = None
    hysteresis: Annotated[float, Field(ge=0)] = 0.0
    beyond_usual: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Term:
        if sum(one is not None for one in (self.vital, self.mean, self.usual, self.news2)) != 1:
            raise ValueError("a comparison names exactly one of vital, mean, usual, news2")
        if sum(one is not None for one in (self.above, self.below, self.at_least)) != 1:
            raise ValueError("a comparison has exactly one of above, below, at_least")
        if (self.over is None) != (self.mean is None):
            raise ValueError("over belongs to a mean, and a mean needs it")
        if self.over is not None and not UNITS["h"] <= span(self.over) <= LONGEST_MEAN:
            raise ValueError("a mean is over 1h to 30d")
        if LIMIT in (self.above, self.below) and self.vital is None:
            raise ValueError("limit is known for a vital only")
        if self.beyond_usual is not None and self.vital is None and self.news2 is None:
            raise ValueError("beyond_usual belongs to a vital or to news2")
        return self

    @property
    def signal(self) -> str:
        """The vital that is compared, empty for NEWS2."""
        return self.vital or self.mean or self.usual or ""

    @property
    def resting(self) -> bool:
        """Whether it says nothing while the person is active."""
        if self.at_rest is not None:
            return self.at_rest
        return self.vital in MOVED or self.news2 is not None


class Rule(Closed):
    """When to raise which alarm; exactly one of `when`, `all`, `any`, `channel`, `sensor`.

    Attributes:
        when, all, any: One comparison; several that hold together; several of which one holds.
        channel: Alarms of the monitor: `unusual`, `known` or `technical`, with the priority that it gives them unless
            `priority` says otherwise.
        sensor: What a sensor tells of itself, a technical alarm: `spikes`, `weak_signal` (at rest, `below` some
            quality), `no_heart_rate` (the device reports, but measures none) or `two_devices` (that measured the same
            in one step, and differ). `times` rows of it `within` a while, and no longer than `longest`: then it is a
            state that somebody knows of.
        priority: high, medium or low.
        louder: Higher priorities and the value from which they hold; with `when` only.
        lasts: How long it must hold before it is an alarm condition.
        sooner: How long a louder value must, where that is shorter.
        clears: How long it must not hold before the condition is over.
        cool_down: How long after that it raises nothing new.
        latching: Whether the signal stays on until somebody acknowledges, though the condition is over.
        enabled: Whether it is asked at all.
        says: What stands before the explanation.
    """

    when: Term | None = None
    all: tuple[Term, ...] = ()
    any: tuple[Term, ...] = ()
    channel: Literal["unusual", "known", "technical"] | None = None
    sensor: Literal["spikes", "weak_signal", "no_heart_rate", "two_devices"] | None = None
    below: Annotated[float, Field(gt=0, le=1)] | None = None
    times: Annotated[int, Field(ge=1)] = 1
    within: Span = "60min"
    longest: Span | None = None
    priority: Priority | None = None
    louder: dict[Priority, float] = Field(default_factory=dict)
    lasts: Span = "0min"
    sooner: Span | None = None
    clears: Span = "0min"
    cool_down: Span = "30min"
    latching: bool = True
    enabled: bool = True
    says: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Rule:
        if sum(map(bool, (self.when, self.all, self.any, self.channel, self.sensor))) != 1:
            raise ValueError("a rule has exactly one of when, all, any, channel, sensor")
        if (self.below is None) == (self.sensor == WEAK):
            raise ValueError("below belongs to sensor: weak_signal, and that needs it")
        if self.channel is None and self.priority is None:
            raise ValueError("a rule needs a priority: high, medium or low")
        if self.louder and self.when is None:
            raise ValueError("louder belongs to a rule with one comparison (when)")
        if self.priority and any(PRIORITIES.index(one) <= PRIORITIES.index(self.priority) for one in self.louder):
            raise ValueError("louder names higher priorities than the rule's own")
        if self.sooner is not None and (not self.louder or span(self.sooner) > span(self.lasts)):
            raise ValueError("sooner belongs to a rule with louder, and is no longer than lasts")
        return self

    @property
    def terms(self) -> tuple[Term, ...]:
        """Its comparisons."""
        return (self.when,) if self.when is not None else (*self.all, *self.any)

    @property
    def technical(self) -> bool:
        """Whether it is about sensors, not about the person."""
        return self.sensor is not None or self.channel == "technical"


class Loudness(Closed):
    """Timers of a priority: alarm again after an acknowledgement, escalate what nobody acts on; null is never."""

    again: Span | None
    escalate: Span | None


class SignalRules(Closed):
    """How alarm signals behave."""

    high: Loudness
    medium: Loudness
    low: Loudness
    pause: Span
    longest_pause: Span
    backlog: Span


class Wearing(Closed):
    """Silence of a person: `silence` is a technical alarm, `not_worn` a state that ends it (null: it never does)."""

    silence: Span
    not_worn: Span | None
    priority: Priority = "low"

    @model_validator(mode="after")
    def _order(self) -> Wearing:
        if self.not_worn is not None and span(self.not_worn) <= span(self.silence):
            raise ValueError("not_worn must be longer than silence")
        return self


class Bound(Closed):
    """A person's own limits of a vital, in its unit."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _order(self) -> Bound:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Change(Closed):
    """What is otherwise for one person in one rule."""

    enabled: bool | None = None
    priority: Priority | None = None
    cool_down: Span | None = None


class Personal(Closed):
    """What a clinician set for one person.

    Attributes:
        limits: By vital; they replace what rules compare its measured values (`vital`) with, on that side.
        oxygen_scale: SpO2 scale of NEWS2; 2 only where a clinician chose it.
        supplemental_oxygen: Whether oxygen is given, None where nobody told.
        rules: Changes by rule.
        own: Rules of this person alone, named own_1, own_2, ..., or like a rule of rules.yaml whose place they take.
        wearing: Other times of silence.
    """

    limits: dict[str, Bound] = Field(default_factory=dict)
    oxygen_scale: Literal[1, 2] = 1
    supplemental_oxygen: bool | None = None
    rules: dict[str, Change] = Field(default_factory=dict)
    own: dict[str, Rule] = Field(default_factory=dict)
    wearing: Wearing | None = None

    @property
    def on_oxygen(self) -> bool:
        """Whether a clinician told that saturation is another matter for this person."""
        return self.oxygen_scale == 2 or bool(self.supplemental_oxygen)


class Rules(Closed):
    """The whole of rules.yaml; `people` is for replays and for those without a database."""

    version: Literal[1]
    signals: SignalRules
    wearing: Wearing
    rules: Annotated[dict[str, Rule], Field(min_length=1)]
    people: dict[str, Personal] = Field(default_factory=dict)

    @property
    def timing(self) -> Signals:
        """The timers in milliseconds."""
        told = self.signals
        return Signals(
            timing={name: _timing(getattr(told, name)) for name in PRIORITIES},
            pause=span(told.pause),
            longest_pause=span(told.longest_pause),
            backlog=span(told.backlog),
        )

    @property
    def longest_cool_down(self) -> int:
        """Milliseconds that a resolved alert must be remembered."""
        changed = [change.cool_down for one in self.people.values() for change in one.rules.values()]
        told = [rule.cool_down for rule in self.rules.values()] + [one for one in changed if one is not None]
        return max(map(span, (*told, LONGEST_COOL_DOWN)))

    def of_channel(self, channel: str) -> tuple[str, Rule] | None:
        """Return name and rule of a channel of the monitor, None where no rule asks it."""
        return next(((name, rule) for name, rule in self.rules.items() if rule.channel == channel), None)


def read_rules(path: Path, schema: Schema) -> Rules:
    """Read a rules file.

    Raises:
        SettingsError: It cannot be read, a key or value is wrong, or it names a vital or a rule that there is not.
    """
    rules = read_closed(Rules, path)
    for name, rule in rules.rules.items():
        for term in rule.terms:
            check_term(term, schema, f"{path.name}: rules.{name}")
    for person, one in rules.people.items():
        check_personal(one, rules, schema, f"{path.name}: people.{person}")
    return rules


@dataclass(frozen=True)
class InForce:
    """A rule as it is asked of one person: where it stands (SHARED, CHANGED or MINE), and what it says."""

    source: str
    rule: Rule


def in_force(rules: Rules, personal: Personal) -> dict[str, InForce]:
    """Return every rule by name as it is for one person, those that are off too."""
    found = {name: _changed(rule, personal.rules.get(name)) for name, rule in rules.rules.items()}
    return found | {name: InForce(MINE, rule) for name, rule in personal.own.items()}


def _changed(rule: Rule, change: Change | None) -> InForce:
    told = {} if change is None else change.model_dump(exclude_none=True)
    return InForce(CHANGED, rule.model_copy(update=told)) if told else InForce(SHARED, rule)


def personal_of(told: object, rules: Rules, schema: Schema) -> Personal:
    """Return what somebody sets for a person, as a closed type; raises SettingsError."""
    personal = closed(Personal, told, "limits")
    check_personal(personal, rules, schema, "limits")
    return personal


def check_term(term: Term, schema: Schema, where: str) -> None:
    """Raise SettingsError where a comparison is about something that there is not."""
    known = VITALS if term.usual is not None else schema.vitals
    if term.signal and term.signal not in known:
        raise SettingsError(where, term.signal, "is no vital sign", f"Known: {', '.join(known)}.")
    if LIMIT in (term.above, term.below) and schema.columns[term.signal].usual is None:
        raise SettingsError(where, term.signal, "has no usual limits in schema.yaml", "Write a number.")


def version_of(told: Mapping[str, Any]) -> str:
    """Return a name of a person's settings as they are kept, 16 hexadecimal digits: equal settings have equal names."""
    plain = json.dumps(dict(told), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def check_personal(one: Personal, rules: Rules, schema: Schema, where: str) -> None:
    """Raise SettingsError where a person's settings are about a vital or a rule that there is not."""
    for vital, bound in one.limits.items():
        if vital not in schema.vitals:
            raise SettingsError(where, f"limits.{vital}", "is no vital sign", f"Known: {', '.join(schema.vitals)}.")
        _check_bound(bound, vital, schema, where)
    if one.wearing is not None:
        _check_spans(one.wearing, ("silence", "not_worn"), f"{where}.wearing")
    for name, change in one.rules.items():
        if name not in rules.rules:
            raise SettingsError(where, f"rules.{name}", "is no rule", f"Known: {', '.join(rules.rules)}.")
        _check_cool_down(change.cool_down, f"{where}.rules.{name}")
    if len(one.own) > MOST_OWN:
        raise SettingsError(where, "own", f"holds more than {MOST_OWN} rules", "Remove some.")
    for name, rule in one.own.items():
        _check_own(name, rule, one, rules, schema, where)


def _check_own(name: str, rule: Rule, one: Personal, rules: Rules, schema: Schema, where: str) -> None:
    """Raise SettingsError where a rule of one person is not what such a rule may be."""
    place, shared = f"{where}.own.{name}", rules.rules.get(name)
    if shared is None and not OWN.fullmatch(name):
        problem = "is no name of an own rule"
        raise SettingsError(where, f"own.{name}", problem, "Write own_1 to own_99, or a rule of rules.yaml to replace.")
    if shared is not None and not shared.terms:
        raise SettingsError(place, "", "cannot be replaced: it compares no values", "Switch it off under rules.")
    if name in one.rules:
        raise SettingsError(place, "", "stands under rules, too", "Leave it out there.")
    if not rule.terms:
        raise SettingsError(place, "", "must compare values", "Write when, all or any.")
    if rule.says:
        raise SettingsError(place, "says", "is free text, which an own rule has not", "Leave it out.")
    if len(rule.terms) > MOST_TERMS:
        raise SettingsError(place, "", f"has more than {MOST_TERMS} comparisons", "Write several rules.")
    _check_cool_down(rule.cool_down, place)
    _check_spans(rule, ("lasts", "sooner", "clears", "within", "longest"), place)
    for term in rule.terms:
        check_term(term, schema, place)
        _check_reach(term, rule, schema, place)


def _check_bound(bound: Bound, vital: str, schema: Schema, where: str) -> None:
    """Raise SettingsError where a limit is none because nothing beyond it is ever measured: a slip would be silence."""
    low, high = schema.columns[vital].possible
    for side, told in (("low", bound.low), ("high", bound.high)):
        if told is not None and not low < told < high:
            hint = f"Write a number between {low:g} and {high:g} {schema.columns[vital].unit}, or leave it out."
            raise SettingsError(where, f"limits.{vital}.{side}", "is no value that can be measured", hint)


def _check_spans(told: Rule | Wearing, names: Sequence[str], where: str) -> None:
    for name in names:
        if (length := getattr(told, name)) is not None and span(length) > span(LONGEST_OWN):
            raise SettingsError(where, name, f"is longer than {LONGEST_OWN}", "Write a shorter one.")


def _check_cool_down(told: str | None, where: str) -> None:
    if told is not None and span(told) > span(LONGEST_COOL_DOWN):
        raise SettingsError(where, "cool_down", f"is longer than {LONGEST_COOL_DOWN}", "Write a shorter one.")


def _check_reach(term: Term, rule: Rule, schema: Schema, where: str) -> None:
    """Raise SettingsError where a value that can be measured never meets, or always meets, a comparison."""
    low, high = REACH_USUAL if term.usual is not None else REACH_NEWS2
    if term.usual is None and term.signal:
        low, high = schema.columns[term.signal].possible
    told = [one for one in (term.above, term.below, term.at_least, *rule.louder.values()) if one is not None]
    reached = all(low < float(one) < high for one in told if one != LIMIT) and term.hysteresis < high - low
    if not reached:
        what = "own spreads" if term.usual is not None else "points" if term.news2 else schema.columns[term.signal].unit
        raise SettingsError(where, term.signal or "news2", "is compared with what cannot be measured",
                            f"Write a number between {low:g} and {high:g} {what}.")  # fmt: skip
    if term.beyond_usual is not None and not term.beyond_usual < REACH_USUAL[1]:
        raise SettingsError(where, "beyond_usual", "is more than is ever measured",
                            f"Write a number of own spreads up to {REACH_USUAL[1]:g}.")  # fmt: skip


def _timing(told: Loudness) -> Timing:
    return Timing(span(told.again or "0min"), span(told.escalate or "0min"))
