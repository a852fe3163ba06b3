"""The form with the limits of a person; what somebody else writes meanwhile is never overwritten without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from vitalwatch.alerting.alerts import MARKS
from vitalwatch.alerting.rules import version_of
from vitalwatch.clinical import oxygen, usual_limits
from vitalwatch.errors import ChangedMeanwhile, VitalsError
from vitalwatch.ui import own_rules, person
from vitalwatch.ui.pages.shell import source
from vitalwatch.ui.plain import plain

SAID = "personal-said"  # key of the session
SHOWN = {"success": st.success, "warning": st.warning, "error": st.error}


def show(who: str) -> None:
    """Show the form, as the settings are now: fields of other settings are other fields, with what those say."""
    schema, mine = source().schema, source().personal(who)
    key = f"{who}-{version_of(mine)}"
    with st.expander("Limits and rules of this person", expanded=SAID in st.session_state):
        with st.form("personal", border=False):
            st.caption("Empty: the usual limit holds. What is set here is written to the audit log.")
            for vital in schema.vitals:
                if schema.columns[vital].usual:
                    _bound(key, vital, mine)
            st.radio(
                "SpO2 scale of NEWS2 (2 only where a clinician chose it)",
                [1, 2],
                index=int(mine.get("oxygen_scale", 1)) - 1,
                horizontal=True,
                key=f"{key}-scale",
            )
            given = person.oxygen_index(mine)
            st.radio("Oxygen is given", person.OXYGEN, index=given, horizontal=True, key=f"{key}-oxygen")
            everybodys = {one["name"]: one["enabled"] for one in source().rules()}
            for one in source().rules(who):
                if one["name"] in everybodys and one["name"] not in mine.get("own", {}):
                    mark = plain(MARKS.get(one["priority"] or "", ""))
                    st.checkbox(
                        f"{mark} {plain(own_rules.title(one['name']))}".strip(),
                        value=one["enabled"],
                        help=plain(one["sentence"]),
                        key=f"{key}-rule-{one['name']}",
                    )
            st.form_submit_button("Save", on_click=_save, args=(who, key, mine, everybodys))
        if SAID in st.session_state:
            kind, sentence = st.session_state.pop(SAID)
            SHOWN[kind](plain(sentence))


def _bound(key: str, vital: str, mine: Mapping[str, Any]) -> None:
    """Ask for a person's own limits of a vital."""
    column = source().schema.columns[vital]
    limits = usual_limits(vital, column.usual, *oxygen(mine))
    assert limits is not None
    own = mine.get("limits", {}).get(vital, {})
    for place, side, name, usual in zip(st.columns(2), ("low", "high"), ("below", "above"), limits, strict=True):
        place.number_input(
            f"{column.label} {name} ({column.shown})",
            float(column.possible[0]),
            float(column.possible[1]),
            None if own.get(side) is None else float(own[side]),
            0.1 if column.unit == "Cel" else 1.0,
            placeholder=f"usual {usual:g}",
            key=f"{key}-{vital}-{side}",
        )


def _save(who: str, key: str, drawn: Mapping[str, Any], everybodys: Mapping[str, bool]) -> None:
    """Write what the fields hold, unless the settings are no longer those that they were drawn with."""
    told, schema = st.session_state, source().schema
    limits = {
        vital: (told[f"{key}-{vital}-low"], told[f"{key}-{vital}-high"])
        for vital in schema.vitals
        if schema.columns[vital].usual
    }
    rules = {name: told[f"{key}-rule-{name}"] for name in everybodys if f"{key}-rule-{name}" in told}
    wanted = person.personal(drawn, limits, told[f"{key}-scale"], told[f"{key}-oxygen"], rules, everybodys)
    if problem := person.problem(wanted, schema):
        told[SAID] = "error", problem
        return
    try:
        few, sentence = own_rules.tried_words(source().set_personal(who, wanted, drawn))
        told[SAID] = "success" if few else "warning", f"Saved. {sentence}"
    except ChangedMeanwhile:
        told[SAID] = "error", _changed(who, drawn)
    except VitalsError as error:
        told[SAID] = "error", str(error)


def _changed(who: str, drawn: Mapping[str, Any]) -> str:
    """Return what somebody else has set meanwhile, in words."""
    now, rules = source().personal(who), source().rules(who)
    before, after = (dict(person.limit_rows(one, rules, source().schema)) for one in (drawn, now))
    parts = [
        f"{name}: {after.get(name, 'no longer set')} (it was: {before.get(name, 'not set')})"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]
    what = "; ".join(parts) or "an own rule"
    return f"Not saved: somebody else changed this person's settings meanwhile. {what}. The fields show what holds now."
