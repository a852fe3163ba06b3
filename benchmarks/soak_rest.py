"""A million strange requests (or as many as told) into the REST application, by the corpus of the tests.

`python benchmarks/soak_rest.py [REQUESTS] [SEED]` prints statuses and stops at the first answer that is none: 5xx but
503, over 2 s, out of form, or repeating what was sent. `make bench BENCH=soak_rest` sends that million.
"""

from __future__ import annotations

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
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as temp:
        ward = Ward(Path(temp), write_tiny(Path(temp) / "bundle", small_settings()))
        api = Api(ward.settings, ward.engine)
        start, seen = time.perf_counter(), run(api, seed, requests)
        took = time.perf_counter() - start
        print(f"{requests} requests in {took:.0f} s, all answered in form: {dict(sorted(seen.items()))}")
        api.close()
        ward.engine.close()


if __name__ == "__main__":
    main()
