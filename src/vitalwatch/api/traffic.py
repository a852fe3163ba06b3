"""How many requests came, what became of them and how long they took, as Prometheus's text.

Most of what a look at /metrics tells is buckets of durations, sixteen lines an operation. prometheus_client makes every
name and label anew for each line, 10 us; here they are made once an operation. Counted in the event loop alone, so
without locks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

COUNTED = """\
# HELP vitals_requests_total Requests, by operation and status
# TYPE vitals_requests_total counter
"""
TIMED = """\
# HELP vitals_request_duration_seconds Time until a request was answered
# TYPE vitals_request_duration_seconds histogram
"""


class Traffic:
    """Requests of one application; operations and statuses are names of ours, so their number is bounded.

    Args:
        buckets: Upper ends, rising, seconds.
    """

    def __init__(self, buckets: Sequence[float]) -> None:
        self._ends = tuple(buckets)
        self._seen: dict[tuple[str, int], int] = {}
        self._took: dict[str, _Took] = {}

    def note(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._seen[operation, status] = self._seen.get((operation, status), 0) + 1
        took = self._took.get(operation)
        if took is None:
            took = self._took[operation] = _Took(operation, self._ends)
        took.counts[bisect_left(self._ends, seconds)] += 1
        took.total += seconds

    def text(self) -> str:
        """Return all series."""
        counted = [
            f'vitals_requests_total{{operation="{operation}",status="{status}"}} {count}.0\n'
            for (operation, status), count in self._seen.items()
        ]
        return "".join((COUNTED, *counted, TIMED, *(took.text() for took in self._took.values())))


class _Took:
    """Durations of one operation: how many in each bucket, not added up, and the sum of all, seconds."""

    def __init__(self, operation: str, ends: Sequence[float]) -> None:
        name, label = "vitals_request_duration_seconds", f'operation="{operation}"'
        each = (*map(str, ends), "+Inf")
        self._lines = "".join(f'{name}_bucket{{le="{end}",{label}}} %d.0\n' for end in each)
        self._lines += f"{name}_count{{{label}}} %d.0\n{name}_sum{{{label}}} %r\n"
        self.counts, self.total = [0] * len(each), 0.0

    def text(self) -> str:
        so_far = list(accumulate(self.counts))
        return self._lines % (*so_far, so_far[-1], self.total)
