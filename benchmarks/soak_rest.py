"""A million strange requests (or as many as told) into the REST application, by the corpus of the tests.

    python benchmarks/soak_rest.py [--requests 1000000] [--seed 3]

Prints statuses and stops at the first answer that is none: 5xx but 503, over 2 s, out of form, or repeating what was
sent.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "api")]

from test_fuzz import run  # noqa: E402

from api_world import Api  # noqa: E402
from serving_world import Ward  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--requests", type=int, default=1_000_000)
    asked.add_argument("--seed", type=int, default=3)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        ward = Ward(Path(temp), write_tiny(Path(temp) / "bundle", small_settings()))
        api = Api(ward.settings, ward.engine)
        start, seen = time.perf_counter(), run(api, given.seed, given.requests)
        took = time.perf_counter() - start
        print(f"{given.requests} requests in {took:.0f} s, all answered in form: {dict(sorted(seen.items()))}")
        api.close()
        ward.engine.close()


if __name__ == "__main__":
    main()
