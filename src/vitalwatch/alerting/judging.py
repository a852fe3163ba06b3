"""Rules on grid rows -> alarm conditions of one person: persistence, hysteresis, what is worse, and why.

`Judge.look` gives equal conditions for a month in one call and for one row at a time. Its memory is bounded, plain and
fit for JSON. Nothing is concluded from a row without a measurement: the condition stays as it is for an hour at most,
so a device that is taken off ends clinical alarm conditions and raises none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from vitalwatch.alerting.alerts import HOLD, PHYSIOLOGICAL, PRIORITIES, TECHNICAL, Condition, higher
from vitalwatch.alerting.glance import Glance
from vitalwatch.alerting.rules import InForce, Personal, Rule, Rules, Term, in_force, span
from vitalwatch.alerting.sensing import FINDERS, SENTENCES, TOLD, Felt, Sensed, advance, beat_change, nothing_sensed
from vitalwatch.alerting.terms import (
    HOLDS,
    SCORED,
    UNKNOWN,
    Asked,
    Codes,
    Mean,
    Rows,
    advance_mean,
    busy_rows,
    loose_rows,
    measured,
    newest_beat,
    over_of,
    resting_rows,
)
from vitalwatch.clinical import PARTS
from vitalwatch.explaining import named
from vitalwatch.monitor import State
from vitalwatch.schema import Schema
from vitalwatch.tables import MINUTE, Alarm, Answers, Bools, Doubles, Grid

URGENT_COOL_DOWN = 30 * MINUTE  # what is urgent and comes back waits no longer, whatever its rule says
SILENCE = "silence"  # of the past, told with the reading that ends it: the watchdog tells it while it lasts
NOBODY = Personal()
LEARNT = "learnt"  # what every alarm of the learnt channels is about


@dataclass(frozen=True)
class Held:
    """What is remembered of one rule.

    Attributes:
        since: Start of the first row of those that hold, UTC ms, None where it does not hold.
        until: End of the newest one.
        start: Of the episode, None where the condition is not present.
        priority, explanation, about: Of the episode at its worst.
        loud: Start of the first of the newest rows in a row that make the rule louder, None where the newest does not.
    """

    since: int | None = None
    until: int = -1
    start: int | None = None
    priority: str = ""
    explanation: str = ""
    about: tuple[str, ...] = ()
    loud: int | None = None


@dataclass(frozen=True)
class Body:
    """What is remembered of one person up to some row.

    Attributes:
        busy_at: Time of the newest active row, UTC ms, -1 for none.
        beat: Time and heart rate of the newest row, None where it was not measured.
        held: By rule, where there is something to remember.
        sensed: The same of rules about sensors.
        means: By rule and number of the comparison.
        loose_at: Time of the newest row with a thermometer off the skin, UTC ms, -1 for none.
    """

    busy_at: int = -1
    beat: tuple[int, float] | None = None
    held: Mapping[str, Held] = field(default_factory=dict)
    sensed: Mapping[str, Sensed] = field(default_factory=dict)
    means: Mapping[str, Mean] = field(default_factory=dict)
    loose_at: int = -1


@dataclass(frozen=True)
class Memory:
    """What a judge remembers of one person; hand it back unchanged.

    Attributes:
        newest: Start of the newest row, UTC ms, -1 before the first.
        after: After the newest row.
        before: Before it, since more readings of its step may still change it.
    """

    newest: int = -1
    after: Body = field(default_factory=Body)
    before: Body = field(default_factory=Body)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; a mean that is not known is null."""
        told = asdict(self)
        for body in (told["after"], told["before"]):
            for mean in body["means"].values():
                mean["value"] = None if math.isnan(mean["value"]) else mean["value"]
        return told

    def adopting(self, other: Memory, names: Set[str]) -> Memory:
        """Return this memory with what another one, of the same rows, remembers of some rules."""
        if self.newest < 0:
            return other
        after, before = (_adopting(*pair, names) for pair in ((self.after, other.after), (self.before, other.before)))
        return Memory(self.newest, after, before)

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Memory:
        """Read back what `to_json` wrote."""
        return Memory(told["newest"], _body(told["after"]), _body(told["before"]))


def _adopting(mine: Body, other: Body, names: Set[str]) -> Body:
    """Return a body's memory with what another one remembers of some rules; a mean is named after its rule."""
    held = {name: one for name, one in mine.held.items() if name not in names}
    means = {name: one for name, one in mine.means.items() if name.rpartition(".")[0] not in names}
    held |= {name: one for name, one in other.held.items() if name in names}
    means |= {name: one for name, one in other.means.items() if name.rpartition(".")[0] in names}
    return replace(mine, held=held, means=means)


def _body(told: Mapping[str, Any]) -> Body:
    means = {
        name: Mean(
            one["first"],
            tuple((int(hour), float(total), int(count)) for hour, total, count in one["hours"]),
            float("nan") if one["value"] is None else float(one["value"]),
        )
        for name, one in told["means"].items()
    }
    beat = None if told["beat"] is None else (int(told["beat"][0]), float(told["beat"][1]))
    held = {name: Held(**one | {"about": tuple(one.get("about", ()))}) for name, one in told["held"].items()}
    sensed = {
        name: Sensed(tuple(one["times"]), one["start"], one["over"]) for name, one in told.get("sensed", {}).items()
    }
    return Body(told["busy_at"], beat, held, sensed, means, told.get("loose_at", -1))


@dataclass
class Course:
    """What a judge says while it looks at rows.

    Attributes:
        ended: Conditions that ended in these rows.
        told: Where asked for, of rules that compare values: start of the row, UTC ms, and the condition as it is from
            then on: begun, worse, or over.
    """

    ended: list[Condition] = field(default_factory=list)
    told: list[tuple[int, Condition]] | None = None

    def say(self, at: int, condition: Condition) -> None:
        """Note a condition that began, became worse or is over, at the row that starts at `at`."""
        if condition.end is not None:
            self.ended.append(condition)
        if self.told is not None:
            self.told.append((at, condition))


class Judge:
    """Rules of rules.yaml for one person.

    Attributes:
        rules, personal: As given.
        in_force: Every rule as it is for this person; `asked` are those that compare values and are on.
    """

    def __init__(self, rules: Rules, schema: Schema, personal: Personal = NOBODY) -> None:
        self.rules, self.schema, self.personal = rules, schema, personal
        self.in_force: Mapping[str, InForce] = in_force(rules, personal)
        on = [(name, one.rule) for name, one in self.in_force.items() if one.rule.enabled]
        self.asked = tuple(Asked.of(name, rule, personal, schema) for name, rule in on if rule.terms)
        self.sensors = tuple((name, rule) for name, rule in on if rule.sensor)
        self._weakest = max((rule.below or 0.0 for _, rule in self.sensors), default=0.0)
        self._glance = Glance.of(self.asked, personal, schema)
        self._scored = {one.name for one in self.asked if any(term.news2 for term in one.rule.terms)}

    def look(self, memory: Memory, answers: Answers) -> tuple[Memory, tuple[Condition, ...]]:
        """Return the next memory, and the conditions that are present and those that ended in these rows.

        Args:
            memory: From `Memory()` or an earlier call.
            answers: Of the monitor, for rows that follow those seen before; the newest one may be told again.
        """
        if not len(answers):
            return memory, self._present(memory.after)
        course = Course()
        memory = self._look(memory, answers, course)
        return memory, (*course.ended, *self._present(memory.after))

    def course(
        self, memory: Memory, answers: Answers
    ) -> tuple[Memory, tuple[Condition, ...], list[tuple[int, Condition]]]:
        """Return what `look` does of at least one row, and when rules that compare values said what (`Course.told`)."""
        course = Course(told=[])
        memory = self._look(memory, answers, course)
        return memory, (*course.ended, *self._present(memory.after)), course.told or []

    def _look(self, memory: Memory, answers: Answers, course: Course) -> Memory:
        n = len(answers)
        body = memory.before if answers.time[0] == memory.newest else memory.after
        begins = self._glance.begins(answers)
        go_on = partial(self._rows, begins=begins) if body.held or begins else self._passed
        before = go_on(body, answers, slice(0, n - 1), course) if n > 1 else body
        after = go_on(before, answers, slice(n - 1, n), course)
        return Memory(int(answers.time[-1]), after, before)

    def of_monitor(self, state: State, answers: Answers) -> tuple[Condition, ...]:
        """Return the conditions of the monitor's own channels: those still open in `state`, and those that ended.

        An alarm that the monitor cut because it lasts is one condition; it is one once it `lasts` as its rule asks, by
        the rows that made it: one that only waits for more to join it lasts no longer for that.
        """
        still = {alarm for channel in state.body.channels if (alarm := channel.open) is not None}
        found: dict[tuple[str, str], list[tuple[Condition, int]]] = {}
        alarms = {(one.channel, one.start): one for one in (*answers.alarms, *still)}
        for alarm in sorted(alarms.values(), key=lambda one: one.start):
            told = self._of_alarm(alarm, alarm in still)
            if told is None:
                continue
            earlier = found.setdefault(told.key, [])
            if earlier and earlier[-1][0].end == told.start:
                piece = earlier.pop()[0]
                told = replace(told, start=piece.start, priority=higher(piece.priority, told.priority))
            earlier.append((told, alarm.end))
        return tuple(
            one
            for several in found.values()
            for one, end in several
            if end - one.start >= span(self.in_force[one.rule].rule.lasts)
        )

    def _of_alarm(self, alarm: Alarm, still: bool) -> Condition | None:
        found = self.rules.of_channel(alarm.channel)
        told_by_a_rule = any(rule.sensor == TOLD.get(alarm.kind) for _, rule in self.sensors)
        if found is None or alarm.kind == SILENCE or told_by_a_rule:
            return None
        name, rule = found[0], self.in_force[found[0]].rule
        if not rule.enabled:
            return None
        return self._condition(
            name,
            rule,
            kind=alarm.kind,
            category=TECHNICAL if alarm.channel == "technical" else PHYSIOLOGICAL,
            priority=rule.priority or alarm.priority,
            start=alarm.start,
            end=None if still else alarm.end,
            explanation=alarm.explanation,
            about=self._spoken_of(alarm),
        )

    def _spoken_of(self, alarm: Alarm) -> tuple[str, ...]:
        """Return what an alarm of the monitor is about: both learnt channels look at the same things."""
        if alarm.channel == "technical":
            return ()
        return (LEARNT, *dict.fromkeys(_matter(vital) for vital in named(alarm.explanation, self.schema)))

    def _condition(self, name: str, rule: Rule, *, explanation: str, **told: Any) -> Condition:
        said = f"{rule.says.rstrip('.')}. {explanation}" if rule.says else explanation
        wait = span(rule.cool_down)
        wait = min(wait, URGENT_COOL_DOWN) if told["priority"] == PRIORITIES[-1] else wait
        return Condition(rule=name, explanation=said, latching=rule.latching, cool_down=wait, **told)

    def _present(self, body: Body) -> tuple[Condition, ...]:
        held = ((one, body.held.get(one.name)) for one in self.asked)
        found = [self._episode(asked, one, None) for asked, one in held if one is not None and one.start is not None]
        for name, rule in self.sensors:
            sensed = body.sensed.get(name)
            if sensed is not None and sensed.start is not None:
                found.append(self._sensed(name, rule, sensed.start, None))
        return tuple(found)

    def _sensed(self, name: str, rule: Rule, start: int, end: int | None) -> Condition:
        """Return a condition of a sensor; nobody's body is behind it, so it goes with what made it."""
        return self._condition(
            name,
            rule,
            kind="",
            category=TECHNICAL,
            priority=rule.priority,
            start=start,
            end=end,
            explanation=SENTENCES[rule.sensor or ""],
        )

    def _episode(self, asked: Asked, held: Held, end: int | None) -> Condition:
        assert held.start is not None
        return self._condition(
            asked.name,
            asked.rule,
            kind="",
            category=PHYSIOLOGICAL,
            priority=held.priority,
            start=held.start,
            end=end,
            explanation=held.explanation,
            about=held.about,
        )

    def _passed(self, body: Body, answers: Answers, keep: slice, course: Course) -> Body:
        """Return what `_rows` does where no rule about a body can begin to hold."""
        grid = answers.grid if len(answers) == 1 else answers.grid.rows(keep)
        step_minutes = self.schema.step_minutes
        busy = np.flatnonzero(busy_rows(grid, step_minutes))
        busy_at = int(grid.time[busy[-1]]) if len(busy) else body.busy_at
        sensed: Mapping[str, Sensed] = {}
        step_ms = self.schema.step_ms
        if body.sensed or (self.sensors and not nothing_sensed(grid, body.beat, step_ms, self._weakest)):
            sensed = self._felt(body, grid, resting_rows(grid, body.busy_at, step_minutes)[0], course)
        loose_at = loose_rows(grid, body.loose_at)[1] if np.count_nonzero(grid.artefact) else body.loose_at
        return Body(busy_at, newest_beat(grid, step_minutes), sensed=sensed, loose_at=loose_at)

    def _felt(self, before: Body, grid: Grid, resting: Bools, course: Course) -> Mapping[str, Sensed]:
        """Return what is remembered of the rules about sensors after some rows; what ends in them goes to `course`."""
        sensed = dict(before.sensed)
        felt = Felt(grid, resting, beat_change(grid, before.beat, self.schema.step_ms))
        for name, rule in self.sensors:
            found = FINDERS[rule.sensor or ""](felt, rule)
            told, over = advance(sensed.pop(name, Sensed()), found, grid.time, rule, self.schema.step_ms)
            course.ended.extend(self._sensed(name, rule, start, end) for start, end in over)
            if told.times:
                sensed[name] = told
        return sensed

    def _rows(self, body: Body, answers: Answers, keep: slice, course: Course, *, begins: Set[str]) -> Body:
        """Return what is remembered after some rows; what is to be said of them goes to `course`.

        Of the rules, only those that are held or among those that may begin are looked at: others change nothing.
        """
        seen, looked_at = _part(answers, keep), begins | body.held.keys()
        scored, step = not self._scored.isdisjoint(looked_at), self.schema.step_minutes
        rows = Rows.of(seen, body.busy_at, body.beat, body.loose_at, self.personal, step, scored=scored)
        held, means = {one.name: body.held[one.name] for one in self.asked if one.name in body.held}, {}
        for asked in self.asked:
            if asked.name not in looked_at:
                continue
            values = []
            for number, term in enumerate(asked.rule.terms):
                if term.mean is None:
                    values.append(rows.values(term))
                    continue
                name = f"{asked.name}.{number}"
                mean, value = self._mean(body.means.get(name, Mean()), rows, term)
                means[name] = mean
                values.append(value)
            found = self._watch(asked, held.pop(asked.name, Held()), values, rows, course)
            if found.since is not None:
                held[asked.name] = found
        sensed = self._felt(body, seen.grid, rows.resting, course)
        return Body(rows.busy_at, rows.beat, held, sensed, means, rows.loose_at)

    def _mean(self, mean: Mean, rows: Rows, term: Term) -> tuple[Mean, Doubles]:
        value = measured(rows.answers.grid, term.signal)
        if term.resting:
            value = np.where(rows.resting, value, np.nan)
        return advance_mean(mean, value, rows.time, over_of(term), self.schema.step_ms)

    def _watch(self, asked: Asked, held: Held, values: Sequence[Doubles], rows: Rows, course: Course) -> Held:
        """Return what is remembered of one rule after these rows."""
        enter, stay = asked.codes(values, rows)
        candidates = np.flatnonzero(enter == HOLDS)
        row, n = 0, len(enter)
        while row < n:
            if held.since is None:  # nothing to remember: on to the next row where it may begin
                place = candidates.searchsorted(row)
                if place == len(candidates):
                    break
                row = int(candidates[place])
            held = self._row(asked, held, enter, stay, row, values, rows, course)
            row += 1
        return held

    def _row(
        self,
        asked: Asked,
        held: Held,
        enter: Codes,
        stay: Codes,
        row: int,
        values: Sequence[Doubles],
        rows: Rows,
        course: Course,
    ) -> Held:
        start = int(rows.time[row])
        end = start + self.schema.step_ms
        if held.since is not None and start - held.until > HOLD:
            held = self._over(asked, held, start, course)
        code = int((enter if held.start is None else stay)[row])
        if code == UNKNOWN:
            return held
        if code != HOLDS:
            gone = held.start is None or end - held.until >= span(asked.rule.clears)
            return self._over(asked, held, start, course) if gone else held
        value = float(values[0][row])
        priority = asked.priority(value)
        loud = None if priority == asked.rule.priority else start if held.loud is None else held.loud
        held = replace(held, since=start if held.since is None else held.since, until=end, loud=loud)
        assert held.since is not None
        if held.start is None and not asked.lasted(end - held.since, None if loud is None else end - loud):
            return held
        if held.start is not None and higher(held.priority, priority) == held.priority:
            return held
        sentence = self._explanation(asked, values, rows, row)
        held = replace(held, start=held.since if held.start is None else held.start, priority=priority,
                       explanation=sentence, about=self._about(asked, rows, row))  # fmt: skip
        course.say(start, self._episode(asked, held, None))
        return held

    def _over(self, asked: Asked, held: Held, at: int, course: Course) -> Held:
        if held.start is not None:
            course.say(at, self._episode(asked, held, held.until))
        return Held()

    def _about(self, asked: Asked, rows: Rows, row: int) -> tuple[str, ...]:
        """Return what a rule speaks of in a row: the vitals that it compares, and of NEWS2 those that score."""
        vitals = [term.signal for term in asked.rule.terms if term.signal]
        if rows.score is not None and any(term.news2 is not None for term in asked.rule.terms):
            vitals += [vital for part, vital in SCORED.items() if rows.score.parts[row, PARTS.index(part)] > 0]
        return tuple(dict.fromkeys(map(_matter, vitals)))

    def _explanation(self, asked: Asked, values: Sequence[Doubles], rows: Rows, row: int) -> str:
        parts = []
        for one, value in zip(asked.comparisons, values, strict=True):
            if one.codes(value[row : row + 1])[1][0] == HOLDS:
                parts.append(self._said(one.term, one.sign, one.at, float(value[row]), rows, row))
        told = " and ".join(parts)
        lasts = asked.lasts_at(float(values[0][row]))
        return told[:1].upper() + told[1:] + (f", for {lasts}." if span(lasts) else ".")

    def _said(self, term: Term, sign: int, at: float, value: float, rows: Rows, row: int) -> str:
        side = "above" if sign > 0 else "below"
        if term.news2 is not None and rows.score is not None:
            parts = rows.score.parts[row]
            scored = ", ".join(f"{name} {points:.0f}" for name, points in zip(PARTS, parts, strict=True) if points > 0)
            what = "NEWS2" if term.news2 == "total" else "a single NEWS2 part"
            return f"{what} is {value:.0f} of the vitals measured ({scored})"
        column = self.schema.columns[term.signal]
        label = column.label.lower()
        if term.usual is not None:
            return f"{label} is {abs(value):.1f} of their own spreads {side} this person's usual"
        what = f"mean {label} over {term.over}" if term.mean is not None else label
        return f"{what} is {_number(value)} {column.shown}, {side} {_number(at)}"


def _matter(vital: str) -> str:
    """Return what a vital is about: both blood pressures are one."""
    return "blood_pressure" if vital.startswith("blood_pressure") else vital


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 45 else f"{value:.1f}"


def _part(answers: Answers, keep: slice) -> Answers:
    """Return what rules look at of some rows."""
    return replace(
        answers,
        time=answers.time[keep],
        own_baseline=answers.own_baseline[keep],
        assessable=answers.assessable[keep],
        residual=answers.residual[keep],
        contribution=answers.contribution[keep],
        grid=answers.grid.rows(keep),
    )
