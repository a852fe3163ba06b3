"""kill -9 while readings come in: nothing accepted is lost or doubled, no alarm is lost, on either database."""

from __future__ import annotations

import pytest

from killing import PLACES, Found, killed
from killing_rest import killed as killed_over_rest

BATCHES = 60


@pytest.mark.slow
def test_killed_at_every_named_place_and_at_any_moment_nothing_is_lost_or_doubled(tmp_path, tiny_bundle, both):
    found = killed(tmp_path, both, tiny_bundle, BATCHES, len(PLACES) + 5, PLACES)

    assert found.kills >= len(PLACES) + 1
    assert found.alarms > 0
    assert found == Found(found.kills, found.acknowledged, 0, 0, found.alarms, 0, 0, 0)


@pytest.mark.slow
def test_a_real_server_killed_while_several_clients_send_loses_and_doubles_nothing(tmp_path, tiny_bundle, both):
    found = killed_over_rest(tmp_path, both, tiny_bundle, 4)

    assert {} == found.wrong
    assert found.kills >= 4
    assert min(found.alarms, found.acted) > 0
