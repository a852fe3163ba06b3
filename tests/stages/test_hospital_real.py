"""stages.hospital on real intensive-care patients: septic and others, and stays that ended in death or not."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwatch.early_warning import EarlyWarning
from vitalwatch.settings import Settings
from vitalwatch.stages import hospital, hospital_tables
from vitalwatch.stages.ingest import ingest

pytestmark = pytest.mark.slow
NOW = 1_790_000_000_000
ROUNDS, DRAWS = 100, 50


def unpacked(archive: Path, folder: Path, wanted: Callable[[str], bool], most: int) -> None:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if most and name.endswith((".psv", ".txt")) and wanted(text := files.read(name).decode()):
                (folder / Path(name).name).write_text(text)
                most -= 1


def septic(text: str) -> bool:
    return any(line.endswith("|1") for line in text.splitlines()[1:])


def judged(folder: Path, settings: Settings) -> dict[str, Any]:
    """Return the tables of a quarter of the patients; half teach, a quarter calibrates."""
    chosen = settings.params.early_warning.model_copy(update={"rounds": ROUNDS})
    few = settings.params.evaluation.model_copy(update={"draws": DRAWS})
    params = settings.params.model_copy(update={"early_warning": chosen, "evaluation": few})
    small = dataclasses.replace(settings, params=params)
    ingest([folder], folder.parent / "out", small, now_ms=NOW)
    records = hospital.Records.of(folder.parent / "out")
    people = np.random.default_rng(1).permutation(sorted(hospital.read_profiles(records.profiles)))
    parts = np.split(people, [len(people) // 2, len(people) * 3 // 4])
    names = dict(zip(("train", "calibration", "test"), (part.tolist() for part in parts), strict=True))
    files, _, notes = hospital.learn(records, small, names)
    assert not any(note.startswith("No early warning") for note in notes)
    return hospital_tables.tables(records, EarlyWarning(files), small, names["test"])


def test_sepsis_is_ranked_above_chance_on_patients_never_seen(real_data: Path, tmp_path: Path, settings: Settings):
    archive = real_data / "physionet2019_setB" / "setB_even.zip"
    unpacked(archive, tmp_path / "in", septic, 120)
    unpacked(archive, tmp_path / "in", lambda text: not septic(text), 480)
    table = judged(tmp_path / "in", settings)["sepsis"]

    assert table["patients_with"] > 15
    assert table["variants"]["vitals"]["auroc"]["value"] > 0.6
    assert table["variants"]["care"]["auroc"]["value"] > 0.7


def test_death_is_ranked_above_news2_on_stays_never_seen(real_data: Path, tmp_path: Path, settings: Settings):
    unpacked(real_data / "physionet2012" / "set-a.zip", tmp_path / "in", lambda text: True, 1200)
    told = (real_data / "physionet2012" / "Outcomes-a.txt").read_text()
    (tmp_path / "in" / "Outcomes-a.txt").write_text(told)
    variants = judged(tmp_path / "in", settings)["death_in_hospital"]["variants"]

    assert variants["care"]["auroc"]["value"] > 0.72
    assert variants["care"]["auroc_gain_over_news2"]["value"] > 0.05
    assert 0.5 < variants["care"]["told_over_true"]["value"] < 2
