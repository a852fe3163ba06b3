"""Rules of the house that no single module can hold: sizes, leftovers, dead keys, links."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from vitalwatch.commands import command_line
from vitalwatch.commands.command_line import COMMANDS, NAMES, RUN
from vitalwatch.params import Params

ROOT = Path(__file__).parent.parent
SOURCE = sorted((ROOT / "src").rglob("*.py"))
LONGEST = 500  # lines


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def test_there_is_source_to_judge():
    assert len(SOURCE) > 50


def test_no_module_is_longer_than_five_hundred_lines():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE}

    assert {} == {name: n for name, n in lengths.items() if n > LONGEST}


def test_nothing_is_left_for_later():
    leftover = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
    found = [
        f"{name_of(path)}:{number}"
        for path in SOURCE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if leftover.search(line)
    ]

    assert [] == found


def test_only_commands_print_to_the_terminal():
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCE
        if "commands" not in path.parts
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if not any(keyword.arg == "file" for keyword in node.keywords)  # a pipe that was handed in is no terminal
    ]

    assert [] == found


def test_no_path_of_somebodys_machine_is_written_down():
    elsewhere = re.compile(r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|opt|mnt)(/|\b)")
    files = [*SOURCE, ROOT / "main.py", ROOT / "params.yaml", ROOT / "schema.yaml"]
    found = [
        f"{name_of(path)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if elsewhere.search(line)
    ]

    assert [] == found


def fields_of(model: type[BaseModel]) -> list[tuple[str, str]]:
    """Return (block, key) of every key in params.yaml."""
    found = [("", name) for name, field in model.model_fields.items() if not hasattr(field.annotation, "model_fields")]
    for block, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            found += [(block, key) for key in field.annotation.model_fields]
    return found


@cache
def attributes_read() -> frozenset[str]:
    """Return every attribute and every string that the source reads outside the classes of params.yaml."""
    nodes = [node for path in SOURCE if path.name != "params.py" for node in nodes_of(path)]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    return frozenset(read)


@pytest.mark.parametrize(("block", "key"), fields_of(Params))
def test_no_key_of_params_is_dead(block, key):
    assert key in attributes_read(), f"{block}.{key} steers nothing"


def blocks_read() -> set[str]:
    """Return the blocks that some module reads as `params.<block>` or hands on by that name."""
    return {block for block, key in fields_of(Params) if block} & attributes_read()


def test_no_block_of_params_is_dead():
    assert {block for block, key in fields_of(Params) if block} == blocks_read()


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link.partition("#")[0] for link in found if not re.match(r"[a-z]+:", link) and not link.startswith("#")]


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page):
    assert [] == [link for link in links(page) if not (page.parent / link).exists()]


DATED = ("CHANGELOG.md",)  # tells what was once
TOLD = [page for page in PAGES if page.name not in DATED]
MAIN, BENCHMARK = r"(?:python )?main\.py", r"(?:python )?benchmarks/(?:{name})\.py"


def shown(page: Path, start: str) -> list[list[str]]:
    """Return the words after `start` of each command that a page shows: in backticks, or a line of a block of code."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    places = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", plain)
    commands = [re.split(r"\s#", part)[0].strip() for place in places for part in place.split(" && ")]
    found = [re.match(rf"(?:[A-Z_]+=\S+ )*{start}(?: (?! )(.*))?$", command) for command in commands]
    return [re.sub(r"[\[\]]", " ", match[1] or "").split() for match in found if match]


def commands_of(start: str) -> list[tuple[str, list[str]]]:
    """Return page and words of each command of all pages."""
    return [(name_of(page), words) for page in TOLD for words in shown(page, start)]


def test_commands_are_found_in_the_pages():
    assert len(commands_of(MAIN)) > 25
    assert len(commands_of("make")) > 10
    assert len(commands_of(BENCHMARK.format(name=r"\w+"))) > 15


@pytest.mark.parametrize(("where", "words"), commands_of(MAIN), ids=str)
def test_a_command_that_a_page_shows_exists_with_its_options(where, words):
    command, rest = command_line._split(words)
    parser = command_line._parser(command if command in COMMANDS else RUN)  # a stage's name is short for `--only`
    known = {option for action in parser._actions for option in action.option_strings}

    assert command in (*COMMANDS, *NAMES)
    assert [] == [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


@pytest.mark.parametrize(("where", "words"), commands_of("make"), ids=str)
def test_a_target_of_make_that_a_page_shows_exists(where, words):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert [] == [word for word in words if "=" not in word and word not in targets]


BENCHMARKS = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("*.py"))}


def test_a_benchmark_that_a_page_shows_exists():
    known = commands_of(BENCHMARK.format(name="|".join(BENCHMARKS)))

    assert known == commands_of(BENCHMARK.format(name=r"\w+"))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_options_of_a_benchmark_that_a_page_shows_exist(name):
    text = BENCHMARKS[name].read_text(encoding="utf-8")
    words = [word for _, words in commands_of(BENCHMARK.format(name=name)) for word in words]

    assert [] == [word for word in words if word.startswith("--") and f'"{word}"' not in text]


def test_every_test_that_is_named_for_a_promise_exists():
    told = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))
    missing = [name for file, name in told if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")]

    assert [] == missing
    assert len(told) >= 24
