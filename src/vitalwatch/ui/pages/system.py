"""What is wrong with the system itself, above every page: nobody is watched, an old run answers, a receiver is deaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from vitalwatch.alerting.alerts import ACKNOWLEDGE, ACKNOWLEDGED
from vitalwatch.database.access import ACK
from vitalwatch.errors import VitalsError
from vitalwatch.ui.pages.shell import live, may, source, told
from vitalwatch.ui.plain import age, badge, plain

REFUSED = "system-refused"  # key of the session


@live
def show() -> None:
    """Show the open alarms about the system; nothing where there are none."""
    with told():
        if REFUSED in st.session_state:
            st.error(plain(st.session_state.pop(REFUSED)), icon=":material/error:")
        for alarm in source().system():
            _alarm(alarm, source().now())


def _alarm(alarm: Mapping[str, Any], now: int) -> None:
    taken = alarm["state"] == ACKNOWLEDGED
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"system-{alarm['id']}"):
        since = f"for {age(0, max(now - int(alarm['start']), 0))}"
        st.markdown(f"{badge(alarm['priority'])} **The system:** {plain(alarm['explanation'])} · {plain(since)}")
        if taken:
            st.caption("acknowledged", width="content")
        elif may(ACK) and source().house_wide:
            key = f"system-acknowledge-{alarm['id']}"
            st.button("Acknowledge", key=key, on_click=_acknowledge, args=(str(alarm["id"]),))
        else:
            st.caption("A key of all wards acknowledges it.", width="content")


def _acknowledge(alarm: str) -> None:
    try:
        source().act(alarm, ACKNOWLEDGE)
    except VitalsError as error:
        st.session_state[REFUSED] = str(error)
