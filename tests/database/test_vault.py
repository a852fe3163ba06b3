"""Pseudonyms and encryption: the same every time, bound to their place, lost without the key and never made anew."""

from __future__ import annotations

import base64

import pytest

from serving_world import Ward
from vitalwatch.database.vault import DEVICE, VARIABLE, Secret
from vitalwatch.errors import DatabaseError, StoreError


@pytest.fixture
def secret() -> Secret:
    return Secret(bytes(range(32)))


def test_a_pseudonym_is_the_same_every_time_and_another_with_another_key(secret):
    other = Secret(bytes(32))

    assert secret.pseudonym("anna") == Secret(bytes(range(32))).pseudonym("anna")
    assert secret.pseudonym("anna") != other.pseudonym("anna")
    assert secret.pseudonym("anna") != secret.pseudonym("anna ")
    assert secret.pseudonym("anna")[1:] != secret.pseudonym("anna", DEVICE)[1:]


def test_a_pseudonym_of_a_person_stands_for_itself(secret):
    pseudonym = secret.pseudonym("anna")

    assert pseudonym == secret.pseudonym(pseudonym)


def test_pseudonyms_are_hmac_sha_256_of_the_identifier(secret):
    import hashlib
    import hmac

    key = hmac.new(bytes(range(32)), b"vitalwatch pseudonyms 1", hashlib.sha256).digest()
    digest = hmac.new(key, b"person\x1fanna", hashlib.sha256).digest()
    assert "p-" + base64.b32encode(digest).decode()[:26].lower() == secret.pseudonym("anna")


def test_what_is_sealed_opens_in_its_place_alone(secret):
    sealed = secret.seal(b"Anna Schmidt", "vault.sealed:1")

    assert b"Anna" not in sealed
    assert b"Anna Schmidt" == secret.open(sealed, "vault.sealed:1")
    assert sealed != secret.seal(b"Anna Schmidt", "vault.sealed:1")
    for changed, place in ((sealed, "vault.sealed:2"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), "vault.sealed:1")):
        with pytest.raises(DatabaseError, match="does not open"):
            secret.open(changed, place)
    with pytest.raises(DatabaseError, match="does not open"):
        Secret(bytes(32)).open(sealed, "vault.sealed:1")


def test_a_key_is_made_at_first_use_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "database.key"
    made = Secret.load(path, create=True, environ={})

    assert 0o600 == path.stat().st_mode & 0o777
    assert made.id == Secret.load(path, create=True, environ={}).id
    assert made.id == Secret.load(tmp_path / "no", create=False, environ={VARIABLE: path.read_text()}).id
    path.chmod(0o640)
    with pytest.raises(StoreError, match="can be read by others"):
        Secret.load(path, create=True, environ={})


def test_a_key_is_never_printed(secret):
    shown = f"{secret!r} {secret}"

    assert secret.id in shown
    assert base64.b64encode(bytes(range(32))).decode()[:12] not in shown


@pytest.mark.parametrize("text", ["short", "x" * 44, "AAAA", base64.b64encode(bytes(31)).decode()])
def test_what_is_no_key_is_refused(tmp_path, text):
    with pytest.raises(StoreError, match="32 bytes"):
        Secret.load(tmp_path / "no", create=False, environ={VARIABLE: text})


def test_a_database_whose_key_is_gone_gets_no_new_one(tmp_path):
    ward = Ward(tmp_path, None)
    ward.engine.close()
    key = ward.settings.path(ward.settings.config.database.key)
    key.unlink()

    with pytest.raises(StoreError, match="key of the database is missing"):
        ward.open()
    assert not key.exists()


def test_a_database_made_with_another_key_is_refused(tmp_path, url):
    ward = Ward(tmp_path, None, url)
    ward.engine.close()
    key = ward.settings.path(ward.settings.config.database.key)
    key.write_bytes(base64.b64encode(bytes(32)))

    with pytest.raises(DatabaseError, match="made with another key"):
        ward.open()
