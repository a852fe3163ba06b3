"""`alarms burden`: what the alarms of a served ward cost those who answer them."""

from __future__ import annotations

from argparse import Namespace

from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.errors import UsageError
from vitalwatch.tables import DAY

SHOWN = (
    ("alerts", "alarms that sounded", "{:.0f}"),
    ("per_person_day", "a person-day", "{:.2f}"),
    ("acknowledged", "share acknowledged", "{:.2f}"),
    ("unanswered", "share over without an answer", "{:.2f}"),
    ("minutes_median", "minutes to acknowledge, median", "{:.1f}"),
    ("minutes_p90", "minutes to acknowledge, 90 %", "{:.1f}"),
    ("repeated", "share that came back by itself", "{:.2f}"),
    ("signals", "signals an alarm", "{:.2f}"),
    ("escalated", "share escalated", "{:.2f}"),
    ("physiological", "share about a body", "{:.2f}"),
)


BY_RULE = (
    ("alerts", "{:.0f}"),
    ("per_person_day", "{:.2f}"),
    ("acknowledged", "{:.2f}"),
    ("minutes_median", "{:.1f}"),
    ("repeated", "{:.2f}"),
)


def shown(value: float | None, form: str) -> str:
    """Return a figure as text, a dash where there is nothing to divide by."""
    return "-" if value is None else form.format(value)


def burden(given: Namespace, desk: Desk) -> Outcome:
    """Print the figures over the alarms that changed in the last days.

    Raises:
        UsageError: There are no days.
        DatabaseError: It cannot be used; which command helps.
        StoreError: Its key is missing or open to others.
    """
    from vitalwatch.alarming import cost
    from vitalwatch.commands.kept import opened

    if given.days < 1:
        raise UsageError("--days must be at least 1.")
    since = desk.now_ms() - given.days * DAY
    with opened(desk) as (place, _), place.database.reading() as connection:
        found = cost(connection, None, since, desk.settings.schema.step_ms)
    told = found.to_json()
    desk.screen.say(f"Alarms that changed in the last {given.days} days:")
    rows = [(label, shown(told[name], form)) for name, label, form in SHOWN]
    desk.screen.table(rows, ("figure", "value"))
    by_rule = [(name, *(shown(one[key], form) for key, form in BY_RULE)) for name, one in told["rules"].items()]
    if by_rule:
        head = ("rule", "alarms", "a person-day", "acknowledged", "minutes until then", "came back")
        desk.screen.table(by_rule, head)
    return Outcome(data={"days": given.days, **told})
