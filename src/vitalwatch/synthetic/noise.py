"""Random numbers and linear filters that the simulator is made of, vectorised over time."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray
from scipy.special import stdtrit

from vitalwatch.tables import Bools, Floats

QUANTILES = 16384  # of the normal, a power of two; more would not stay in the fast cache
TAILED = 65536  # of Student's t, whose tails need them
NOTHING = 1e-3  # share of a sample below which a filter has forgotten it
STREAMS = ("traits", "habits", "events", "latent", "sensors", "faults")


def streams(seed: int, index: int) -> dict[str, np.random.Generator]:
    """Return one independent generator a part of the simulator, the same wherever the person is drawn."""
    words: NDArray[Any] = np.random.SeedSequence([seed, index]).generate_state(3 * len(STREAMS), np.uint64)
    parts = zip(STREAMS, words.reshape(-1, 3), strict=True)
    generator: Any = np.random.SFC64  # its type stub does not know ISeedSequence
    return {name: np.random.Generator(generator(_Words(part))) for name, part in parts}


class _Words(ISeedSequence):
    """The seed words of one generator, cut from one sequence: twice as fast as to spawn one for each."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> NDArray[np.uint64]:
        return self._words[:n_words]


@lru_cache(maxsize=2)
def _quantiles(freedom: float, n: int) -> Floats:
    """Return n quantiles of Student's t with unit variance; infinite `freedom` is the normal."""
    table = stdtrit(min(freedom, 1e9), (np.arange(n) + 0.5) / n)
    return (table / table.std()).astype(np.float32)


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    """Return standard normal numbers, drawn by quantiles (six times faster, cut at 4.0)."""
    return _quantiles(math.inf, QUANTILES).take(_below(rng, QUANTILES, shape), mode="wrap")


def heavy(rng: np.random.Generator, *shape: int) -> Floats:
    """Return numbers of mean 0, variance 1 and Student's t tails (4 degrees of freedom)."""
    return _quantiles(4.0, TAILED).take(_below(rng, TAILED, shape), mode="wrap")


def uniform16(rng: np.random.Generator, *shape: int) -> NDArray[np.uint16]:
    """Return whole numbers, uniform on 0..65535."""
    return _below(rng, 65536, shape)


def _below(rng: np.random.Generator, limit: int, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return whole numbers, uniform on 0..limit - 1; the limit is a power of two, 65,536 at most."""
    n = math.prod(shape)
    raw: NDArray[np.uint64] = rng.bit_generator.random_raw(-(-n // 4))
    if limit < 65536:
        raw &= np.uint64((limit - 1) * 0x0001000100010001)
    return raw.view(np.uint16)[:n].reshape(shape)


def first_order(x: NDArray[np.floating], tau: float, *, woven: bool = False) -> Floats:
    """Return the first-order response to x, shape (..., n); `tau` in samples.

    A woven array has shape (k, n) and holds sample k * t + j of one course at [j, t]: what goes from sample to sample
    then runs along memory, k samples apart, and so does what is done in blocks of k.
    """
    pole = math.exp(-1.0 / tau)
    return _decaying(x, pole, 1 - pole, woven)


def wander(white: Floats, taus: tuple[float, float], sds: tuple[float, float], *, woven: bool = False) -> Floats:
    """Return two Ornstein-Uhlenbeck processes added, both driven by `white`.

    Args:
        white: Standard normal, shape (n,) or (k, n).
        taus: Time constants in samples.
        sds: Their standard deviations, were they alone; the sum is scaled to their root sum of squares.
        woven: `white` is one course, see `first_order`.
    """
    p, q = (math.exp(-1.0 / tau) for tau in taus)
    g, h = sds[0] * math.sqrt(1 - p * p), sds[1] * math.sqrt(1 - q * q)
    variance = g * g / (1 - p * p) + h * h / (1 - q * q) + 2 * g * h / (1 - p * q)
    scale = math.hypot(*sds) / math.sqrt(variance)
    course = _decaying(white, p, g * scale, woven)
    course += _decaying(white, q, h * scale, woven)
    return course


def _decaying(x: NDArray[np.floating], pole: float, gain: float, woven: bool) -> Floats:
    """Return gain * sum over lags k of pole**k * x[t - k], shape (..., n)."""
    if x.ndim == 1:
        return _doubling((x * gain).astype(np.float32, copy=False), pole)
    if not woven:  # one after the other in memory, with room in between to forget the row before
        room = min(x.shape[1], _lags(pole))
        padded = np.zeros((len(x), x.shape[1] + room), np.float32)
        np.multiply(x, gain, out=padded[:, : x.shape[1]], casting="same_kind")
        _doubling(padded.reshape(-1), pole)
        return padded[:, : x.shape[1]]
    y: Floats = x * gain
    for before, row in pairwise(y):
        row += before * pole
    at_end = _doubling(y[-1, :-1].copy(), pole ** len(y))
    for k, row in enumerate(y, 1):
        row[1:] += at_end * pole**k
    return y


def _lags(pole: float) -> int:
    """Return how many samples `_doubling` looks back."""
    lags, left = 1, pole
    while left > NOTHING:
        lags, left = 2 * lags, left * left
    return lags


def _doubling(y: Floats, pole: float) -> Floats:
    """Replace y, shape (n,), by the sum over lags k of pole**k * y[t - k].

    A recursion sample by sample waits for itself; this one doubles the number of lags with every pass over the array,
    (1 + pole z)(1 + pole**2 z**2)(1 + pole**4 z**4)..., until what is left is NOTHING.
    """
    lags, left = 1, pole
    while lags < len(y) and left > NOTHING:
        y[lags:] += y[:-lags] * left
        lags, left = 2 * lags, left * left
    return y


def knots(rng: np.random.Generator, rows: int, n: int, every: int) -> Floats:
    """Return smooth random courses, shape (rows, n): normal numbers `every` samples, straight lines in between."""
    x = rng.standard_normal((rows, n // every + 2, 1), dtype=np.float32)
    share = np.arange(every, dtype=np.float32) * np.float32(1 / every)
    fine = (x[:, 1:] - x[:, :-1]) * share
    fine += x[:, :-1]
    return fine.reshape(rows, -1)[:, :n]


def finer(x: Floats, times: int) -> Floats:
    """Return x, shape (..., n), at `times` as many points: straight lines, the last value is held."""
    if times == 1:
        return x
    steps = np.zeros_like(x)
    np.subtract(x[..., 1:], x[..., :-1], out=steps[..., :-1])
    if times > 32:  # rather long inner loops than many
        share = np.arange(times, dtype=np.float32) / np.float32(times)
        return (x[..., None] + steps[..., None] * share).reshape(*x.shape[:-1], -1)
    steps *= np.float32(1 / times)
    fine = np.empty((*x.shape, times), np.float32)
    fine[..., 0] = at = x
    for k in range(1, times):
        at = at + steps
        fine[..., k] = at
    return fine.reshape(*x.shape[:-1], -1)


@lru_cache(maxsize=4)
def _shares(times: int) -> Floats:
    return (np.arange(times, dtype=np.float32) / np.float32(times))[:, None]


def lines(x: Floats, times: int) -> Floats:
    """Return `finer` of x, shape (n,), as a woven array, shape (times, n); see `first_order`."""
    steps = np.empty_like(x)
    np.subtract(x[1:], x[:-1], out=steps[:-1])
    steps[-1] = 0
    fine = steps * _shares(times)
    fine += x
    return fine


def blocks(x: Floats, size: int) -> Floats:
    """Return means of blocks of `size`; added in a fixed order, so that no thread count changes a bit."""
    if size == 1:
        return x
    total = x[0::size].copy()
    for k in range(1, size):
        total += x[k::size]
    return total / np.float32(size)


def covered(start: NDArray[np.intp], end: NDArray[np.intp], n: int) -> Bools:
    """Return which of n samples lie in one of the spans [start, end)."""
    found = np.zeros(n, np.bool_)
    for low, high in zip(np.maximum(start, 0).tolist(), np.maximum(end, 0).tolist(), strict=True):
        found[low:high] = True
    return found


def soft_boxes(start: NDArray[np.floating], end: NDArray[np.floating], height: NDArray[np.floating], n: int) -> Floats:
    """Return c sums of boxes whose edges may lie within a sample, which then gets its share.

    Args:
        start, end: Samples with fractions, shape (k,).
        height: Shape (k, c).
        n: Samples of a sum.

    Returns:
        Shape (c, n).
    """
    edge = np.minimum(np.maximum(np.concatenate([start, end]), 0), n)
    tall = np.concatenate([height, -height]).T
    cell = edge.astype(np.intp)
    late = edge - cell
    width = len(tall)
    shelf = (cell + (n + 2) * np.arange(width)[:, None]).reshape(-1)
    share = tall * late
    parts = np.concatenate([(tall - share).reshape(-1), share.reshape(-1)])
    sums = np.bincount(np.concatenate([shelf, shelf + 1]), parts, width * (n + 2))
    return np.cumsum(sums.reshape(width, n + 2), axis=1)[:, :n].astype(np.float32)
