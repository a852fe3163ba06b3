"""What a run's own tables say against its models: what is found least, who is worst off, where simple rules do better.

Everything is computed from evaluation.json, so that a card neither leaves out its worst result nor tells one of another
run. A sentence is empty where nothing is to be told.
"""

from __future__ import annotations

from collections.abc import Iterator

from vitalwatch.drawing import words
from vitalwatch.wording import GROUPS, Json, best_line, line, missing, percent, ranged, value_of

HALF = 0.5  # recall of a kind up to which it is told as found least: as many are missed as found
ASTRAY = 0.06  # how far from what is promised an interval may hold for the worst person: .74 to .86 of .80 are asked
SIZES = {  # in words, of several and of one
    "people": ("people", "person"),
    "patients": ("patients", "patient"),
    "episodes": ("episodes", "episode"),
    "patients_with": ("with it", "with it"),
}
RANKS = {"average_precision": "average precision", "vus_pr": "VUS-PR"}


def size(row: Json) -> str:
    """Return on how much a figure of a subgroup stands: `5 people, 27 episodes`."""
    return ", ".join(f"{row[name]} {what[row[name] == 1]}" for name, what in SIZES.items() if name in row)


def found_least(kinds: Json) -> str:
    """Return the kinds of which a channel finds half or fewer, or else the one that it finds least.

    Args:
        kinds: Kind -> recall and episodes, of one channel.
    """
    found = {kind: value for kind, row in kinds.items() if (value := value_of(row["recall"])) is not None}
    if not found:
        return ""
    order = sorted(found, key=found.__getitem__)
    least = [kind for kind in order if found[kind] <= HALF]
    told = "; ".join(
        f"{words(kind)}, recall {ranged(kinds[kind]['recall'])} of {kinds[kind]['episodes']} episodes"
        for kind in least or order[:1]
    )
    return f"Finds half or fewer of {told}." if least else f"Finds least of {told}."


def worst_off(groups: Json, figure: str, told: str, whole: Json, *, least: bool) -> str:
    """Return the subgroup for which a figure is worst, beside all and beside the others of its group.

    Args:
        groups: Group -> value -> figures.
        figure: Name of the figure in each of them.
        told: The figure in words, its unit after a comma.
        whole: The figure of everybody.
        least: Whether the lowest is the worst.
    """
    of = {
        (group, value): figure_of
        for group, values in groups.items()
        for value, row in values.items()
        if (figure_of := value_of(row.get(figure))) is not None
    }
    if len(of) < 2 or value_of(whole) is None:
        return ""
    group, worst = (min if least else max)(of, key=of.__getitem__)
    one = {value: f"{ranged(row.get(figure))} ({size(row)})" for value, row in groups[group].items()}
    others = "".join(f"; {words(value)} {text}" for value, text in one.items() if value != worst)
    return (
        f"Worst off by {GROUPS.get(group, words(group))}, {words(worst)}: {told} {one[worst]}, beside {ranged(whole)} "
        f"of all{others}."
    )


def outdone(detection: Json, channel: str) -> Iterator[str]:
    """Yield where a simple rule ranks rows better than a channel, and where it finds as much at the same budget."""
    ours, lines = detection.get("channels", {}).get(channel, {}), detection.get("lines", {})
    for figure, what in RANKS.items():
        known = {name: value for name, row in lines.items() if (value := value_of(row.get(figure))) is not None}
        best, mine = max(known, key=known.__getitem__, default=""), value_of(ours.get(figure))
        if best and mine is not None and known[best] > mine:
            yield (
                f"Without a threshold a simple rule ranks rows better: {what} {ranged(lines[best][figure], 3)} by "
                f"{line(best, lines[best])}, beside {ranged(ours[figure], 3)}."
            )
    if found := best_line(detection, channel):
        name, told = found
        gain = told["ours_minus_this"]
        if value_of(gain) is not None and (gain.get("low") is None or gain["low"] <= 0):
            yield (
                f"At the same budget it is not better than {line(name, lines[name])} beyond chance: event F1 higher by "
                f"{ranged(gain)}."
            )


def astray(forecast: Json) -> str:
    """Return where the interval holds for the worst person too far from what is promised."""
    promised = forecast.get("nominal_coverage")
    if promised is None:
        return ""
    told = []
    for vital, horizons in forecast.get("vitals", {}).items():
        worst = {horizon: row.get("coverage_worst_person") for horizon, row in horizons.items()}
        out = [
            f"{percent(held)} at {horizon} min"
            for horizon, held in worst.items()
            if held is not None and round(abs(held - promised), 6) > ASTRAY
        ]
        if out:
            told.append(f"{words(vital)} {', '.join(out)}")
    between = f"{percent(promised - ASTRAY)} to {percent(promised + ASTRAY)}"
    return f"For the worst person the interval holds outside of {between}: {'; '.join(told)}." if told else ""


def not_beaten(table: Json) -> Iterator[str]:
    """Yield which lines an early warning of one question does not beat beyond chance, for each of its variants."""
    if missing(table):
        return
    lines = {"news2": "partial NEWS2", "stay": "hours in hospital alone"}
    for name, row in table.get("variants", {}).items():
        for key, what in lines.items():
            gain = row.get(f"auroc_gain_over_{key}")
            if name != "stay" and value_of(gain) is not None and (gain.get("low") is None or gain["low"] <= 0):
                yield (
                    f"{table['question'].capitalize()}, from {words(name)}: does not rank better than {what} beyond "
                    f"chance (AUROC higher by {ranged(gain, 3)})."
                )
