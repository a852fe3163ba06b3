"""The few figures that stand for a run, and its gates, read from reports/evaluation.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitalwatch.commands.desk import Screen
from vitalwatch.errors import NotFound

Json = Mapping[str, Any]
EVALUATION, REPORT = "reports/evaluation.json", "reports/report.html"
SIGNS = {"at least": ">= ", "at most": "<= ", "limit": ""}
VERDICTS = {True: "passed", False: "FAILED", None: "not assessable"}


def evaluation_of(folder: Path) -> dict[str, Any]:
    """Return a run's evaluation; raises NotFound."""
    try:
        found: dict[str, Any] = json.loads((folder / EVALUATION).read_bytes())
    except (OSError, ValueError):
        raise NotFound(f"The evaluation of run {folder.name}", "Run `python main.py` again to rebuild it.") from None
    return found


def headline(evaluation: Json) -> dict[str, float | None]:
    """Return name -> figure, None where it could not be judged; flat, as MLflow takes it."""
    found: dict[str, float | None] = {}
    for channel, row in _table(evaluation, "detection", "channels").items():
        for name in ("event_f1", "precision", "recall", "false_alarms_per_day", "average_precision", "vus_pr"):
            if name in row:
                found[f"{channel}.{name}"] = _value(row[name])
    for vital, horizons in _table(evaluation, "forecast", "vitals").items():
        for horizon, row in horizons.items():
            found[f"forecast.{vital}.{horizon}min.mae"] = _value(row.get("mae"))
            skill = _table(row, "lines", "persistence").get("skill")
            found[f"forecast.{vital}.{horizon}min.skill"] = _value(skill)
    everything = _table(evaluation, "expected_heart_rate", "all")
    found["expected_heart_rate.rmse"] = _value(everything.get("rmse"))
    found["expected_heart_rate.skill"] = _value(_table(everything, "lines", "person_mean").get("skill"))
    for question, told in _table(evaluation, "early_warning").items():
        for variant, row in _table(told, "variants").items():
            for name in ("auroc", "average_precision", "brier"):
                found[f"{question}.{variant}.{name}"] = _value(row[name])
    return {name: value for name, value in found.items() if value is not None}


def failed_gates(gates: Sequence[Json]) -> list[str]:
    """Return what did not pass, as words."""
    return [f"{gate['name']} ({_shown(gate['value'])}, limit {_shown(gate['limit'])})" for gate in gates
            if gate["passed"] is False]  # fmt: skip


def show_gates(screen: Screen, gates: Sequence[Json]) -> None:
    """Print the gates as a table; the sign says on which side of the limit the value must lie."""
    from vitalwatch.report import side

    rows = [
        (
            gate["name"],
            _shown(gate["value"]),
            f"{SIGNS[side(gate)]}{_shown(gate['limit'])}",
            VERDICTS[gate["passed"]],
            gate.get("why", "").removeprefix("not assessable: "),
        )
        for gate in gates
    ]
    screen.table(rows, ("gate", "value", "limit", "verdict", ""))


def show_summary(screen: Screen, evaluation: Json) -> None:
    """Print the headline figures beside their trivial lines."""
    from vitalwatch.report import summary

    for line in summary(evaluation):
        if not line.startswith(("Gates:", "  failed:", "  and ")):  # the table of gates says it in full
            screen.say(line)


def _table(value: Any, *keys: str) -> Json:
    for key in keys:
        value = value.get(key, {}) if isinstance(value, Mapping) else {}
    return value if isinstance(value, Mapping) else {}


def _value(figure: Any) -> float | None:
    value = figure.get("value") if isinstance(figure, Mapping) else figure
    return float(value) if isinstance(value, (int, float)) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
