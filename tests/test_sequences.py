"""Windows look back only, are the same alone and in bulk, and answers never cross or invent."""

from __future__ import annotations

import numpy as np
import pytest

from vitalwatch import sequences
from vitalwatch.cleaning import grid_columns
from vitalwatch.schema import Schema, minutes
from vitalwatch.settings import Settings
from vitalwatch.tables import Grid

HOUR = 12  # rows at 5 minutes


def small_grid(settings: Settings, rows: int, seed: int = 0) -> Grid:
    """A person whose vitals wander, with holes, carried-forward values and unknown context."""
    rng, schema = np.random.default_rng(seed), settings.schema
    names = grid_columns(schema)
    values = np.full((rows, len(names)), np.nan, np.float32)
    for name in schema.vitals:
        values[:, names.index(name)] = 60 + np.cumsum(rng.normal(size=rows))
    values[:, names.index("steps")] = rng.integers(0, 600, rows)
    values[:, names.index("sleep")] = rng.integers(0, 2, rows)
    values[rng.random(values.shape) < 0.2] = np.nan
    filled = rng.random((rows, len(schema.vitals))) < 0.2
    return Grid(
        person="P1",
        time=np.arange(rows, dtype=np.int64) * schema.step_ms,
        minute=(np.arange(rows) * schema.step_minutes % 1440).astype(np.int16),
        segment=np.zeros(rows, np.int32),
        names=names,
        values=values,
        filled=filled,
        artefact=np.zeros(filled.shape, np.uint8),
    )


def level(settings: Settings, heart_rate: list[float]) -> Grid:
    """A person of whom only the heart rate is known."""
    grid = small_grid(settings, len(heart_rate))
    grid.values[:] = np.nan
    grid.filled[:] = False
    grid.values[:, grid.names.index("heart_rate")] = heart_rate
    return grid


def test_a_vital_is_told_as_its_difference_from_the_last_value(settings: Settings) -> None:
    x, last = sequences.windows(
        level(settings, [60, 70, np.nan]), np.array([2]), settings.params.forecaster, settings.schema
    )

    assert last[0, 0] == 70
    assert x[0, -3:, 0].tolist() == [-10, 0, 0]


def test_the_mask_is_one_only_where_the_step_itself_was_measured(settings: Settings) -> None:
    grid = level(settings, [60, 70, 70, np.nan])
    grid.filled[2, 0] = True
    x, _ = sequences.windows(grid, np.array([3]), settings.params.forecaster, settings.schema)
    mask = sequences.channels(settings.params.forecaster, settings.schema).index("heart_rate_measured")

    assert x[0, -4:, mask].tolist() == [1, 1, 0, 0]


def test_a_vital_without_a_value_in_the_window_has_no_last_value(settings: Settings) -> None:
    grid = level(settings, [60.0] + [np.nan] * 3 * HOUR)
    _, last = sequences.windows(grid, np.array([2 * HOUR - 1, 2 * HOUR]), settings.params.forecaster, settings.schema)

    assert last[0, 0] == 60
    assert np.isnan(last[1, 0])  # the only value is older than two hours


def test_rows_before_the_first_are_nothing_known(settings: Settings) -> None:
    x, _ = sequences.windows(small_grid(settings, 5), np.array([1]), settings.params.forecaster, settings.schema)

    assert not x[0, :-2].any()
    assert x[0, -2:].any(axis=1).all()


def test_a_window_has_one_channel_for_each_name(settings: Settings) -> None:
    chosen, schema = settings.params.forecaster, settings.schema
    x, last = sequences.windows(small_grid(settings, 40), np.arange(40), chosen, schema)

    assert x.shape == (40, minutes(chosen.history) // schema.step_minutes, len(sequences.channels(chosen, schema)))
    assert last.shape == (40, len(sequences.vitals(chosen, schema)))
    assert np.isfinite(x).all()
    assert x.dtype == last.dtype == np.float32


def test_no_windows_asked_for_gives_none(settings: Settings) -> None:
    x, last = sequences.windows(
        small_grid(settings, 5), np.empty(0, np.intp), settings.params.forecaster, settings.schema
    )

    assert (len(x), len(last)) == (0, 0)


def test_a_window_is_equal_to_the_bit_alone_and_in_bulk(settings: Settings) -> None:
    grid, chosen, schema = small_grid(settings, 300), settings.params.forecaster, settings.schema
    ends = np.random.default_rng(1).permutation(300)
    x, last = sequences.windows(grid, ends, chosen, schema)
    y = sequences.targets(grid, ends, chosen, schema)

    for i, end in enumerate(ends):
        alone = (
            *sequences.windows(grid, ends[[i]], chosen, schema),
            sequences.targets(grid, ends[[i]], chosen, schema),
        )
        for one, many in zip(alone, (x, last, y), strict=True):
            np.testing.assert_array_equal(many[[i]], one, err_msg=f"row {end}")


def test_what_happens_later_does_not_change_a_window(settings: Settings) -> None:
    now, other = small_grid(settings, 100), small_grid(settings, 100, seed=9)
    ends = np.arange(60)
    before = sequences.windows(now, ends, settings.params.forecaster, settings.schema)
    now.values[60:], now.filled[60:], now.minute[60:] = other.values[60:], other.filled[60:], 0
    after = sequences.windows(now, ends, settings.params.forecaster, settings.schema)

    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_a_target_is_what_was_measured_in_that_very_step(settings: Settings) -> None:
    grid = level(settings, [60, 61, 62, 63, 64, 65, 66])
    grid.filled[3, 0] = True  # 15 minutes after the first row
    y = sequences.targets(grid, np.array([0, 5]), settings.params.forecaster, settings.schema)

    np.testing.assert_array_equal([61, np.nan, 66, np.nan], y[0, 0])
    np.testing.assert_array_equal([66, np.nan, np.nan, np.nan], y[1, 0])  # the rest lies after the last row


@pytest.mark.parametrize(
    ("step", "kept", "dropped"),
    [("5min", (5, 15, 30, 60), ()), ("10min", (20, 30, 60), (5,)), ("60min", (60,), (5, 15, 30))],
)
def test_horizons_are_whole_steps_and_those_shorter_than_a_step_are_told(
    settings: Settings, step: str, kept: tuple[int, ...], dropped: tuple[int, ...]
) -> None:
    schema = Schema(**{**settings.schema.model_dump(), "step": step})
    chosen = settings.params.forecaster.model_copy(update={"horizons": (5, 15, 30, 60)})

    assert kept == sequences.horizons(chosen, schema)
    assert dropped == sequences.dropped_horizons(chosen, schema)


class Wild:
    """A model whose quantiles cross and leave what is possible."""

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        return {"quantiles": rng.normal(0, 200, (len(inputs["x"]), 5, 4, 3)).astype(np.float32)}


def test_answers_are_sorted_possible_and_absent_where_there_is_nothing_to_start_from(settings: Settings) -> None:
    chosen, schema = settings.params.forecaster, settings.schema
    names = sequences.vitals(chosen, schema)
    x, last = sequences.windows(small_grid(settings, 50), np.arange(50), chosen, schema)
    last[:, 1] = np.nan
    widening = np.zeros((len(names), 4))
    widening[2, 3] = np.nan  # could not be calibrated
    answer = sequences.forecast(Wild(), widening, x, np.zeros((50, 3), np.float32), last, chosen, schema)

    assert answer.shape == (50, len(names), 4, 3)
    assert np.isnan(answer[:, 1]).all()
    assert np.isnan(answer[:, 2, 3]).all()
    low, high = schema.columns["heart_rate"].possible
    told = answer[np.isfinite(last[:, 0]), 0]
    assert np.isfinite(told).all()
    assert (told >= low).all()
    assert (told <= high).all()
    assert (np.diff(told, axis=-1) >= 0).all()


def test_no_windows_are_answered_without_asking_the_model(settings: Settings) -> None:
    chosen, schema = settings.params.forecaster, settings.schema
    grid = small_grid(settings, 5)
    x, last = sequences.windows(grid, np.empty(0, np.intp), chosen, schema)
    answer = sequences.forecast(Wild(), np.zeros((5, 4)), x, np.zeros((0, 3), np.float32), last, chosen, schema)

    assert answer.shape == (0, 5, 4, 3)


def test_more_windows_than_the_model_is_given_at_once_are_answered_in_order(settings: Settings) -> None:
    class Echo:
        def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
            told = inputs["person"][:, 0]
            return {"quantiles": np.broadcast_to(told[:, None, None, None], (len(told), 5, 4, 3))}

    n = 2 * sequences.AT_ONCE + 1
    x, last = np.zeros((n, 24, 15), np.float32), np.full((n, 5), 60, np.float32)
    person = np.linspace(0, 9, n, dtype=np.float32)[:, None]
    answer = sequences.forecast(Echo(), np.zeros((5, 4)), x, person, last, settings.params.forecaster, settings.schema)

    np.testing.assert_array_equal(60 + person[:, 0], answer[:, 0, 0, 1])


def test_a_widening_moves_the_outer_quantiles_only(settings: Settings) -> None:
    chosen, schema = settings.params.forecaster, settings.schema
    ahead = np.zeros((1, 5, 4, 3), np.float32) + np.array([-2, 0, 2], np.float32)
    last = np.full((1, 5), 80, np.float32)

    wider = sequences.finish(ahead, np.ones((5, 4)), last, chosen, schema)
    narrower = sequences.finish(ahead, np.full((5, 4), -9.0), last, chosen, schema)

    np.testing.assert_array_equal([77, 80, 83], wider[0, 0, 0])
    np.testing.assert_array_equal([80, 80, 80], narrower[0, 0, 0])


def test_trees_speak_for_the_heart_rate_however_few_windows_are_asked(settings: Settings) -> None:
    class Still:
        def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
            return {"quantiles": np.tile(np.float32([-1, 0, 1]), (len(inputs["x"]), 5, 4, 1))}

    class Rising:
        def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
            return {"value": np.full((len(inputs["x"]), 4), 8, np.float32)}

    blend = sequences.Blend(Rising(), np.float32([1, 0.5, 0.25, 0]), 0)
    n = sequences.AT_ONCE + 1
    x, last = sequences.windows(small_grid(settings, n), np.arange(n), settings.params.forecaster, settings.schema)
    x, last = np.nan_to_num(x), np.nan_to_num(last)
    person = np.zeros((n, 14), np.float32)
    whole, alone = (sequences.ahead(Still(), x[:m], person[:m], last[:m], blend) for m in (n, 1))

    assert alone[0, 0, :, 1].tolist() == [8, 4, 2, 0]
    assert np.array_equal(alone[0], whole[0])
