"""The link in a notice leads to the alarm that it tells of."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_world import Api
from receiving_world import Got, http_receiver, smtp_receiver
from serving_world import Ward, messages
from tiny import somebody
from vitalwatch.tables import MINUTE

HOME = "https://watch.example"
NORTH = frozenset({"north"})


@pytest.fixture
def told(tmp_path: Path, tiny_bundle: tuple[Path, Path]) -> Iterator[tuple[Api, Got]]:
    """A server whose person in the north is very ill, and what a webhook and a mailbox got of it."""
    ward, got = Ward(tmp_path, tiny_bundle), Got()
    rows = messages(somebody(1).readings.rows(slice(0, 60)))
    sick = [{**one, "oxygen_saturation": 82.0, "heart_rate": 165.0 + i % 2} for i, one in enumerate(rows[-9:])]
    ward.clock.ms = int(somebody(1).readings.time[59]) + MINUTE
    with http_receiver(got) as url, smtp_receiver(got) as (host, port):
        config = json.loads(ward.place.config.read_text())
        (tmp_path / "secret").write_text("between us")
        (tmp_path / "secret").chmod(0o600)
        hook = {"name": "hook", "url": url, "secret": str(tmp_path / "secret")}
        mail = {"name": "mail", "host": host, "port": port, "sender": "a@watch.example", "to": ["b@watch.example"]}
        config["alarms"] |= {"webhooks": [hook], "mails": [mail | {"starttls": False}], "external_url": HOME + "/"}
        ward.place.config.write_text(json.dumps(config))
        ward.again().start()
        ward.send([*rows[:-9], *sick], wards=NORTH)
        began = time.monotonic()
        while not (got.accepted and got.mails):
            assert time.monotonic() - began < 30, "nothing was told"
            time.sleep(0.05)
        api = Api(ward.settings, ward.engine)
        yield api, got
        api.close()
        ward.engine.close()


def test_the_link_of_a_notice_answers_with_the_alarm_and_its_history(told):
    api, got = told
    notice = got.accepted[0]["alerts"][0]
    (written,) = set(re.findall(rf"{HOME}/\S+", got.mails[0]))
    key = api.key(["read"], NORTH)

    for link in (notice["generatorURL"], written):
        answer = api.ask("GET", link.removeprefix(HOME), key=key)
        assert 200 == answer.status, link
        assert link.endswith(answer.json["id"])
        assert {answer.json["id"]} == {one["alert"] for one in answer.json["history"]}
        same = api.ask("GET", f"/alarms/{answer.json['id']}/history", key=key).json["history"]
        assert same == answer.json["history"]
    one = api.ask("GET", notice["generatorURL"].removeprefix(HOME), key=key).json
    listed = [each for each in api.ask("GET", "/alarms", key=key).json["alarms"] if each["id"] == one["id"]]
    assert notice["labels"]["alertname"] == one["rule"]
    assert listed == [{name: value for name, value in one.items() if name != "history"}]


def test_the_link_of_a_notice_is_for_keys_that_read_the_ward(told):
    api, got = told
    path = got.accepted[0]["alerts"][0]["generatorURL"].removeprefix(HOME)
    elsewhere, sender = api.key(["read"], frozenset({"south"})), api.key(["ingest"], NORTH)

    statuses = [api.ask("GET", path, key=key).status for key in ("", sender, elsewhere)]
    assert [401, 403, 404] == statuses
