"""`generate`: a recording of synthetic people."""

from __future__ import annotations

from argparse import Namespace

from vitalwatch.commands.command_line import nearest
from vitalwatch.commands.desk import Desk, Outcome
from vitalwatch.errors import UsageError


def generate(given: Namespace, desk: Desk) -> Outcome:
    """Write a recording; raises UsageError for a wrong number or format, StoreError when it cannot be written."""
    from vitalwatch.synthetic import write_recording
    from vitalwatch.synthetic.writer import FORMATS

    settings = desk.settings
    chosen = settings.params.synthetic
    people = chosen.people if given.people is None else given.people
    days = chosen.days if given.days is None else given.days
    seed = settings.params.seed if given.seed is None else given.seed
    for name, value, least in (("people", people, 1), ("days", days, 1), ("seed", seed, 0)):
        if value < least:
            raise UsageError(f"--{name} must be at least {least}.")
    if given.format not in FORMATS:
        raise UsageError(
            f"There is no format {given.format}.{nearest(given.format, FORMATS)} Known: {', '.join(FORMATS)}."
        )
    with desk.screen.progress() as move:
        counts = write_recording(
            given.out,
            people=people,
            days=days,
            seed=seed,
            schema=settings.schema,
            params=chosen,
            jobs=settings.config.jobs,
            format=given.format,
            on_person=lambda done: move("people", done, people),
        )
    desk.screen.say(f"{people} synthetic people, {days} days each, are in {desk.shown(given.out)}:")
    desk.screen.table(list(counts.items()), ("table", "rows"))
    desk.screen.say(f"Score them with `python main.py score --source {given.out} --out scored/`.")
    return Outcome(data={"out": str(given.out), "people": people, "days": days, "seed": seed, "rows": counts})
