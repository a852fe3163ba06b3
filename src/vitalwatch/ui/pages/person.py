"""Person: vitals in the person's own normal, forecast, alarms with why, NEWS2, own limits and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitalwatch.alerting.alerts import DISCHARGE
from vitalwatch.clinical import oxygen
from vitalwatch.database.access import ACK
from vitalwatch.database.changes import DEVICE, MEDICATION
from vitalwatch.errors import VitalsError
from vitalwatch.tables import DAY
from vitalwatch.ui import charts, person, pictures, trying, ward
from vitalwatch.ui.course import CHANGED, Ahead, Course, chart_rows
from vitalwatch.ui.pages import personal, ruling
from vitalwatch.ui.pages.shell import PERSON, answered, ask, asked, chart, live, may, source, table, told
from vitalwatch.ui.pages.try_it import risks
from vitalwatch.ui.plain import age, badge, clock, plain, span, words
from vitalwatch.ui.ward import Line

SPANS = {"6 h": DAY // 4, "24 h": DAY, "3 days": 3 * DAY, "7 days": 7 * DAY}
ACTIONS = (  # action, label, what it does
    ("acknowledge", "Acknowledge", "I take this on; it stays visible and comes back if it goes on"),
    ("snooze", "Snooze", "Silent for a while; it stays visible"),
    ("escalate", "Escalate", "Call the next one"),
    ("resolve", "Resolve", "Close it. If it goes on, it stays here silently and alarms again by itself"),
)
CHANGE = "change"
CUFF = ("blood_pressure_systolic", "blood_pressure_diastolic")  # read now and then: each reading is a point
LARGE, REFUSED = "heart_rate", "refused"  # the latter: key of the session
MOST_ALARMS = 3  # shown before the rest is folded


def show() -> None:
    """Show the page."""
    everybody = source().people(discharged=True)
    found = {one.person: one for one in ward.lines(everybody, source().schema, source().now())}
    st.title("Person")
    if not found:
        st.info("Nobody has sent a reading yet. `make demo` shows simulated people.", icon=":material/sensors_off:")
        return
    chosen = _chosen(found)
    st.session_state[PERSON] = chosen
    with told():
        _live(chosen, SPANS[_span()])
        if may(ACK):
            personal.show(chosen)
            ruling.show(chosen)
            _change(chosen)
            _discharge(chosen, found[chosen])
        else:
            _limits_told(chosen)
        _picture(chosen, found[chosen].name)


def _chosen(found: Mapping[str, Line]) -> str:
    names = list(found)
    before = str(st.session_state.get(PERSON, ""))
    index = names.index(before) if before in found else 0
    label = "Person, worst first"
    return str(st.selectbox(label, names, index=index, format_func=lambda one: _label(found[one])))


def _label(one: Line) -> str:
    return f"{one.sign}  {one.name}".strip()


def _span() -> str:
    return str(st.segmented_control("How far back", list(SPANS), default="24 h", required=True, key="span"))


@live
def _live(who: str, back: int) -> None:
    with told():
        now, schema = source().now(), source().schema
        everybody = ward.lines(source().people(discharged=True), schema, now)
        line = next((one for one in everybody if one.person == who), None)
        if line is None:
            st.warning("This person is not here any more.")
            return
        course = source().course(who, now - back, now + DAY)
        ahead, alarms = source().ahead(who), source().alarms(who)
        # always the same boxes: what stands in one may come and go without the charts below being drawn anew
        head, vitals, alerts, drawn, foreseen, score, past = (st.container() for _ in range(7))
        with head:
            _head(line, course, now)
        with alerts:
            _alarms(alarms, now, course.offset)
        with past:
            _past(alarms, now, course.offset)
        if not len(course):
            vitals.info("Nothing was measured in this time. Choose a longer one.", icon=":material/search_off:")
            return
        with vitals:
            _vitals(course)
        with drawn:
            _charts(course, ahead, alarms)
        with foreseen:
            _forecast(ahead, course.offset)
        with score:
            _news(who, course)
            risks(trying.risk_words(source().warning(who), schema))


def _head(line: Line, course: Course, now: int) -> None:
    old = "never" if line.age is None else f"{age(0, line.age)} ago"
    if line.stale:
        st.warning(
            f"Stale: the newest data are from {old}. Look at the person, not at this page.", icon=":material/history:"
        )
    elif line.state == "discharged":
        st.info(
            "Discharged: nobody waits for readings. The next one brings this person back.", icon=":material/logout:"
        )
    elif line.state == "not_worn":
        st.info(
            f"Not worn: nothing was measured for {old.removesuffix(' ago')}. No alarm can come.",
            icon=":material/watch_off:",
        )
    own = bool(course.own_baseline and course.own_baseline[-1])
    whose = "own normal is known" if own else "own normal is not known yet: the population's holds"
    st.markdown(
        f"{badge(line.priority)} **{plain(line.name)}** {plain(ward.STATES[line.state])} · newest data {old} · {whose}"
    )


def _vitals(course: Course) -> None:
    with st.container(horizontal=True, gap="small"):
        for name, value, far in person.vitals(course, source().schema):
            st.metric(
                plain(name),
                plain(value),
                delta=plain(far),
                delta_color="off",
                delta_arrow="off",
                width=170,
                border=True,
            )


def _alarms(alarms: list[Mapping[str, Any]], now: int, offset: int) -> None:
    now_open = person.open_alarms(alarms)
    st.subheader(f"Alarms ({len(now_open)} open)")
    if REFUSED in st.session_state:
        st.error(plain(st.session_state.pop(REFUSED)), icon=":material/error:")
    if not now_open:
        st.caption("No open alarm.")
    for alarm in now_open[:MOST_ALARMS]:
        _alarm(alarm, now, offset)
    if len(now_open) > MOST_ALARMS:
        with st.expander(f"{len(now_open) - MOST_ALARMS} more open alarms"):
            for alarm in now_open[MOST_ALARMS:]:
                _alarm(alarm, now, offset)


def _alarm(alarm: Mapping[str, Any], now: int, offset: int) -> None:
    with st.container(border=True, gap="small"):
        when = span(alarm["start"], alarm["end"], now, offset)
        told_of = f"**{plain(person.title(alarm))}** · {plain(when)} · {plain(person.state(alarm))}"
        st.markdown(f"{badge(alarm['priority'])} {told_of}")
        st.text(alarm["explanation"])
        if not may(ACK):
            return
        with st.container(horizontal=True):
            for action, label, about in ACTIONS:
                quiet = action == "acknowledge" and alarm["state"] == "acknowledged"
                key, wanted = f"{action}-{alarm['id']}", (alarm["id"], action)
                st.button(label, key=key, help=about, disabled=quiet, on_click=_act, args=wanted)


def _act(alarm: str, action: str) -> None:
    """Do what a button says, before what it changes is shown."""
    try:
        source().act(alarm, action)
    except VitalsError as error:
        st.session_state[REFUSED] = str(error)


def _past(alarms: list[Mapping[str, Any]], now: int, offset: int) -> None:
    if past := person.over(alarms):
        with st.expander(f"Alarms that are over ({len(past)})"):
            table(person.alarm_table(past, now, offset), "Alarms that are over: priority, what, when, why.")


def _charts(course: Course, ahead: Ahead | None, alarms: list[Mapping[str, Any]]) -> None:
    st.subheader("Vitals")
    st.caption(
        "Blue line: measured. Light band: what the monitor calls normal for this person, two own spreads around the "
        "centre: in this very moment (heart rate), or asleep, at rest, active (the others). Orange: forecast, median "
        "and 80 % interval. Red mark: unusual moment. Strip below the heart rate: alarm, \\*\\*\\* high, \\*\\* "
        "medium, \\* low. Dashed line: other medication or device."
    )
    for at, kind in course.changes:
        when = plain(clock(at, course.offset))
        st.caption(f":material/restart_alt: {when}: {CHANGED[kind]}. Own normal begins anew there.")
    present = person.present(course)
    if LARGE in present:
        _chart(course, LARGE, ahead, alarms, 260)
    others = [vital for vital in present if vital != LARGE]
    for left in range(0, len(others), 2):
        for column, vital in zip(st.columns(2), others[left : left + 2], strict=False):
            with column:
                _chart(course, vital, ahead, (), 170)


def _chart(course: Course, vital: str, ahead: Any, alarms: Any, height: int) -> None:
    column = source().schema.columns[vital]
    rows = chart_rows(course, vital, ahead, alarms, step=source().schema.step_minutes)
    # a description that changed would have the chart drawn anew: what changes is said below it
    alt = f"Chart of {column.label.lower()} in {column.shown}; the line below says it in words."
    spec = charts.vital(column.label, column.shown, height=height, points=vital in CUFF)
    chart(rows, spec, alt, f"chart-{vital}")
    st.caption(plain(person.alt(course, vital, source().schema)))


def _forecast(ahead: Ahead | None, offset: int) -> None:
    st.subheader("Forecast")
    if ahead is None:
        st.caption("No forecast: there is no model, or too little was measured in the last two hours.")
        return
    rows = trying.forecast_rows(ahead, source().schema)
    st.caption(f"Made at {plain(clock(ahead.time, offset))}: median, and the interval that holds 80 % of what comes.")
    table({name: [row[name] for row in rows] for name in rows[0]}, "Forecast of each vital by minutes ahead.")


def _news(who: str, course: Course) -> None:
    st.subheader("NEWS2")
    personal = source().personal(who)
    with st.container(horizontal=True, gap="large"):
        given = st.radio("Oxygen", ["Not told", "Air", "Oxygen"], horizontal=True, key="news-oxygen", width="content")
        awake = st.radio(
            "Consciousness", ["Not told", "Alert", "C, V, P or U"], horizontal=True, key="news-awake", width="content"
        )
    scale, on_oxygen = oxygen(personal, given=None if given == "Not told" else given == "Oxygen")
    told = trying.warning_score(
        person.newest(course),
        source().schema,
        scale=scale,
        oxygen=on_oxygen,
        alert=None if awake == "Not told" else awake == "Alert",
    )
    if told.total is None:
        st.caption("Not assessable: none of its vitals was measured lately.")
    else:
        part = " points" if told.known == len(told.parts) else f" points from {told.known} of {len(told.parts)} parts"
        st.markdown(f"**{told.total}**{plain(part)} · {plain(told.band)} · SpO2 scale {scale}")
    rows = told.parts
    table(
        {"Part": [r[0] for r in rows], "Newest": [r[1] for r in rows], "Points": [r[2] for r in rows]},
        "NEWS2 by part: newest value and points.",
    )
    st.caption(
        "Royal College of Physicians, National Early Warning Score 2 (2017). Not for people under 16 nor in pregnancy."
    )


def _limits_told(who: str) -> None:
    """Show own limits to somebody who may not set them."""
    told_of = person.limit_rows(source().personal(who), source().rules(who), source().schema)
    with st.expander("Limits and rules of this person"):
        if told_of:
            table({"Limit": [r[0] for r in told_of], "Set to": [r[1] for r in told_of]}, "Own limits and rules.")
        st.caption(f"{'' if told_of else 'Nobody set any. '}A key with the scope `{ACK}` may change them.")


def _change(who: str) -> None:
    with st.expander("Other medication or device", expanded=asked(CHANGE) is not None):
        st.caption(
            "From now on what was normal before counts no more: the population's normal holds until enough own days "
            "are there again. Written to the audit log."
        )
        known = source().profile(who)
        codes = source().schema.profile.medication
        before = [code for code in known["medication"] if code in codes]
        taken = st.multiselect("Medication now", codes, before, format_func=words, key=f"{who}-medication")
        with st.container(horizontal=True):
            st.button("Medication changed", on_click=ask, args=(CHANGE, (who, MEDICATION, taken)))
            st.button("Device changed", on_click=ask, args=(CHANGE, (who, DEVICE, None)))
    whom, kind, medication = asked(CHANGE) or (who, DEVICE, None)
    question = f"Begin this person's own normal anew, for their {CHANGED[kind]}?"
    answered(CHANGE, question, "Yes, begin anew", lambda: _changed(whom, kind, medication))


def _changed(who: str, kind: str, medication: Sequence[str] | None) -> str:
    source().change(who, kind, medication)
    return f"Written down: {CHANGED[kind]}. Own normal begins anew with the next reading."


def _discharge(who: str, line: Line) -> None:
    with st.expander("Discharge", expanded=asked(DISCHARGE) is not None):
        st.caption(
            "Closes technical alarms, waits for no readings, and takes this person off the ward. Alarms that nobody "
            "has acknowledged stay. A reading that comes brings them back. Written to the audit log."
        )
        gone = line.state == "discharged"
        st.button("Discharge this person", disabled=gone, on_click=ask, args=(DISCHARGE, (who, line.name)))
    whom, name = asked(DISCHARGE) or (who, line.name)
    answered(DISCHARGE, f"Discharge {name}?", "Yes, discharge", lambda: _discharged(whom))


def _discharged(who: str) -> str:
    source().discharge(who)
    return "Discharged. The ward shows this person only on demand, or while an alarm is open."


def _picture(who: str, name: str) -> None:
    here, back = source(), SPANS[st.session_state.get("span") or "24 h"]

    def drawn() -> bytes:
        now = here.now()
        course = here.course(who, now - back, now + DAY)
        return pictures.person_png(course, here.schema, name, here.alarms(who), here.ahead(who))

    st.download_button(
        "Download a picture (PNG)",
        drawn,
        file_name="vitals.png",
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
    )
