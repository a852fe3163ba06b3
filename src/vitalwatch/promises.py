"""How many false alarms each channel promises: how the budget of params.yaml is shared."""

from __future__ import annotations

from vitalwatch import params


def share(detector: params.Detector) -> float:
    """Return channel A's share of the budget: `share_unusual`, and all that channel B may not have."""
    return max(detector.share_unusual, 1 - detector.known_most / detector.budget)


def promised(detector: params.Detector, *, known: bool) -> dict[str, float]:
    """Return false alarms per worn person-day by channel: `unusual`, `both`, and `known` where there are heads.

    Args:
        detector: Budget and shares.
        known: Whether there are heads; else channel A has the whole budget.
    """
    if not known:
        return {"unusual": detector.budget, "both": detector.budget}
    mine = share(detector)
    return {"unusual": detector.budget * mine, "known": detector.budget * (1 - mine), "both": detector.budget}
