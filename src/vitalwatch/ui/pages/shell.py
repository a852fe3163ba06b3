"""What all pages share: who looks, the way to the source, the frame around a page, tables, notices, questions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from vitalwatch.errors import VitalsError
from vitalwatch.settings import Settings, load_settings
from vitalwatch.ui.here import Here
from vitalwatch.ui.pictures import NOTICE
from vitalwatch.ui.plain import plain
from vitalwatch.ui.source import CONFIG, DEMO, Source, source_of
from vitalwatch.ui.there import There

ICON = Path(__file__).parent.parent / "icon.svg"  # a named icon would be fetched from another machine
LIVE_SECONDS = 1.0  # an alarm is on the page within two seconds of the stream: this, and the time to draw
# the second line: what is read again does not fade meanwhile
STYLE = """<style>
[data-testid=stMainBlockContainer] { padding-top: 4.5rem; padding-bottom: 2rem; }
[data-stale=true] { opacity: 1 !important; transition: none !important; }
</style>"""
SOURCE, SETTINGS, PERSON = "source", "settings", "person"  # keys of the session


def run(root: Path) -> None:
    """Show the page that was asked for, in its frame."""
    from vitalwatch.ui.pages import data_quality, models, person, system, try_it, ward, your_data
    from vitalwatch.ui.pages.door import admitted, sign_in, sign_out

    st.set_page_config(page_title="vitalwatch", page_icon=str(ICON), layout="wide")
    st.html(STYLE)  # ours: no text of data is ever handed to st.html
    try:
        st.session_state[SETTINGS], opened = _opened(root)
        found, refused = (
            (opened, "") if isinstance(opened, Here) else admitted(opened, settings().config.page.token_header)
        )
    except VitalsError as error:
        st.title("vitalwatch")
        st.error(plain(error), icon=":material/error:")
        foot("")
        return
    pages = {
        "ward": st.Page(ward.show, title="Ward", icon=":material/groups:", default=True),
        # the first page has no address of its own: whoever asks for /ward finds it, too
        "ward-too": st.Page(ward.show, title="Ward", icon=":material/groups:", url_path="ward", visibility="hidden"),
        "person": st.Page(person.show, title="Person", icon=":material/person:", url_path="person"),
        "try": st.Page(try_it.show, title="Try", icon=":material/edit_note:", url_path="try"),
        "data": st.Page(your_data.show, title="Your data", icon=":material/upload_file:", url_path="your-data"),
        "models": st.Page(models.show, title="Models", icon=":material/schema:", url_path="models"),
        "quality": st.Page(data_quality.show, title="Data quality", icon=":material/rule:", url_path="data-quality"),
    }
    st.session_state["pages"] = pages
    # a visitor who has yet to sign in stays on the page they came for
    chosen = st.navigation(list(pages.values()), position="hidden" if found is None else "top")
    if found is None:
        sign_in(refused)
        foot("")
        return
    st.session_state[SOURCE] = found
    if demo := os.environ.get(DEMO, ""):
        st.caption(f":material/science: {plain(demo)}")
    with told():
        if problem := source().problem():
            st.warning(plain(problem), icon=":material/model_training:")
        elif fallback := source().fallback():
            st.warning(plain(fallback), icon=":material/history:")
        system.show()
        chosen.run()
    foot(source().where)
    sign_out()


@st.cache_resource(show_spinner="Opening the models ...")
def _opened(root: Path) -> tuple[Settings, Here | There]:
    config = os.environ.get(CONFIG, "")
    settings = load_settings(root, config=Path(config) if config else None)
    return settings, source_of(settings, st.get_option("server.address"))


def source() -> Source:
    """Return where everything comes from."""
    found: Source = st.session_state[SOURCE]
    return found


def may(scope: str) -> bool:
    """Return whether the one who looks may do what a scope stands for."""
    return scope in source().scopes


def settings() -> Settings:
    """Return the settings of the project."""
    found: Settings = st.session_state[SETTINGS]
    return found


def go_to_person(person: str) -> None:
    """Show a person's page."""
    st.session_state[PERSON] = person
    pages = st.session_state.get("pages")
    if pages:
        st.switch_page(pages["person"])


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Show what a block raises that is the reader's to mend."""
    try:
        yield
    except VitalsError as error:
        st.error(plain(error), icon=":material/error:")


def ask(key: str, what: Any) -> None:
    """Have a question asked before something is done; see `answered`."""
    st.session_state[f"asked-{key}"] = what


def asked(key: str) -> Any:
    """Return what waits for an answer, None where nothing does."""
    return st.session_state.get(f"asked-{key}")


def answered(key: str, question: str, yes: str, do: Callable[[], str]) -> None:
    """Ask, do it on a yes, and say what happened or why it did not."""
    if asked(key) is not None:
        st.warning(plain(question), icon=":material/help:")
        with st.container(horizontal=True):
            st.button(yes, key=f"yes-{key}", type="primary", on_click=_done, args=(key, do))
            st.button("Cancel", key=f"no-{key}", on_click=st.session_state.pop, args=(f"asked-{key}", None))
    if f"told-{key}" in st.session_state:
        good, sentence = st.session_state.pop(f"told-{key}")
        (st.success if good else st.error)(plain(sentence))


def _done(key: str, do: Callable[[], str]) -> None:
    st.session_state.pop(f"asked-{key}", None)
    try:
        st.session_state[f"told-{key}"] = True, do()
    except VitalsError as error:
        st.session_state[f"told-{key}"] = False, str(error)


def live(show: Callable[..., None]) -> Callable[..., None]:
    """Return a function that shows something and does so again every few seconds, without a reload of the page."""
    return st.fragment(run_every=LIVE_SECONDS)(show)


def table(columns: Mapping[str, Sequence[Any]], alt: str, **more: Any) -> Any:
    """Show columns as a table; cells are text, never HTML."""
    import pandas as pd

    return st.dataframe(pd.DataFrame(dict(columns)), hide_index=True, alt=alt, **more)


def chart(rows: Sequence[Mapping[str, Any]], spec: Mapping[str, Any], alt: str, key: str) -> None:
    """Show a chart; while its specification stays the same, its marks move in place."""
    import pandas as pd

    st.vega_lite_chart(pd.DataFrame(list(rows)), dict(spec), key=key, alt=alt, width="stretch")


def foot(where: str) -> None:
    """Say what this is not, and where its figures come from."""
    st.divider()
    st.caption(f"{plain(NOTICE)} {plain(f'Shown from {where}.') if where else ''}")
