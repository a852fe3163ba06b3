"""kill -9 while readings come in: nothing accepted is lost or doubled, no alarm is lost, on either database."""

from __future__ import annotations

import pytest

from killing import HELD_BACK, ORDER_PLACES, PEOPLE, PLACES, Found, killed
from killing_rest import killed as killed_over_rest

BATCHES = 60


@pytest.mark.slow
def test_killed_at_every_named_place_and_at_any_moment_nothing_is_lost_or_doubled(tmp_path, tiny_bundle, both):
    found = killed(tmp_path, both, tiny_bundle, BATCHES, len(PLACES) + 5, PLACES)

    assert found.kills >= len(PLACES) + 1
    assert found.alarms > 0
    assert found == Found(found.kills, found.acknowledged, 0, 0, 0, found.alarms, 0, 0, 0)


@pytest.mark.slow
def test_killed_while_late_readings_are_put_in_order_the_next_process_ends_where_a_calm_one_does(
    tmp_path, tiny_bundle, both
):
    found = killed(tmp_path, both, tiny_bundle, BATCHES, len(ORDER_PLACES) + 3, ORDER_PLACES, late=True)

    assert found.kills >= len(ORDER_PLACES)
    assert (BATCHES - 1) * PEOPLE * len(HELD_BACK) == found.in_order
    assert found.alarms > 0
    assert found == Found(found.kills, found.acknowledged, found.in_order, 0, 0, found.alarms, 0, 0, 0)


@pytest.mark.slow
def test_a_real_server_killed_while_several_clients_send_loses_and_doubles_nothing(tmp_path, tiny_bundle, both):
    found = killed_over_rest(tmp_path, both, tiny_bundle, 4)

    assert {} == found.wrong, found.alarms_other
    assert found.kills >= 4
    assert min(found.alarms, found.acted) > 0
