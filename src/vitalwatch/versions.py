"""What a run was made with: versions of the libraries that may move results, and the commit of the code."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata
from pathlib import Path

LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "keras", "jax", "onnx")  # a new version may move results


def library_versions() -> dict[str, str]:
    """Return the versions of what may move results."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def commit_of(root: Path) -> str | None:
    """Return the git commit of a checkout, read from its files; None elsewhere."""
    with contextlib.suppress(OSError):
        git = root / ".git"
        if git.is_file():  # a further working tree: its own HEAD, the branches of the first
            git = root / git.read_text().strip().removeprefix("gitdir: ")
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        shared = git / "commondir"
        branches = git / shared.read_text().strip() if shared.is_file() else git
        if (branches / ref).is_file():
            return (branches / ref).read_text().strip()
        packed = (branches / "packed-refs").read_text()
        return next((line.split()[0] for line in packed.splitlines() if line.endswith(f" {ref}")), None)
    return None
