"""Models: what a run is and does, and which one is in production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitalwatch.database.access import ADMIN
from vitalwatch.drawing import Picture
from vitalwatch.ui import pictures, runs
from vitalwatch.ui.pages.shell import answered, ask, asked, may, source, table, told
from vitalwatch.ui.plain import plain
from vitalwatch.ui.runs import Shown

FIGURE = 760  # pixels; less where the screen is narrower
MOVE = "move"


def show() -> None:
    """Show the page."""
    st.title("Models")
    with told():
        found, changes = source().runs()
        if not found:
            st.info("There is no run. `python main.py` makes one.", icon=":material/model_training:")
            return
        gates = {one["run"]: one["gates"] for one in found}
        label = "Run, the one in production first"
        run = str(st.selectbox(label, gates, key="run", format_func=lambda one: f"{one}  (gates: {gates[one]})"))
        live = next((one["run"] for one in found if one["live"]), None)
        with told():
            shown = _shown(source().where, run, live)
            _card(shown)
            if may(ADMIN) and source().house_wide:
                _move(shown, live)
            _gates(shown)
            _figures(run)
        _history(changes)


@st.cache_data(show_spinner=False, max_entries=8)
def _shown(where: str, run: str, live: str | None) -> Shown:
    """Return a run's page; `live` is here so that a move is told at once."""
    return runs.shown(source().run(run))


@st.cache_data(show_spinner="Drawing ...", max_entries=8)
def _pictures(where: str, run: str) -> tuple[Picture, ...]:
    """Return a run's figures; drawn last, as the first take seconds."""
    return runs.pictures(source().run(run)["evaluation"])


def _card(found: Shown) -> None:
    state = ":green-badge[In production]" if found.live else ":gray-badge[Not in production]"
    st.markdown(f"{state} **{plain(found.run)}** {plain(f'finished {found.finished}')}")
    st.text("\n".join(found.figures))
    table(
        {"Card": [name for name, _ in found.card], "": [text for _, text in found.card]},
        "The model's card: what it is for, what it learnt from.",
    )


def _move(found: Shown, live: str | None) -> None:
    with st.expander("Promote or roll back", expanded=asked(MOVE) is not None):
        with st.form("move", border=False):
            why = st.text_input("Why", max_chars=200, help="Written into the history").strip()
            with st.container(horizontal=True):
                up = st.form_submit_button("Promote this run", disabled=found.live)
                back = st.form_submit_button("Roll back to the run before")
        if (up or back) and not why:
            st.error("Write why: it stands in the history.")
        elif up or back:
            ask(MOVE, (found.run if up else "", why))
    run, reason = asked(MOVE) or ("", "")
    yes = "Yes, promote it" if run else "Yes, roll back"
    answered(MOVE, runs.question(run, live), yes, lambda: _moved(run, reason))


def _moved(run: str, why: str) -> str:
    return source().promote(run, why) if run else source().rollback(why)


def _gates(found: Shown) -> None:
    st.subheader("Gates")
    columns = zip(*found.gates.rows, strict=True)
    table(dict(zip(found.gates.head, columns, strict=False)), "Gates: value, limit, verdict and why.")


def _figures(run: str) -> None:
    st.subheader("Figures")
    dark = st.context.theme.type == "dark"
    for picture in _pictures(source().where, run):
        st.image(pictures.svg_for(picture, dark=dark), caption=plain(picture.caption), alt=picture.alt, width=FIGURE)


def _history(changes: Sequence[Mapping[str, Any]]) -> None:
    st.subheader("History")
    table(runs.history(changes), "Every promotion, rollback and refusal, newest first.")
