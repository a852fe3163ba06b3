"""Early warning on real patients: sepsis within 6 hours (PhysioNet 2019, set B) and death (PhysioNet 2012, set a).

    OMP_NUM_THREADS=1 python benchmarks/early_warning.py [--data FOLDER] [--folds 5] [--draws 1000]

Prints JSON lines: AUROC and average precision with 95 % intervals over patients, gains in AUROC over NEWS2 and over
hours alone (`stay`, of the same rows, paired), Brier score and tenths of reliability,
beside the lines to beat and what is asked. Patients are divided into folds; each is judged by models that never saw
them. Probabilities are calibrated as a run does it (Platt by hours of the stay) on the out-of-fold scores of all hours
of the patients of the other folds. That calibration knows the hour: `by_score_alone` ranks without it. What a run
serves is judged at each moment of a stay, too: death after 1, 6, 12 and 24 hours and at the end, sepsis in bands of
hours. Settings are those of params.yaml, chosen before on coarse grounds and not tuned on these folds.

What each row may see:

- `news2`: the last known value of five vitals (no oxygen, no consciousness in the 2019 set).
- `when_measured`: only when and how often vitals were taken, no value: what staff's habits tell by themselves.
- `stay`: hours in intensive care and in hospital, no measurement at all.
- `vitals`: vitals, when they were taken, age and sex. Windows that are not yet full show how long a recording runs, so
  it is not wholly blind to the hours of the stay. `vitals_without_when` leaves out how long ago and how often something
  was taken; `vitals_last_6h` sees six hours and no more, so that from the sixth hour on it cannot know how long.
- `vitals_stay`, `care`: with both clocks; with all laboratory values (2012: and consciousness, urine, ventilation).
- `vitals_gcs_urine_ventilation`: 2012, between.
- `permuted`: `vitals` with outcomes dealt anew among patients: must be chance.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy looks

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch.early_warning import VARIANTS, care_names, columns_of
from vitalwatch.metrics.bootstrap import weights
from vitalwatch.models import deterioration
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings, load_settings
from vitalwatch.stages.hospital import HOURLY, Records, courses
from vitalwatch.stages.hospital_hours import headline, last_hours, moments
from vitalwatch.stages.hospital_tables import SERVED, figures
from vitalwatch.stages.ingest import ingest
from vitalwatch.tables import Bools, Floats

ROOT = Path(__file__).parent.parent
SETS = {"sepsis": "physionet2019_setB/setB_even.zip", "death_in_hospital": "physionet2012/set-a.zip"}
WHEN = ("_hours_ago", "_share_6h", "_share_12h", "_share_24h", "_share_so_far", "_times_24h")
BEDSIDE = ("gcs_", "urine_", "ventilated_")
BY_HOURS = (*SERVED, "vitals_gcs_urine_ventilation")  # judged at each moment of a stay, too
FIGURES = ("auroc", "average_precision")
ASKED: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "sepsis": {"vitals": (0.70, 0.040), "vitals_stay": (0.80, 0.080), "care": (0.82, 0.090)},
    "death_in_hospital": {"vitals": (0.765, None), "vitals_gcs_urine_ventilation": (0.84, None)},
}


class Hours:
    """Hours of all patients: those learnt from, and those judged."""

    def __init__(self, question: str, source: Path, settings: Settings) -> None:
        learnt, ends, labels, told, lasted, people = [], [], [], [], [], []
        with tempfile.TemporaryDirectory() as folder:
            ingest([source], Path(folder), settings, now_ms=int(time.time() * 1000))
            for number, course in enumerate(courses(Records.of(Path(folder)), settings)):
                happens = course.happens[question]
                share = settings.params.early_warning.share_of_hours if question in HOURLY else 0
                rng = np.random.default_rng([settings.params.seed, number])
                rows = deterioration.hours_to_learn(happens, share, rng)
                learnt.append(np.isin(np.arange(len(happens)), rows))
                ends.append(last_hours(len(happens)))
                labels.append(happens)
                told.append(course.x)
                lasted.append(course.lasted)
                people.append(course.person)
        self.x, self.happens = np.concatenate(told), np.concatenate(labels)
        self.learnt, self.lasted = np.concatenate(learnt), np.concatenate(lasted)
        self.judged = headline(question, np.concatenate(ends))
        self.moments = moments(question, self.lasted, np.concatenate(ends))
        self.person = np.repeat(np.arange(len(people)), [len(one) for one in labels])
        self.people = people

    def folds(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return the fold of each row; patients with and without the outcome are divided alike."""
        having = np.zeros(len(self.people), np.bool_)
        having[self.person[self.happens]] = True
        fold = np.zeros(len(having), np.int64)
        rng = np.random.default_rng(seed)
        for group in (having, ~having):
            some = rng.permutation(np.flatnonzero(group))
            fold[some] = np.arange(len(some)) % count
        return fold[self.person]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the recordings")
    asked.add_argument("--folds", type=int, default=5)
    asked.add_argument("--draws", type=int, default=1000)
    asked.add_argument("--question", choices=SETS, help="one of the two")
    given = asked.parse_args()
    settings = load_settings(ROOT, environment="base")
    for question, name in SETS.items():
        if given.question not in (None, question):
            continue
        if not (given.data / name).is_file():
            show({"question": question, "skipped": f"there is no {name}; name the folder of recordings with --data"})
        else:
            judge(question, given.data / name, given.folds, given.draws, settings)


def judge(question: str, source: Path, folds: int, draws: int, settings: Settings) -> None:
    hours = Hours(question, source, settings)
    show({"question": question, "patients": len(hours.people), "rows": int(hours.judged.sum()),
          "rate": round(float(hours.happens[hours.judged].mean()), 4)})  # fmt: skip
    fold = hours.folds(folds, settings.params.seed)
    drawn = weights(len(hours.people), draws, np.random.default_rng(settings.params.seed))
    names, groups = columns_of(care_names(tuple(settings.schema.care)))
    news = hours.x[:, names.index("news2_last")]
    rows = hours.judged
    for name, line in {"news2": news, **supplied(hours, source)}.items():
        some = rows & np.isfinite(line)  # a line is judged where it says something
        told = figures(hours.happens[some], line[some], hours.person[some], drawn, 0.95)
        show({"question": question, "line": name, "rows": int(some.sum())} | told)
    beside = {"news2": news[rows]}
    models = seen(question, names, groups)
    if "stay" in models:  # hours alone are a line to beat, of every model but itself
        stay = crossed(hours, hours.happens, fold, models["stay"], settings)
        beside["stay"] = stay[1][rows]
    for name, columns in models.items():
        began = time.process_time()
        happens = dealt(hours, settings.params.seed) if name == "permuted" else hours.happens
        score, risk = stay if name == "stay" else crossed(hours, happens, fold, columns, settings)
        lines = {line: score for line, score in beside.items() if line != name}
        row = figures(happens[rows], risk[rows], hours.person[rows], drawn, 0.95, probability=True, beside=lines)
        row["by_score_alone"] = figures(happens[rows], score[rows], hours.person[rows], drawn, 0.95)
        wanted = dict(zip(FIGURES, ASKED[question].get(name, (None, None)), strict=True))
        seconds = round(time.process_time() - began, 1)
        show({"question": question, "model": name, "columns": int(columns.sum()), "asked": wanted} | row
             | {"cpu_seconds": seconds})  # fmt: skip
        for moment, some in hours.moments.items() if name in BY_HOURS else ():
            found = figures(hours.happens[some], risk[some], hours.person[some], drawn, 0.95, probability=True)
            show({"question": question, "model": name, "moment": moment, "rows": int(some.sum()),
                  "rate": round(float(hours.happens[some].mean()), 4)} | found)  # fmt: skip


def seen(question: str, names: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, Bools]:
    """Return the columns that each model may see."""
    of = {variant: np.isin(groups, some) for variant, some in VARIANTS.items()}
    when = np.asarray([name.endswith(WHEN) for name in names])
    short = np.asarray([name in ("age", "male") or name.endswith(("_last", "_change", "_6h")) for name in names])
    models = {
        "when_measured": of["vitals"] & when,
        "vitals_without_when": of["vitals"] & ~when,
        "vitals_last_6h": of["vitals"] & short,
        **of,
    }
    if question == "death_in_hospital":
        bedside = np.asarray([name.startswith(BEDSIDE) for name in names])
        models = {**models, "vitals_gcs_urine_ventilation": of["vitals"] | bedside}
        del models["stay"], models["vitals_stay"]  # every recording is the first 48 hours
    return {**models, "permuted": of["vitals"]}


def crossed(
    hours: Hours, happens: Bools, fold: NDArray[np.int64], columns: Bools, settings: Settings
) -> tuple[Floats, Floats]:
    """Return scores of every row by models that never saw its patient, and calibrated probabilities, each (n,)."""
    params, x = settings.params, np.ascontiguousarray(hours.x[:, columns])
    raw = np.zeros(len(x), np.float32)
    for k in range(fold.max() + 1):
        rows = np.flatnonzero((fold != k) & hours.learnt)
        model = deterioration.fit(x[rows], happens[rows], params.early_warning, params.seed, 1)
        raw[fold == k] = Model(model).run(x=x[fold == k])["probability"].reshape(-1)
    told = np.zeros(len(x), np.float32)
    for k in range(fold.max() + 1):
        others = fold != k  # at every hour, as when a run calibrates
        platt = deterioration.calibration(raw[others], hours.lasted[others], happens[others])
        told[fold == k] = platt(raw[fold == k], hours.lasted[fold == k])
    return raw, told


def dealt(hours: Hours, seed: int) -> Bools:
    """Return labels that belong to other patients: each takes another's, repeated or cut to its own hours."""
    starts = np.searchsorted(hours.person, np.arange(len(hours.people) + 1))
    order = np.random.default_rng(seed).permutation(len(hours.people))
    out = np.zeros(len(hours.happens), np.bool_)
    for person, other in enumerate(order.tolist()):
        mine, theirs = slice(starts[person], starts[person + 1]), slice(starts[other], starts[other + 1])
        out[mine] = np.resize(hours.happens[theirs], mine.stop - mine.start)
    return out


def supplied(hours: Hours, source: Path) -> Mapping[str, Floats]:
    """Return the scores that the 2012 set brings along, of each row; -1 is not known."""
    path = source.parent / "Outcomes-a.txt"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:
        told = {row["RecordID"]: float(row["SAPS-I"]) for row in csv.DictReader(file)}
    score = np.asarray([told.get(person, -1.0) for person in hours.people], np.float32)[hours.person]
    return {"saps_1": np.where(score < 0, np.nan, score)}


def show(line: Mapping[str, Any]) -> None:
    print(json.dumps(rounded(line)), flush=True)


def rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
