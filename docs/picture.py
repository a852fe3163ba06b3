"""Draw docs/person.svg: one synthetic person, seen by the production run, who was never learnt from.

python docs/picture.py [--index 100007]     # `make picture`
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vitalwatch import drawing, synthetic
from vitalwatch.monitor import Monitor
from vitalwatch.settings import load_settings
from vitalwatch.stages.assess import trusted_keys
from vitalwatch.store import Store

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=int, default=100_007, help="which person of the seed; any not learnt from")
    given = parser.parse_args()
    settings = load_settings(ROOT)
    store = Store(settings.artifacts)
    run = store.production()
    if run is None:
        raise SystemExit("There is no production run to draw with. Make one with `python main.py`.")
    monitor = Monitor.open(store.folder(run) / "models", trusted_keys(settings))
    person = synthetic.person(given.index, settings.schema, settings.params.synthetic, settings.params.seed)
    answers = monitor.answer(person.readings, person.profile)
    picture = drawing.heart_rate(drawing.Example("one person", answers, person.events, "Heart rate"), 1)
    if picture is None:
        raise SystemExit("That person has too few readings to draw. Name another with --index.")
    (ROOT / "docs" / "person.svg").write_text(drawing.as_file(picture), encoding="utf-8")
    print(f"docs/person.svg shows a person of seed {settings.params.seed}, as run {run} sees them.")


if __name__ == "__main__":
    main()
