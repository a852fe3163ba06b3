"""A run tells the commit of its code, from whichever working tree it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalwatch.versions import commit_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    heads = tmp_path / "first" / ".git" / "refs" / "heads"
    heads.mkdir(parents=True)
    (heads / "main").write_text(f"{COMMIT}\n")
    (heads.parent.parent / "HEAD").write_text("ref: refs/heads/main\n")
    return tmp_path / "first"


def test_a_checkout_tells_the_commit_of_its_branch(checkout: Path):
    assert COMMIT == commit_of(checkout)


def test_a_branch_that_git_packed_is_found(checkout: Path):
    (checkout / ".git" / "refs" / "heads" / "main").unlink()
    (checkout / ".git" / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/main\n")

    assert COMMIT == commit_of(checkout)


def test_a_further_working_tree_tells_the_commit_of_its_own_head(checkout: Path, tmp_path: Path):
    own = checkout / ".git" / "worktrees" / "second"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    second = tmp_path / "second"
    second.mkdir()
    (second / ".git").write_text(f"gitdir: {own}\n")

    assert COMMIT == commit_of(second)


def test_a_folder_without_git_has_no_commit(tmp_path: Path):
    assert commit_of(tmp_path) is None
