"""The doctor finds what is wrong and says what to do; it changes nothing."""

from __future__ import annotations

import sqlite3

import pytest

from vitalwatch.commands import doctor


def told(answer) -> dict[str, dict]:
    return {one["check"]: one for one in answer.json["checks"]}


@pytest.fixture(autouse=True)
def no_package_is_compared(monkeypatch, request):
    if "packages" not in request.node.name:
        checks = tuple(check for check in doctor.CHECKS if check.__name__ != "_packages")
        monkeypatch.setattr(doctor, "CHECKS", checks)


def test_a_good_machine_passes(served):
    answer = served.do("doctor", "--json")
    found = told(answer)

    assert (answer.code, answer.json["ok"]) == (0, True)
    assert found["production"]["verdict"] == "ok"
    assert set(found) >= {
        "python", "settings", "artifacts", "disk", "production", "signing key", "leftovers", "mlflow",
        "real recordings",
    }  # fmt: skip
    assert served.do("doctor").out.splitlines()[0].startswith("ok    python")


def test_without_a_run_it_warns_and_writes_nothing(place):
    answer = place.do("doctor", "--json")
    assert answer.code == 0
    assert told(answer)["production"]["next"] == "Run `python main.py`."
    assert not place.artifacts.exists()


@pytest.mark.parametrize("harm", ["forest.onnx", "manifest.sig"])
def test_a_damaged_production_bundle_fails(served, harm):
    (served.store.folder("first") / "models" / harm).write_bytes(b"other")
    answer = served.do("doctor", "--json")
    assert answer.code == 1
    assert told(answer)["production"]["verdict"] == "fail"
    assert "Retrain" in told(answer)["production"]["next"]


def test_a_key_that_others_can_read_fails(served):
    served.key.write_text("secret")
    served.key.chmod(0o644)
    answer = served.do("doctor", "--json")
    assert answer.code == 1
    assert "chmod 600" in told(answer)["signing key"]["next"]


def test_leftovers_of_dead_runs_are_a_warning(served):
    (served.artifacts / "runs" / ".tmp-x-1-1").mkdir()
    answer = served.do("doctor", "--json")
    assert answer.code == 0
    assert told(answer)["leftovers"]["verdict"] == "warn"


def test_artifacts_that_are_a_file_fail(place):
    place.artifacts.write_text("a file")
    answer = place.do("doctor", "--json")
    assert answer.code == 1
    assert told(answer)["artifacts"]["verdict"] == "fail"


def test_wrong_settings_fail_and_name_the_key(place):
    answer = place.do("doctor", "--json", sets=("detector.tree=2",))
    assert answer.code == 1
    assert "Did you mean trees?" in told(answer)["settings"]["told"]


def test_a_damaged_mlflow_store_is_a_warning(place, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 40)
    answer = place.do("doctor", "--json", sets=(f"config.tracking=sqlite:///{tmp_path}/mlflow.db",))
    assert told(answer)["mlflow"]["verdict"] == "warn"

    (tmp_path / "good.db").unlink(missing_ok=True)
    with sqlite3.connect(tmp_path / "good.db") as database:
        database.execute("CREATE TABLE runs (id TEXT)")
    answer = place.do("doctor", "--json", sets=(f"config.tracking=sqlite:///{tmp_path}/good.db",))
    assert told(answer)["mlflow"]["verdict"] == "ok"


def test_packages_are_compared_with_what_is_locked(place, monkeypatch):
    assert told(place.do("doctor", "--json"))["packages"]["verdict"] in ("ok", "warn")

    monkeypatch.setattr(doctor, "locked", lambda file: {"numpy": [("0.1", "")], "no-such-package": [("1", "")]})
    answer = place.do("doctor", "--json")
    (missing, other) = (one for one in answer.json["checks"] if one["check"] == "packages")
    assert (answer.code, missing["verdict"], other["verdict"]) == (1, "fail", "warn")
    assert "no-such-package" in missing["told"]
