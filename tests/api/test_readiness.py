"""D12: health is honest. Each cause flips readiness and its end flips it back; alive is alive through all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text

from api_world import Answer, Api
from serving_world import RUN, Ward, messages
from tiny import somebody
from vitalwatch.api.readiness import Readiness


class Watched:
    """A ward and its application, asked anew each time."""

    def __init__(self, ward: Ward) -> None:
        self.ward, self.api = ward, Api(ward.settings, ward.engine)
        self.look()

    def look(self, patience: float = 5.0) -> None:
        desk = self.api.app.state.desk
        desk.readiness.close()
        desk.readiness = Readiness(self.ward.engine, kept=0.0, patience=patience)

    @property
    def ready(self) -> tuple[int, list[str]]:
        answer = self.api.ask("GET", "/health/ready")
        assert 200 == self.api.ask("GET", "/health/live").status
        return answer.status, list(answer.json["causes"])

    def send(self, n: int) -> Answer:
        told = messages(somebody(0).readings.rows(slice(n, n + 1)))
        return self.api.ask("POST", "/readings", told)


@pytest.fixture
def watched(tmp_path, tiny_bundle, both) -> Iterator[Watched]:
    watched = Watched(Ward(tmp_path, tiny_bundle, both))
    yield watched
    watched.api.close()
    watched.ward.engine.close()


@contextmanager
def read_only(ward: Ward) -> Iterator[None]:
    """Make the database refuse every write: the file as one of a read-only disk, the server as a standby does."""
    database = ward.engine.database
    if database.is_sqlite:

        def closed(connection, record, proxy) -> None:
            connection.execute("PRAGMA query_only=ON")

        event.listen(database.engine, "checkout", closed)
        yield
        event.remove(database.engine, "checkout", closed)
        database.engine.dispose()
        return
    name = database.url.database
    for value in ("on", "off"):
        with database.maintaining() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'))
        database.engine.dispose()
        if value == "on":
            yield


def test_a_server_that_can_take_and_judge_readings_is_ready(watched):
    assert (200, []) == watched.ready


def test_a_read_only_database_is_not_ready_and_takes_nothing(watched):
    with read_only(watched.ward):
        assert (503, ["database"]) == watched.ready
        refused = watched.send(0)
        assert (503, "storage") == (refused.status, refused.code)
        assert refused.headers["retry-after"]

    assert (200, []) == watched.ready
    assert 202 == watched.send(0).status


def test_without_a_model_nothing_is_ready_and_with_one_it_is(tmp_path, tiny_bundle, both):
    watched = Watched(Ward(tmp_path, None, both))
    watched.send(0)
    watched.ward.clock.ms += 3_600_000
    assert (503, ["no_model"]) == watched.ready

    watched.ward.place.add_run(RUN, tiny_bundle)
    watched.ward.engine.catch_up()
    assert (200, []) == watched.ready
    watched.api.close()
    watched.ward.engine.close()


def test_readings_that_wait_too_long_to_be_scored_are_not_ready_though_new_ones_keep_coming(
    tmp_path, tiny_bundle, both
):
    watched = Watched(Ward(tmp_path, None, both))
    for n in range(5):
        assert 202 == watched.send(n).status
        watched.ward.clock.ms += 10_000
    watched.ward.place.add_run(RUN, tiny_bundle)
    assert (503, ["lagging"]) == watched.ready

    watched.ward.engine.catch_up()
    assert (200, []) == watched.ready
    watched.api.close()
    watched.ward.engine.close()


def test_a_writer_that_is_stuck_is_not_ready_and_asking_costs_nobody_a_turn(watched):
    watched.look(patience=0.2)
    held, done = threading.Event(), threading.Event()

    def stuck() -> None:
        with watched.ward.engine.database.writing():
            held.set()
            done.wait(30)

    writer = threading.Thread(target=stuck)
    writer.start()
    held.wait(30)
    for _ in range(6):  # more often than there are threads that read
        assert (503, ["database"]) == watched.ready
    assert 200 == watched.api.ask("GET", "/people").status
    done.set()
    writer.join()
    watched.look()

    assert (200, []) == watched.ready


def test_a_damaged_run_is_told_and_the_one_before_stays_ready(watched, tiny_bundle):
    model = watched.ward.place.add_run("000000000003", tiny_bundle) / "models" / "forest.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")

    assert (200, ["model_refused"]) == watched.ready
