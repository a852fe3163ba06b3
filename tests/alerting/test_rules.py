"""rules.yaml: what can be written, and what is said about what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vitalwatch.alerting.rules import Personal, Rule, Term, check_personal, read_rules, span
from vitalwatch.errors import SettingsError

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "rules.yaml"


@pytest.fixture(scope="session")
def shipped(settings):
    return read_rules(SHIPPED, settings.schema)


@pytest.fixture
def written(tmp_path, settings):
    """Reads the shipped rules after some text in them was replaced."""

    def read(*changes):
        text = SHIPPED.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        return read_rules(tmp_path / "mine.yaml", settings.schema)

    return read


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("above: 100", "abov: 100", "mine.yaml: rules.fast_for_days.when.abov: unknown key. Did you mean above?"),
        ("again: 30min", "agian: 30min", "mine.yaml: signals.high.agian: unknown key. Did you mean again?"),
        (
            "    lasts: 60min",
            "    last: 60min",
            "warm_and_fast.last: unknown key. Did you mean lasts?",
        ),
        ("vital: heart_rate, above", "vital: heart_rat, above", "mine.yaml: rules.heart_rate_high: heart_rat: is no"),
        ("usual: heart_rate", "usual: sleep", "mine.yaml: rules.warm_and_fast: sleep: is no vital sign. Known: heart"),
        ("over: 3d", "over: 40d", "rules.fast_for_days.when: a mean is over 1h to 30d."),
        ("over: 3d, ", "", "rules.fast_for_days.when: over belongs to a mean, and a mean needs it."),
        (
            "channel: unusual",
            "channel: odd",
            "rules.unusual.channel: Input should be 'unusual', 'known' or",
        ),
        ("above: limit, hysteresis: 5", "above: 3, below: 2", "heart_rate_high.when: a comparison has exactly one of"),
        ("mean: heart_rate", "news2: total, mean: heart_rate", "a comparison names exactly one of vital, mean, usual"),
        ("louder: {high: 7}", "louder: {low: 7}", "rules.news2: louder names higher priorities than the rule's own."),
        (
            "priority: medium, lasts: 30min, clears",
            "lasts: 30min, clears",
            "rules.news2_single: a rule needs a priority:",
        ),
        ("silence: 30min", "silence: 5h", "wearing: not_worn must be longer than silence."),
        ("pause: 30min", "pause: soon", "signals.pause: a duration is written like 15s, 10min, 6h or 3d."),
        ("when: {mean", "any: [{vital: heart_rate, above: 3}]\n    when: {mean", "a rule has exactly one of when, all"),
    ],
)
def test_what_cannot_be_right_is_named_with_its_place(written, old, new, told):
    with pytest.raises(SettingsError) as caught:
        written((old, new))

    assert told in str(caught.value)


def test_the_shipped_rules_read_and_the_clinicians_own_are_off_until_asked_for(shipped):
    off = {name for name, rule in shipped.rules.items() if not rule.enabled}

    assert {"fast_for_days", "warm_and_fast"} == off


def test_every_channel_of_the_monitor_but_its_own_limits_has_a_rule(shipped):
    assert ["unusual", "known", "technical"] == [
        shipped.of_channel(name)[0] for name in ("unusual", "known", "technical")
    ]
    assert shipped.of_channel("rule") is None


def test_a_duration_is_read_in_milliseconds():
    assert [15_000, 600_000, 21_600_000, 259_200_000] == [span(text) for text in ("15s", "10min", "6h", "3d")]


def test_a_resolved_alert_is_remembered_as_long_as_the_longest_cool_down(written):
    assert span("1d") == written().longest_cool_down
    assert span("2d") == written(("cool_down: 1d", "cool_down: 2d")).longest_cool_down


def test_a_persons_settings_about_something_unknown_are_refused(shipped, settings):
    for one, told in (
        ({"limits": {"pulse": {"low": 40}}}, "is no vital sign"),
        ({"rules": {"fast": {}}}, "is no rule"),
    ):
        with pytest.raises(SettingsError, match=told):
            check_personal(Personal.model_validate(one), shipped, settings.schema, "anna")


def test_limits_of_a_person_must_be_in_order():
    with pytest.raises(ValueError, match="low must be below high"):
        Personal.model_validate({"limits": {"heart_rate": {"low": 90, "high": 50}}})


def test_movement_explains_a_fast_heart_but_no_fever():
    assert Term(vital="heart_rate", above=100).resting
    assert not Term(vital="body_temperature", above=38).resting
    assert not Term(vital="heart_rate", above=100, at_rest=False).resting


def test_the_page_of_rules_shows_rules_that_read(settings, tmp_path):
    """docs/alarms.md: every YAML block of rules there is a rule."""
    page = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    assert len(blocks) >= 3
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    for number, block in enumerate(blocks):
        told = shipped | {"people": {}} | yaml.safe_load(block)
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        assert read_rules(tmp_path / f"{number}.yaml", settings.schema)


def test_a_rule_is_not_read_with_two_ways_of_asking():
    with pytest.raises(ValueError, match="exactly one of"):
        Rule.model_validate({"channel": "known", "when": {"news2": "total", "at_least": 5}, "priority": "low"})
