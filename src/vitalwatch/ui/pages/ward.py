"""Ward: everyone at a glance, worst first, live."""

from __future__ import annotations

import streamlit as st

from vitalwatch.ui import ward
from vitalwatch.ui.pages.shell import go_to_person, live, source, table, told
from vitalwatch.ui.plain import age, badge, plain
from vitalwatch.ui.ward import STATES, Line

MOST_CARDS = 12
STATE_COLOURS = {"unusual": "orange", "usual": "green"}


def show() -> None:
    """Show the page."""
    st.title("Ward")
    _live(st.toggle("Show discharged people, too", key="discharged"))


@live
def _live(discharged: bool) -> None:
    with told():
        found = ward.lines(source().people(discharged=discharged), source().schema, source().now())
        if not found:
            st.info(
                "Nobody has sent a reading yet. `make demo` shows this page with simulated people; readings come in by "
                "`POST /readings`.",
                icon=":material/sensors_off:",
            )
            return
        if warning := ward.banner(found):
            st.warning(plain(warning), icon=":material/history:")
        _counts(found)
        worst = [one for one in found if one.priority][:MOST_CARDS]
        if worst:
            st.subheader("Look first at")
            with st.container(horizontal=True, gap="medium"):
                for one in worst:
                    _card(one)
        _everyone(found)


def _counts(found: list[Line]) -> None:
    with st.container(horizontal=True, gap="medium", key="counts"):
        for label, count in ward.counts(found):
            st.metric(plain(label), count, width=150, border=False)


def _card(one: Line) -> None:
    with st.container(border=True, width=340, gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"{badge(one.priority)} **{plain(one.name)}**")
            st.caption(f"{'' if one.age is None else age(0, one.age)} old", width="content")
        st.markdown(_values(one))
        st.text(one.why)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            more = f"{one.alarms} open alarms" if one.alarms > 1 else "1 open alarm"
            st.caption(f"{_state(one)} {more}{', acknowledged' if one.acknowledged else ''}", width="content")
            if st.button("Open", key=f"open-{one.person}", help=f"Vitals and alarms of {plain(one.name)}"):
                go_to_person(one.person)


def _values(one: Line) -> str:
    parts = []
    for label, value in one.values.items():
        number, _, unit = value.partition(" ")
        if number != "–":
            parts.append(f"{plain(label)} **{plain(number)}** {plain(unit)}".rstrip())
    line = " · ".join(parts) or "Nothing measured just now"
    return f":gray[{line}]" if one.old else line


def _state(one: Line) -> str:
    return f":{STATE_COLOURS.get(one.state, 'gray')}-badge[{plain(STATES[one.state])}]"


def _everyone(found: list[Line]) -> None:
    st.subheader("Everyone")
    st.caption("Worst first. Choose a row to open the person.")
    config = st.column_config.TextColumn
    chosen = table(
        ward.table(found),
        "Everyone on the ward with alarm, state, age of the data and newest vitals, worst first.",
        key="everyone",
        on_select="rerun",
        selection_mode="single-row",
        height=min(38 + 35 * len(found), 740),
        column_config={"Alarm": config(width="small", pinned=True), "Person": config(pinned=True)},
    )
    rows = chosen.selection.rows if chosen else []
    if rows and rows[0] < len(found):
        go_to_person(found[rows[0]].person)
