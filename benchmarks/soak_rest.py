"""A million strange requests into the REST application, by the corpus of the tests.

    python benchmarks/soak_rest.py [--requests 1000000] [--seconds S] [--workers 2] [--seed 3]

Each worker is a process with an application and a database of its own; every fiftieth request goes through a socket to
a server that the worker starts, half of these framed wrongly. Stops at the first answer that is none: 5xx, over 2 s,
out of form, or repeating what was sent; else prints how many were sent, by status, and the slowest. With `--seconds` it
ends after so long, however many that were. Times are without those in which the machine let the processes wait for a
processor (`/proc/.../schedstat`): that other jobs run is no hang.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from sqlalchemy import delete  # noqa: E402

from api_world import Api  # noqa: E402
from bench import Targets  # noqa: E402
from command_world import Place  # noqa: E402
from fuzz_world import LIMIT, Corpus, answered, by_socket, own_wait  # noqa: E402
from real_server import Server  # noqa: E402
from serving_world import RUN, Ward  # noqa: E402
from tiny import small_settings, write_tiny  # noqa: E402
from vitalwatch.database.tables import quarantine  # noqa: E402

AT_ONCE = 1_000  # requests between two looks at the clock
THROUGH = 50  # one in so many goes through a socket
UNLIMITED = ("config.api.requests_a_second=1000000", "config.api.burst=1000000")


def soak(folder: Path, bundle: tuple[Path, Path], seed: int, requests: int, seconds: float) -> dict:
    """Return answers by status and the slowest, s; requests and seconds: whichever is over first."""
    ward = Ward(folder / "ward", bundle)
    api, place = Api(ward.settings, ward.engine), Place(folder / "served")
    place.add_run(RUN, bundle)
    server = Server(place.folder, "--log-level", "warning", sets=UNLIMITED).wait()
    corpus, seen, slowest, start, sent = Corpus.of(api, seed), Counter[int](), 0.0, time.monotonic(), 0
    to_server = Corpus.of(api, -seed)  # each knows what its own database keeps
    wait = own_wait()
    try:
        while sent < requests and time.monotonic() - start < seconds:
            here = min(AT_ONCE, requests - sent)
            for _ in range(here - here // THROUGH):
                status, took = answered(api, corpus, wait)
                seen[status] += 1
                slowest = max(slowest, took)
            others, took = by_socket(server, to_server, here // THROUGH)
            seen, slowest, sent = seen + others, max(slowest, took), sent + here
            with ward.engine.database.writing() as connection:  # else every replay runs ten thousand again
                connection.execute(delete(quarantine))
            print(f"worker {seed}: {sent} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        return {"sent": sent, "slowest": slowest, "seen": dict(seen)}
    finally:
        server.stop()
        api.close()
        ward.engine.close()


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--requests", type=int, default=1_000_000)
    asked.add_argument("--seconds", type=float, default=float("inf"))
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--seed", type=int, default=3)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        bundle, start, jobs = write_tiny(Path(temp) / "bundle", small_settings()), time.monotonic(), []
        for worker in range(given.workers):
            folder = Path(temp) / str(worker)
            (folder / "ward").mkdir(parents=True)
            (folder / "served").mkdir()
            share = given.requests // given.workers + (worker < given.requests % given.workers)
            jobs.append((folder, bundle, given.seed + worker, share, given.seconds))
        with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
            found = pool.starmap(soak, jobs, chunksize=1)
        told = {
            "requests": sum(one["sent"] for one in found),
            "seconds": round(time.monotonic() - start),
            "slowest_seconds": round(max(one["slowest"] for one in found), 3),
            "statuses": dict(sorted(sum((Counter(one["seen"]) for one in found), Counter()).items())),
        }
        print(json.dumps(told))
    targets = Targets()
    targets.at_least("requests answered in form, below 500, without an echo", told["requests"], given.requests)
    targets.at_most("slowest answer", told["slowest_seconds"], LIMIT, "s")
    return targets.end()


if __name__ == "__main__":
    raise SystemExit(main())
