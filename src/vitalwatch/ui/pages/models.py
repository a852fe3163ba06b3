"""Models: what a run is and does, and which one is in production."""

from __future__ import annotations

import streamlit as st

from vitalwatch.ui import pictures, runs
from vitalwatch.ui.pages.shell import settings, source, store, table, told
from vitalwatch.ui.plain import plain
from vitalwatch.ui.runs import Shown

FIGURE = 760  # pixels; less where the screen is narrower


def show() -> None:
    """Show the page."""
    st.title("Models")
    names = runs.names(store())
    if not names:
        st.info(
            "There is no run in the artifacts folder of this machine. `python main.py` makes one.",
            icon=":material/model_training:",
        )
        return
    run = str(st.selectbox("Run, the one in production first", names, key="run"))
    with told():
        found = _shown(run, store().production())
        _card(found)
        if source().admin:
            _move(found)
        _figures(found)
    _history()


@st.cache_data(show_spinner="Drawing ...", max_entries=8)
def _shown(run: str, live: str | None) -> Shown:
    """Return a run's page; `live` is here so that a move is told at once."""
    return runs.shown(store(), run)


def _card(found: Shown) -> None:
    state = ":green-badge[In production]" if found.live else ":gray-badge[Not in production]"
    st.markdown(f"{state} **{plain(found.run)}** {plain(f'finished {found.finished}')}")
    st.text("\n".join(found.figures))
    table(
        {"Card": [name for name, _ in found.card], "": [text for _, text in found.card]},
        "The model's card: what it is for, what it learnt from.",
    )


def _move(found: Shown) -> None:
    with st.expander("Promote or roll back"), st.form("move", border=False):
        why = st.text_input("Why", max_chars=200, help="Written into the history")
        with st.container(horizontal=True):
            up = st.form_submit_button("Promote this run", disabled=found.live)
            back = st.form_submit_button("Roll back to the run before")
        with told():
            if up:
                st.session_state["moved"] = runs.promote(store(), settings(), found.run, why)
                st.rerun()
            if back:
                st.session_state["moved"] = runs.rollback(store(), why)
                st.rerun()
    if "moved" in st.session_state:
        st.success(plain(st.session_state.pop("moved")))


def _figures(found: Shown) -> None:
    st.subheader("Gates")
    columns = zip(*found.gates.rows, strict=True)
    table(dict(zip(found.gates.head, columns, strict=False)), "Gates: value, limit, verdict and why.")
    st.subheader("Figures")
    dark = st.context.theme.type == "dark"
    for picture in found.pictures:
        st.image(pictures.svg_for(picture, dark=dark), caption=plain(picture.caption), alt=picture.alt, width=FIGURE)


def _history() -> None:
    st.subheader("History")
    changes = runs.history(store())
    told_of = {"When": "at", "What": "what", "Run": "run", "Why": "why", "Who": "who"}
    rows = {label: [getattr(change, name) for change in changes] for label, name in told_of.items()}
    table(rows, "Every promotion, rollback and refusal, newest first.")
