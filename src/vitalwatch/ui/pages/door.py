"""The door of a page on an API that needs keys: who looks signs in with a key, or comes with a token.

The key is kept in this server's memory, as long as the browser's tab is open; it goes to the API and nowhere else.
"""

from __future__ import annotations

import streamlit as st

from vitalwatch.database.access import READ
from vitalwatch.ui.plain import plain
from vitalwatch.ui.there import SignedOut, There

KEY = "signed-in-key"  # of the session
MOST = 8192  # characters of a key or token


def admitted(api: There, token_header: str | None) -> tuple[There | None, str]:
    """Return the API for the one who looks, None where they must sign in first, and why what they have is not enough.

    Args:
        api: With the page's own key, if it has one.
        token_header: Header in which a proxy hands the visitor's token on.

    Raises:
        ApiError: The API does not answer.
    """
    key, refused = st.session_state.get(KEY, "") or _handed(token_header), ""
    try:
        found = (api.with_key(key) if key else api).known()
        if READ in found.scopes:
            return found, ""
        if found.scopes:
            refused = f"This key has no scope `{READ}`, so there is nothing to show. Sign in with another one."
    except SignedOut as error:
        refused = str(error)
    st.session_state.pop(KEY, None)
    return None, refused


def sign_out() -> None:
    """Show who is signed in, and the way out."""
    found = st.session_state.get("source")
    if not isinstance(found, There) or not found.visitor:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(plain(f"Signed in as {found.visitor}: {', '.join(sorted(found.scopes))}."), width="content")
        if KEY in st.session_state:
            st.button("Sign out", on_click=st.session_state.clear)


def sign_in(refused: str) -> None:
    """Ask for a key."""
    st.title("vitalwatch")
    if refused:
        st.error(plain(refused), icon=":material/lock:")
    with st.form("sign-in", width=460):
        st.markdown("**Sign in**")
        told = st.text_input("API key", type="password", autocomplete="off", max_chars=MOST)
        if st.form_submit_button("Sign in", type="primary") and told.strip():
            st.session_state[KEY] = told.strip()
            st.rerun()
    st.caption(
        "`python main.py keys make` makes one. What it may do decides what is shown; it is forgotten with this tab."
    )


def _handed(token_header: str | None) -> str:
    told = st.context.headers.get(token_header, "") if token_header else ""
    return str(told).removeprefix("Bearer ").strip()[:MOST]
