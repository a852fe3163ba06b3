"""What the stage that trains does for the forecaster: windows, training in a process of its own, blend, intervals."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwatch import sequences
from vitalwatch.export import lstm_to_onnx
from vitalwatch.learning import Person
from vitalwatch.models import forecast as forecaster
from vitalwatch.models import forecast_linear, forecast_trees
from vitalwatch.pipeline import Work
from vitalwatch.residuals import Rows
from vitalwatch.runtime import Model
from vitalwatch.settings import Settings
from vitalwatch.tables import Bools, Floats

BLOCK = 2048  # windows answered at a time

ToOnnx = Callable[..., bytes]  # weights, constants, shape and lines, as of `export.lstm_to_onnx`, to a forecaster


@dataclass(frozen=True)
class Windows:
    """Forecaster windows of a part: inputs, what is known of the person, targets, last values."""

    x: NDArray[np.float16]
    person: Floats
    y: Floats
    last: Floats


def draw_shares(counts: Sequence[int], own: Sequence[bool], windows: int, own_share: float) -> list[float]:
    """Return the share of each person's rows that become windows.

    Real people are few and unlike synthetic ones, so the user's own get up to `own_share` of the windows where both
    learn; otherwise every row has the same chance.

    Args:
        counts: Rows of each person.
        own: Whether a person is the user's own.
        windows: How many are wanted, all together.
        own_share: Of the windows, at most.
    """
    mine = sum(count for count, is_own in zip(counts, own, strict=True) if is_own)
    others = sum(counts) - mine
    wanted = max(own_share * windows, windows * mine / max(mine + others, 1)) if others else windows
    share = min(wanted / max(mine, 1), 1.0)
    rest = min((windows - share * mine) / max(others, 1), 1.0)
    return [share if is_own else rest for is_own in own]


def windows_of(
    person: Person, rows: Rows, mine: Bools, share: float, rng: np.random.Generator, settings: Settings
) -> Windows:
    """Return a draw of a person's worn rows among `mine` (n,) as windows, each with the chance `share`."""
    chosen, schema = settings.params.forecaster, settings.schema
    ends = np.flatnonzero(mine & person.grid.worn & (rng.random(len(mine)) < share))
    x, last = sequences.windows(person.grid, ends, chosen, schema)
    half = x.astype(np.float16)  # as the forecaster is trained: steps of 0.06 at a difference of 100
    return Windows(half, rows.static[ends], sequences.targets(person.grid, ends, chosen, schema), last)


@contextlib.contextmanager
def forecasting(work: Work) -> Iterator[Any]:
    """Yield a function that starts training the forecaster on windows in a fresh process and returns its future."""
    folder = work.out("forecaster.npz").parent
    source, target = folder / "windows.npz", folder / "fitted.npz"
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def start(windows: Windows) -> Future[Path]:
        forecaster.save_windows(source, windows.x, windows.person, windows.y, windows.last)
        chosen = work.settings.params
        return pool.submit(_fit_forecaster, source, target, chosen.forecaster, chosen.seed)

    try:
        yield start
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for path in (source, target):
            path.unlink(missing_ok=True)


def _fit_forecaster(source: Path, target: Path, chosen: Any, seed: int) -> Path:
    forecaster.fit_files(source, target, chosen, seed)
    return target


def rate_at(settings: Settings) -> int:
    """Return the place of the heart rate among the forecast vitals, -1 if it is not one."""
    names = sequences.vitals(settings.params.forecaster, settings.schema)
    return names.index("heart_rate") if "heart_rate" in names else -1


def finished(
    fitted: forecaster.Fitted,
    lines: sequences.Beside,
    trees: bytes | None,
    probation: Windows,
    settings: Settings,
    to_onnx: ToOnnx = lstm_to_onnx,
) -> tuple[bytes, sequences.Blend | None, NDArray[np.float64], dict[str, str]]:
    """Blend a forecaster with its lines, then with its trees; return ONNX and what `blended` returns."""
    onnx, by_lines = with_lines(fitted, lines, probation, settings, to_onnx)
    blend, widening, by_trees = blended(onnx, trees, probation, settings)
    return onnx, blend, widening, {**by_lines, **by_trees}


def with_lines(
    fitted: forecaster.Fitted,
    lines: sequences.Beside,
    probation: Windows,
    settings: Settings,
    to_onnx: ToOnnx = lstm_to_onnx,
) -> tuple[bytes, dict[str, str]]:
    """Return the forecaster with each line blended in by the share that errs least on calibration people.

    Args:
        fitted: The LSTM.
        lines: From `forecast_linear.fit`.
        probation: Windows of calibration people.
        settings: Params, schema.
        to_onnx: Makes the graph; another one where another network, or a smaller one, stands in the LSTM's place.

    Returns:
        ONNX; mean absolute errors of the parts there by vital and horizon, for the card.
    """
    alone = to_onnx(fitted.weights, fitted.normalisation, fitted.shape, None)
    if not len(probation.x):
        return alone, {}
    model, mean = Model(alone), fitted.normalisation["person_mean"]
    lstm, drawn = [], []
    for start in range(0, len(probation.x), BLOCK):
        rows = slice(start, start + BLOCK)
        x, known = probation.x[rows].astype(np.float32), sequences.static(probation.person[rows], probation.last[rows])
        lstm.append(sequences.ahead(model, x, probation.person[rows], probation.last[rows], None)[..., 1])
        drawn.append(forecast_linear.medians(lines, x, known, mean))
    told, line, moved = np.concatenate(lstm), np.concatenate(drawn), probation.y - probation.last[:, :, None]
    share = np.stack([forecast_trees.share(told[:, v], line[:, v], moved[:, v]) for v in range(told.shape[1])])
    both = told + share * (line - told)
    parts = {
        f"{vital.replace('_', ' ')} in {horizon} min": _sentence(
            {"LSTM": told[:, v, h], "line": line[:, v, h], "both": both[:, v, h]}, moved[:, v, h]
        )
        for v, vital in enumerate(sequences.vitals(settings.params.forecaster, settings.schema))
        for h, horizon in enumerate(sequences.horizons(settings.params.forecaster, settings.schema))
    }
    beside = replace(lines, share=share)
    return to_onnx(fitted.weights, fitted.normalisation, fitted.shape, beside), parts


def blended(
    forecast_onnx: bytes, trees: bytes | None, probation: Windows, settings: Settings
) -> tuple[sequences.Blend | None, NDArray[np.float64], dict[str, str]]:
    """Choose the trees' share on calibration people, then widen the interval until it holds 80 % of what came.

    Returns:
        The blend; how far intervals move outwards, (v, h); mean absolute errors of the parts there, for the card.
    """
    if not len(probation.x):
        return None, np.zeros(probation.y.shape[1:]), {}
    model, at = Model(forecast_onnx), rate_at(settings)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(probation.x), BLOCK)]

    def ahead(blend: sequences.Blend | None) -> Floats:
        parts = [
            sequences.ahead(
                model, probation.x[rows].astype(np.float32), probation.person[rows], probation.last[rows], blend
            )
            for rows in blocks
        ]
        return np.concatenate(parts)

    alone = ahead(None)
    if trees is None:
        return None, forecaster.conformal(alone, probation.y, probation.last), {}
    whole = sequences.Blend(Model(trees), np.ones(probation.y.shape[2], np.float32), at)
    told, moved = ahead(whole)[:, at, :, 1], (probation.y - probation.last[:, :, None])[:, at]
    blend = replace(whole, share=forecast_trees.share(alone[:, at, :, 1], told, moved))
    both = ahead(blend)
    medians = {"LSTM and line": alone[:, at, :, 1], "trees": told, "all": both[:, at, :, 1]}
    ahead_of = sequences.horizons(settings.params.forecaster, settings.schema)
    parts = {
        f"heart rate in {horizon} min, with trees": _sentence(
            {name: median[:, h] for name, median in medians.items()}, moved[:, h]
        )
        for h, horizon in enumerate(ahead_of)
    }
    return blend, forecaster.conformal(both, probation.y, probation.last), parts


def forecast_json(widening: NDArray[np.float64], blend: sequences.Blend | None) -> dict[str, Any]:
    """Return what forecast.json holds: how far intervals are widened, and the trees' share by horizon."""
    told = {"widening": [[None if np.isnan(width) else float(width) for width in row] for row in widening]}
    return told | ({"trees_share": [round(float(share), 3) for share in blend.share]} if blend else {})


def _sentence(medians: dict[str, Floats], moved: Floats) -> str:
    """Return mean absolute errors in bpm, such as `LSTM 4.02, trees 3.79, blend 3.79`."""
    known = np.isfinite(moved)
    return ", ".join(
        f"{name} {np.abs(median[known] - moved[known]).mean() if known.any() else float('nan'):.2f}"
        for name, median in medians.items()
    )
