from __future__ import annotations

import ast
import tomllib

import pytest

from tiny import ROOT

CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
PAGES = sorted((ROOT / "src" / "vitalwatch" / "ui").rglob("*.py"))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "address", "127.0.0.1"),
        ("server", "enableCORS", True),
        ("server", "enableXsrfProtection", True),
        ("server", "enableStaticServing", False),
        ("server", "maxUploadSize", 5),
        ("browser", "gatherUsageStats", False),
        ("client", "showErrorDetails", "none"),
        ("client", "showErrorLinks", False),
    ],
)
def test_the_page_is_closed_by_default(section: str, key: str, value: object) -> None:
    assert value == CONFIG[section][key]


def contrast(a: str, b: str) -> float:
    """WCAG 2.1, relative luminance."""
    told = []
    for colour in (a, b):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        told.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(told) + 0.05) / (min(told) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["textColor", "redColor", "orangeColor", "yellowColor", "blueColor", "greenColor"])
def test_every_colour_of_text_can_be_read(scheme: str, name: str) -> None:
    theme = CONFIG["theme"][scheme]

    assert 4.5 <= contrast(theme[name], theme["backgroundColor"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_white_text_of_a_button_can_be_read_and_the_button_seen(scheme: str) -> None:
    theme = CONFIG["theme"][scheme]

    assert 4.5 <= contrast(theme["primaryColor"], "#ffffff")
    assert 3.0 <= contrast(theme["primaryColor"], theme["backgroundColor"])


def test_no_page_hands_text_to_html() -> None:
    found = []
    for path in PAGES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "unsafe_allow_html":
                found.append(f"{path.name}:{node.value.lineno}")
            if isinstance(node, ast.Attribute) and node.attr in ("html", "iframe"):
                found.append(f"{path.name}: {node.attr}")

    assert ["shell.py: html"] == found  # a constant


def test_no_page_caches_what_people_sent() -> None:
    cached = [path.name for path in PAGES if "cache_data" in path.read_text()]

    assert ["models.py"] == cached
