"""The locked requirements are in step with what was asked for, and everything has a hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vitalwatch.commands.doctor import locked

ROOT = Path(__file__).parents[2]


def asked(file: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_what_is_asked_for_is_locked_at_a_version_that_fits(name):
    found = locked(ROOT / f"{name}.txt")
    for requirement in asked(f"{name}.in"):
        versions = [version for version, _ in found.get(requirement.name.lower().replace("_", "-"), [])]
        assert versions, f"{requirement.name} is not locked: run `make lock`"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_nothing_is_locked_that_nobody_asked_for():
    for name in ("requirements", "requirements-dev"):
        lines = (ROOT / f"{name}.txt").read_text().split("via -r requirements")
        direct = {re.findall(r"^([A-Za-z0-9_.-]+)==", part, re.M)[-1].lower() for part in lines[:-1]}
        text = (ROOT / f"{name}.txt").read_text()
        several = re.findall(
            r"^([A-Za-z0-9_.-]+)==[^#]*# via\n(?:    #   [^\n]*\n)*?    #   -r requirements", text, re.M
        )
        wanted = {requirement.name.lower().replace("_", "-") for requirement in asked(f"{name}.in")}
        assert wanted == {one.lower().replace("_", "-") for one in (direct | set(several))}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_locked_package_has_hashes(name):
    text = (ROOT / f"{name}.txt").read_text()
    packages = re.split(r"^(?=[A-Za-z0-9_.-]+==)", text, flags=re.M)[1:]
    assert len(packages) > 10
    assert all("--hash=sha256:" in package for package in packages)


def test_the_dev_locks_agree_with_the_others():
    run, dev = locked(ROOT / "requirements.txt"), locked(ROOT / "requirements-dev.txt")
    for name in set(run) & set(dev):
        assert {version for version, _ in dev[name]} <= {version for version, _ in run[name]}


def test_the_lines_of_a_lock_are_read(tmp_path):
    file = tmp_path / "locked.txt"
    two = ["Num_Py==2.4.6 ; python_full_version < '3.12' \\", "    --hash=sha256:aa", "num-py==2.5.5 \\"]
    file.write_text("\n".join(["# made by hand", *two, "    --hash=sha256:bb", ""]))
    assert locked(file) == {"num-py": [("2.4.6", "python_full_version < '3.12'"), ("2.5.5", "")]}
