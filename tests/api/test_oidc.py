"""Tokens of an identity provider: ours, signed, in time, or refused; none of the well-known tricks works."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api.test_identifiers import columns
from api_world import Api
from serving_world import Ward
from tiny import ROOT
from vitalwatch.api.oidc import Oidc
from vitalwatch.api.problem import Problem
from vitalwatch.database import accounts
from vitalwatch.errors import DatabaseError, SettingsError
from vitalwatch.settings import Provider, load_settings

ISSUER, AUDIENCE = "https://id.example.org", "vitalwatch"


class Issuer:
    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.file = folder / "jwks.json"
        self.publish("one")

    def publish(self, kid: str) -> None:
        told = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.file.write_text(json.dumps({"keys": [told | {"kid": kid, "use": "sig", "alg": "RS256"}]}))

    def token(self, *, kid: str = "one", algorithm: str = "RS256", key: object = None, **claims: object) -> str:
        now = int(time.time())
        told = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "dr-1",
            "exp": now + 300,
            "scope": "read ack",
            "wards": ["north"],
        }
        told |= claims
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(kept, self.key if key is None else key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def api(tmp_path, tiny_bundle, issuer):
    ward = Ward(tmp_path, tiny_bundle)
    settings = ward.settings
    provider = Provider(issuer=ISSUER, audience=AUDIENCE, jwks=str(issuer.file))
    chosen = settings.config.api.model_copy(update={"oidc": provider})
    settings = replace(settings, config=settings.config.model_copy(update={"api": chosen}))
    api = Api(settings, ward.engine, bound=("0.0.0.0",))
    yield api
    api.close()
    ward.engine.close()


def test_a_token_of_the_provider_may_what_its_claims_say(api, issuer):
    assert 200 == api.ask("GET", "/people", key=issuer.token()).status
    assert 403 == api.ask("POST", "/readings", {}, key=issuer.token()).status
    assert 403 == api.ask("GET", "/people", key=issuer.token(scope="other")).status


def test_with_a_provider_nobody_is_let_in_without_a_token(api):
    assert 401 == api.ask("GET", "/people").status


SUBJECTS = (
    "name.of-somebody@clinic.example.org-" + "x" * 40 + "1",
    "name.of-somebody@clinic.example.org-" + "x" * 40 + "2",
)


def test_who_did_it_is_written_as_a_pseudonym_of_the_whole_subject_and_its_issuer(api, issuer):
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}
    assert 202 == api.ask("POST", "/readings", reading, key=issuer.token(scope="ingest")).status
    person = api.ask("GET", "/people", key=issuer.token()).json["people"][0]["person"]
    for subject in (*SUBJECTS, SUBJECTS[0]):
        token = issuer.token(sub=subject)
        assert 200 == api.ask("PUT", f"/people/{person}/limits", {}, key=token).status
        assert 403 == api.ask("POST", "/runs/rollback", {"why": "x"}, key=token).status
    api.engine.tally.write()
    wrote = [one.actor for one in api.engine.audit.entries() if one.action == "limits.set"]
    refused = {one.actor for one in api.engine.audit.entries() if one.action == "access.refuse"}

    assert SUBJECTS[0][:64] == SUBJECTS[1][:64]
    assert [True, False] == [wrote[0] == wrote[2], wrote[0] == wrote[1]]
    assert all(re.fullmatch("u-[a-z2-7]{26}", actor) for actor in wrote)
    assert set(wrote) <= refused
    elsewhere = api.engine.accounts.pseudonym("https://other.example.org", SUBJECTS[0])
    assert elsewhere not in wrote


def test_a_subject_stands_in_the_vault_alone_and_is_told_to_itself_and_to_who_holds_the_key(api, issuer):
    told = api.ask("GET", "/whoami", key=issuer.token(sub=SUBJECTS[0])).json
    api.ask("GET", "/people?names=true", key=issuer.token(sub=SUBJECTS[0], scope="read admin"))
    kept = columns(api.engine.database)
    with api.engine.database.reading() as connection:
        names = accounts.names_of(connection, api.engine._secret, [told["actor"], "key-1"])

    assert (SUBJECTS[0], "u-") == (told["name"], told["actor"][:2])
    assert {told["actor"]: SUBJECTS[0]} == names
    assert [] == [name for name, content in kept.items() if b"name.of-somebody" in content]
    assert told["actor"].encode() in kept["audit.actor"]


def test_an_account_is_told_apart_though_the_database_takes_nothing(api, issuer, monkeypatch):
    def refuse(*_: object) -> None:
        raise DatabaseError("here", "is read-only", "try again")

    monkeypatch.setattr(api.engine.database, "writing", refuse)
    first = api.ask("GET", "/whoami", key=issuer.token(sub="one"))
    other = api.ask("GET", "/whoami", key=issuer.token(sub="two"))

    assert [200, 200] == [first.status, other.status]
    assert first.json["actor"] != other.json["actor"]


def test_wards_of_a_token_limit_what_it_sees(api, issuer):
    reading = {"person": "anna", "time": "2026-01-05T08:00:00Z", "heart_rate": 70}
    assert 202 == api.ask("POST", "/readings", reading, key=issuer.token(scope="ingest")).status

    assert 1 == len(api.ask("GET", "/people", key=issuer.token()).json["people"])
    for wards in (["south"], [], None):
        assert [] == api.ask("GET", "/people", key=issuer.token(wards=wards)).json["people"]
    assert 1 == len(api.ask("GET", "/people", key=issuer.token(wards="*")).json["people"])


def test_tokens_of_others_or_out_of_time_are_refused(api, issuer):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = int(time.time()) - 100
    public = issuer.key.public_key().public_numbers().n.to_bytes(256, "big")
    bad = {
        "expired": issuer.token(exp=past),
        "no end": issuer.token(exp=None),
        "nobody": issuer.token(sub=None),
        "other issuer": issuer.token(iss="https://evil.example"),
        "other audience": issuer.token(aud="elsewhere"),
        "other key": issuer.token(key=stranger),
        "unknown kid": issuer.token(kid="two"),
        "alg none": jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": past + 900}, None, "none", {"kid": "one"}
        ),
        "secret from public key": issuer.token(algorithm="HS256", key=public),
        "cut": issuer.token()[:-9],
        "not one": "a.b.c",
    }
    assert dict.fromkeys(bad, 401) == {name: api.ask("GET", "/people", key=token).status for name, token in bad.items()}


def test_a_good_token_is_taken_from_an_address_that_tried_many_bad_ones(api, issuer):
    bad = [api.ask("GET", "/people", key=issuer.token(sub=None, jti=str(n))).status for n in range(40)]

    assert {401, 429} == set(bad)
    assert 200 == api.ask("GET", "/people", key=issuer.token()).status


def test_a_token_is_not_remembered_beyond_its_end(api, issuer, monkeypatch):
    monkeypatch.setattr("vitalwatch.api.oidc.LEEWAY", 0)
    monkeypatch.setattr(api.app.state.desk.access, "_remember", 3600.0)
    token = issuer.token(exp=int(time.time()) + 4)  # long enough to be asked once before, however busy the machine
    assert 200 == api.ask("GET", "/people", key=token).status
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and 200 == api.ask("GET", "/people", key=token).status:
        time.sleep(0.2)

    assert 401 == api.ask("GET", "/people", key=token).status


def test_new_keys_of_the_provider_are_looked_up(api, issuer, monkeypatch):
    monkeypatch.setattr("vitalwatch.api.oidc.AGAIN", 0.0)
    assert 200 == api.ask("GET", "/people", key=issuer.token()).status
    issuer.publish("two")

    assert 200 == api.ask("GET", "/people", key=issuer.token(kid="two")).status


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds():
    return Seconds()


@pytest.fixture
def reader(issuer, seconds):
    return Oidc(
        Provider(issuer=ISSUER, audience=AUDIENCE, jwks=str(issuer.file)), issuer.file.read_bytes, clock=seconds
    )


def test_a_withdrawn_key_is_trusted_for_ten_minutes_at_most(reader, issuer, seconds):
    token = issuer.token()
    assert reader.caller(token) is not None
    issuer.publish("two")
    seconds.now += 590
    assert reader.caller(token) is not None
    seconds.now += 11

    assert reader.caller(token) is None
    assert reader.caller(issuer.token(kid="two")) is not None


@pytest.mark.parametrize("silence", [b"", b"<html>", b"[]", b'{"keys": 1}', None])
def test_while_the_provider_is_silent_its_known_keys_serve_for_an_hour(reader, issuer, seconds, silence):
    token, told = issuer.token(), issuer.file.read_bytes()
    assert reader.caller(token) is not None
    issuer.file.unlink() if silence is None else issuer.file.write_bytes(silence)
    seconds.now += 3599
    assert reader.caller(token) is not None
    seconds.now += 61
    with pytest.raises(Problem) as refused:
        reader.caller(token)
    issuer.file.write_bytes(told)
    with pytest.raises(Problem):
        reader.caller(token)  # the provider is not asked at every request
    seconds.now += 61

    assert (503, "provider_silent") == (refused.value.status, refused.value.code)
    assert reader.caller(token) is not None


def test_nobody_waits_for_a_slow_provider_whom_the_known_keys_can_answer(reader, issuer, seconds):
    token, asked, answered = issuer.token(), threading.Event(), threading.Event()
    assert reader.caller(token) is not None

    def slow() -> bytes:
        asked.set()
        assert answered.wait(30)
        return issuer.file.read_bytes()

    reader._fetch = slow
    seconds.now += 601
    other = threading.Thread(target=reader.caller, args=(token,))
    other.start()
    try:
        assert asked.wait(30)
        assert reader.caller(token) is not None
        assert other.is_alive()
    finally:
        answered.set()
        other.join(30)


def test_a_provider_that_never_told_its_keys_is_503_and_a_key_of_ours_works(api, issuer):
    key, token = api.key(["read"]), issuer.token()
    issuer.file.unlink()
    answer = api.ask("GET", "/people", key=token)

    assert (503, "provider_silent") == (answer.status, answer.code)
    assert "60" == answer.headers["retry-after"]
    assert 200 == api.ask("GET", "/people", key=key).status


def test_only_asymmetric_algorithms_and_https_can_be_configured():
    good = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "keys.json"}
    for more in (
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"jwks": "http://id.example.org"},
    ):
        with pytest.raises(SettingsError):
            load_settings(ROOT, environment="base", overrides=[f"config.api.oidc={json.dumps(good | more)}"])
