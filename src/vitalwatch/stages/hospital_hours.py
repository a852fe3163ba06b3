"""When risks in hospital are judged: death after some hours and at the end of the recording, sepsis hour by hour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vitalwatch.stages.hospital import HOURLY
from vitalwatch.tables import Bools

AFTER = (1, 6, 12, 24)  # hours, then at the end
BANDS = ((1, 6), (7, 12), (13, 24), (25, 48), (49, 96), (97, None))  # hours of a stay, first and last
END = "at the end"


def headline(question: str, ends: Bools) -> Bools:
    """Return which hours the figures of a question are of: all where each has its own answer, else the last, (n,)."""
    return np.ones(len(ends), np.bool_) if question in HOURLY else ends


def moments(question: str, lasted: NDArray[np.int64], ends: Bools) -> dict[str, Bools]:
    """Return which hours belong to each moment of a stay at which what is told is held against what came true.

    What an hour has an answer of its own for is judged in bands of hours, every hour in one of them; what is known of
    the stay as a whole at a few hours, each patient once, so that the intervals are honest.

    Args:
        question: Of `early_warning.QUESTIONS`.
        lasted: How many hours the stay had lasted when each was over (n,).
        ends: The last hour of each patient (n,).
    """
    if question in HOURLY:
        return {_words(first, last): (lasted >= first) & (lasted <= (last or lasted)) for first, last in BANDS}
    return {**{f"after {hours} hour{'s' * (hours > 1)}": lasted == hours for hours in AFTER}, END: ends}


def _words(first: int, last: int | None) -> str:
    return f"from hour {first} on" if last is None else f"hours {first} to {last}"


def last_hours(rows: int) -> Bools:
    """Return the last hour of one patient's so many, (rows,)."""
    return np.arange(rows) == rows - 1
