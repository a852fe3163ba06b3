"""A million strange requests into the REST application, by the corpus of the tests.

    python benchmarks/soak_rest.py [--requests 1000000] [--seconds S] [--seed 3]

Stops at the first answer that is none: 5xx but 503, over 2 s, out of form, or repeating what was sent; else prints how
many were sent, by status, and the slowest. With `--seconds` it ends after so long, however many that were. Times are
without those in which the machine let this process wait for a processor (`/proc/self/task/*/schedstat`): that other
jobs run is no hang.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "api")]

from test_fuzz import Corpus, answered  # noqa: E402

from api_world import Api  # noqa: E402
from serving_world import Ward  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402

AT_ONCE = 10_000


def waited() -> float:
    """Return how long threads of this process were ready to run and did not, s."""
    told = (one.read_text().split()[1] for one in Path("/proc/self/task").glob("*/schedstat"))
    return sum(map(int, told)) / 1e9


def soak(api: Api, seed: int, requests: int, seconds: float) -> tuple[Counter[int], float]:
    """Return answers by status and the slowest, s; requests and seconds: whichever is over first."""
    corpus, seen, slowest, start = Corpus(api, seed), Counter[int](), 0.0, time.monotonic()
    while (sent := sum(seen.values())) < requests and time.monotonic() - start < seconds:
        status, took = answered(api, corpus, waited)
        seen[status] += 1
        slowest = max(slowest, took)
        if not (sent + 1) % AT_ONCE:
            print(f"{sent + 1} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return seen, slowest


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--requests", type=int, default=1_000_000)
    asked.add_argument("--seconds", type=float, default=float("inf"))
    asked.add_argument("--seed", type=int, default=3)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        ward = Ward(Path(temp), write_tiny(Path(temp) / "bundle", small_settings()))
        api = Api(ward.settings, ward.engine)
        start = time.monotonic()
        seen, slowest = soak(api, given.seed, given.requests, given.seconds)
        told = {
            "requests": sum(seen.values()),
            "seconds": round(time.monotonic() - start),
            "slowest_seconds": round(slowest, 3),
            "statuses": dict(sorted(seen.items())),
        }
        print(json.dumps(told))
        api.close()
        ward.engine.close()


if __name__ == "__main__":
    main()
