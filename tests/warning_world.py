"""An early warning that always says the same, and a small real bundle with it, for tests of how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitalwatch import bundle, early_warning
from vitalwatch.early_warning import columns_of
from vitalwatch.monitor import Monitor

NAMES = ("lactate", "urine")
COLUMNS, GROUPS = columns_of(NAMES)


def head(columns: int, value: float) -> bytes:
    """Return a model that always says the same."""
    lightgbm = pytest.importorskip("lightgbm")
    from vitalwatch.export import boosted_to_onnx

    x = np.random.default_rng(1).normal(size=(200, columns)).astype(np.float32)
    y = np.arange(200) < 200 * value
    options = {"objective": "binary", "verbose": -1, "num_leaves": 2, "learning_rate": 1e-6}
    return boosted_to_onnx(lightgbm.train(options, lightgbm.Dataset(x, y.astype(float)), 1), columns)


def bundle_files() -> dict[str, bytes]:
    """Return models that tell .25 from vitals and .75 where there is laboratory."""
    as_told = {"hours": [6, 48], "slope": [1.0, 1.0], "offset": [0.0, 0.0]}
    heads = {
        "vitals": {"file": "v.onnx", "groups": ["vitals"], "calibration": as_told},
        "care": {"file": "c.onnx", "groups": ["vitals", "stay", "care"], "calibration": as_told},
    }
    told = {"care": NAMES, "columns": COLUMNS, "questions": {"sepsis": heads}}
    return {
        "v.onnx": head(GROUPS.count("vitals"), 0.25),
        "c.onnx": head(len(COLUMNS), 0.75),
        early_warning.FILE: json.dumps(told).encode(),
    }


def write_warned(folder: Path, tiny: tuple[Path, Path]) -> tuple[Path, Path]:
    """Write the small bundle with an early warning, signed anew; return its folder and the trusted public key."""
    here = bundle.load(tiny[0], [tiny[1]])
    files = {**here.files, **bundle_files()}
    card = {name: value for name, value in here.card.items() if name != "run"}
    probe: dict[str, Any] = {"readings": here.probe["readings"]}
    probe["answers"] = Monitor(files, card).probe(probe)
    bundle.write(folder / "models", files, card, probe, bundle.SigningKey.load_or_create(folder / "signing.key"))
    return folder / "models", folder / "signing.pub"
