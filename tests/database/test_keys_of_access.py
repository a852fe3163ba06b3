"""API keys: found by their token alone, kept as hashes, limited to scopes and wards, rotated with an overlap."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from serving_world import Ward
from vitalwatch.database import access
from vitalwatch.database.tables import access_keys
from vitalwatch.errors import NotFound, UsageError


@pytest.fixture
def ward(tmp_path, url) -> Ward:
    ward = Ward(tmp_path, None, url)
    yield ward
    ward.engine.close()


def make(ward: Ward, *, scopes=("read",), wards=frozenset({"north"}), ends=None) -> tuple[access.Key, str]:
    with ward.engine.database.writing() as connection:
        return access.make(connection, ward.engine._secret, "bedside", scopes, wards, ward.clock(), ends)


def test_a_key_is_found_by_its_token_and_says_what_it_may(ward):
    key, token = make(ward, scopes=("read", "ack"))
    found = ward.engine.keys.find(token)

    assert key == found
    assert found.may("read")
    assert not found.may("admin")
    assert frozenset({"north"}) == found.wards


def test_every_other_token_is_no_key(ward):
    _, token = make(ward)
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    wrong = [changed, token + "A", token[:-1], "", "vw_", token.upper(), token.replace("vw_", "vx_"), "\x00" * 50]

    assert [None] * len(wrong) == [ward.engine.keys.find(one) for one in wrong]


def test_the_secret_of_a_key_is_not_in_the_database(ward):
    _, token = make(ward)
    with ward.engine.database.reading() as connection:
        row = connection.execute(select(access_keys)).one()

    assert token.split("_", 2)[2] not in str(row)
    assert 32 == len(bytes(row.digest))


def test_two_keys_are_never_alike(ward):
    assert 20 == len({make(ward)[1] for _ in range(20)})


def test_a_key_ends(ward):
    _, token = make(ward, ends=ward.clock() + 1000)
    assert ward.engine.keys.find(token) is not None
    ward.clock.ms += 1000

    assert ward.engine.keys.find(token) is None


@pytest.mark.parametrize("revoked", [True, False])
def test_the_door_stays_closed_when_the_last_key_has_ended(ward, revoked):
    assert not ward.engine.keys.any_made()
    key, _ = make(ward, ends=ward.clock() + 1000)
    if revoked:
        with ward.engine.database.writing() as connection:
            access.end(connection, key.id, ward.clock())
    ward.clock.ms += 1000

    assert ward.engine.keys.any_made()


def test_a_rotated_key_works_for_the_overlap_and_the_new_one_at_once(ward):
    old, token = make(ward, scopes=("ingest",), wards=None)
    with ward.engine.database.writing() as connection:
        new, fresh = access.rotate(connection, ward.engine._secret, old.id, ward.clock(), 5000)

    assert (old.scopes, old.wards) == (new.scopes, new.wards)
    assert ward.engine.keys.find(token) is not None
    assert ward.engine.keys.find(fresh) == new
    ward.clock.ms += 5000
    assert ward.engine.keys.find(token) is None
    assert ward.engine.keys.find(fresh) == new


def test_a_key_never_lives_longer_by_rotation(ward):
    old, _ = make(ward, ends=ward.clock() + 10)
    with ward.engine.database.writing() as connection:
        access.rotate(connection, ward.engine._secret, old.id, ward.clock(), 5000)
        assert ward.clock() + 10 == access.named(connection, old.id).ends


@pytest.mark.parametrize(
    ("scopes", "wards"), [((), None), (("root",), None), (("read",), frozenset()), (("read",), frozenset({"a b"}))]
)
def test_scopes_and_wards_that_are_none_are_refused(ward, scopes, wards):
    with pytest.raises(UsageError):
        make(ward, scopes=scopes, wards=wards)


def test_an_unknown_key_is_named_as_such(ward):
    with ward.engine.database.writing() as connection, pytest.raises(NotFound, match="keys list"):
        access.end(connection, "0" * 12, 0)
