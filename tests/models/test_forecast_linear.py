"""The line beside the LSTM: fitted per vital and horizon, folded into the graph, blended by its share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tiny import random_forecaster, small_settings
from vitalwatch import sequences
from vitalwatch.export import Beside, lstm_to_onnx
from vitalwatch.models import forecast_linear
from vitalwatch.residuals import STATIC
from vitalwatch.runtime import Model
from vitalwatch.stages.forecasting import Windows, with_lines
from vitalwatch.tables import Floats

SETTINGS = small_settings()
FITTED = random_forecaster(SETTINGS)
VITALS = sequences.vitals(SETTINGS.params.forecaster, SETTINGS.schema)
HORIZONS = sequences.horizons(SETTINGS.params.forecaster, SETTINGS.schema)
SYSTOLIC, ROWS = VITALS.index("blood_pressure_systolic"), 2400
OWN = STATIC.index("own_blood_pressure_systolic")


def windows(seed: int, rows: int = ROWS) -> Windows:
    """Return windows whose systolic pressure goes half of the way to the person's own; the rest stays as it is."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (rows, *FITTED.shape)).astype(np.float32)
    person = rng.normal(70, 5, (rows, len(STATIC))).astype(np.float32)
    last = rng.normal(120, 9, (rows, len(VITALS))).astype(np.float32)
    person[:, OWN] = rng.normal(120, 9, rows)
    person[::9, 2] = np.nan
    y = np.repeat(last[:, :, None], len(HORIZONS), axis=2)
    y[:, SYSTOLIC] += 0.5 * (person[:, OWN] - last[:, SYSTOLIC])[:, None]
    return Windows(x.astype(np.float16), person, y, last)


def fitted(some: Windows) -> Beside:
    return forecast_linear.fit(some.x, some.person, some.y, some.last)


def known(some: Windows) -> Floats:
    return sequences.static(some.person, some.last)


def test_a_line_finds_the_way_to_the_persons_own_normal():
    line, later = fitted(windows(1)), windows(2)
    told = forecast_linear.medians(line, later.x.astype(np.float32), known(later), np.zeros(line.known.shape[0]))
    moved = later.y - later.last[:, :, None]

    clear = ~np.isnan(known(later)).any(axis=1)
    np.testing.assert_allclose(moved[clear, SYSTOLIC], told[clear, SYSTOLIC], atol=0.05)


def test_too_few_targets_leave_persistence():
    few = windows(1)
    few.y[forecast_linear.LEAST - 1 :, SYSTOLIC] = np.nan
    line = fitted(few)
    shape = (-1, len(VITALS), len(HORIZONS))

    assert 0 == np.abs(line.window.reshape(shape)[:, SYSTOLIC]).max()
    assert 0 == np.abs(line.constant.reshape(shape)[:, SYSTOLIC]).max()
    assert np.isfinite(line.window).all()


def test_a_column_that_never_moves_tells_nothing_and_rounding_of_windows_does_not_matter():
    some = windows(1)
    some.x[:, :, len(VITALS) : 2 * len(VITALS)] = 1.0  # measured in every step, as a worn heart rate is
    line = fitted(some)
    coarse, fine = some.x[:200].astype(np.float32), some.x[:200].astype(np.float32)
    fine += np.random.default_rng(1).uniform(-1, 1, fine.shape).astype(np.float32) * 2**-11 * np.abs(fine)
    told = [forecast_linear.medians(line, x, known(some)[:200], line.known[:, 0] * 0) for x in (coarse, fine)]

    masks = line.window.reshape(*FITTED.shape, -1)[:, len(VITALS) : 2 * len(VITALS)]
    assert 0 == np.abs(masks).max()
    np.testing.assert_allclose(told[0], told[1], atol=0.05)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_graph_draws_medians_towards_the_line_by_its_share_and_keeps_the_gaps(share: float):
    line, some = fitted(windows(1)), windows(3, 50)
    beside = replace(line, share=np.full(line.share.shape, share, np.float32))
    x = some.x.astype(np.float32)
    alone, both = (
        Model(lstm_to_onnx(FITTED.weights, FITTED.normalisation, FITTED.shape, one)).run(x=x, person=known(some))
        for one in (None, beside)
    )
    told = forecast_linear.medians(line, x, known(some), FITTED.normalisation["person_mean"])
    wanted = alone["quantiles"][..., 1] + share * (told - alone["quantiles"][..., 1])

    np.testing.assert_allclose(wanted, both["quantiles"][..., 1], atol=2e-3)
    apart = (1 - share) * 0 + both["quantiles"] - both["quantiles"][..., 1:2]
    np.testing.assert_allclose(alone["quantiles"] - alone["quantiles"][..., 1:2], apart, atol=2e-3)


def test_one_window_is_answered_as_among_many():
    line, some = fitted(windows(1)), windows(3, 50)
    beside = replace(line, share=np.full(line.share.shape, 0.5, np.float32))
    model = Model(lstm_to_onnx(FITTED.weights, FITTED.normalisation, FITTED.shape, beside))
    x, about = some.x.astype(np.float32), known(some)
    many = model.run(x=x, person=about)["quantiles"]
    alone = np.concatenate([model.run(x=x[i : i + 1], person=about[i : i + 1])["quantiles"] for i in range(50)])

    np.testing.assert_allclose(many, alone, atol=1e-3)


def test_calibration_people_choose_the_share_by_vital_and_horizon():
    made, parts = with_lines(FITTED, fitted(windows(1)), windows(4), SETTINGS)
    some = windows(5, 300)
    told = sequences.ahead(Model(made), some.x.astype(np.float32), some.person, some.last, None)[..., 1]
    moved = some.y - some.last[:, :, None]

    assert {f"{vital.replace('_', ' ')} in {h} min" for vital in VITALS for h in HORIZONS} == set(parts)
    assert np.abs(told - moved)[:, SYSTOLIC].mean() < 0.6  # what the line errs by where profiles are not told
    assert "line" in parts["blood pressure systolic in 60 min"]
