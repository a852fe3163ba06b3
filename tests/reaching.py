"""Which blocks of params.yaml a stage's code reads: its function and all of `vitalwatch.stages` that it reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vitalwatch import stages

FOLDER, PACKAGE = Path(stages.__file__).parent, stages.__name__

Place = tuple[str, str]  # a module of the package, and a function or class of it, empty for the module itself


def blocks_read(module: str, function: str) -> set[str]:
    """Return every name that is asked of something called `params`, from a function on."""
    seen: set[Place] = set()
    waiting, found = [(module, function)], set[str]()
    while waiting:
        place = waiting.pop()
        if place in seen or place[1] not in _defined(place[0]):
            continue
        seen.add(place)
        for node in ast.walk(_defined(place[0])[place[1]]):
            waiting += _reached(place[0], node)
            if isinstance(node, ast.Attribute) and _last(node.value) == "params":
                found.add(node.attr)
    return found


def _reached(module: str, node: ast.AST) -> Iterator[Place]:
    known = _names(module)
    if isinstance(node, ast.Name) and node.id in known:
        yield known[node.id]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
        yield known[node.value.id][0], node.attr


def _last(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))


@cache
def _defined(module: str) -> dict[str, ast.stmt]:
    return {node.name: node for node in _tree(module).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@cache
def _names(module: str) -> dict[str, Place]:
    """Return what a module calls things of the package, its own among them."""
    found = {name: (module, name) for name in _defined(module)}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            of = (node.module or "").removeprefix(PACKAGE).removeprefix(".")
            found |= {one.asname or one.name: (of, one.name) if of else (one.name, "") for one in node.names}
    return found
