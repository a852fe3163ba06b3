"""Your data: upload a recording or take the sample, and see what the models say of it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from vitalwatch.ui import charts, person, stretches, trying, upload
from vitalwatch.ui.course import chart_rows
from vitalwatch.ui.pages.shell import chart, settings, source, table, told
from vitalwatch.ui.plain import plain
from vitalwatch.ui.upload import Models, Told, Uploaded

SHOWN = "uploaded"  # key of the session


def show() -> None:
    """Show the page."""
    st.title("Your data")
    st.caption(
        "Fitbit or Fitabase CSV, or any format of the README (wide CSV, Parquet, JSON Lines, PhysioNet, WFDB). "
        "Files are read on this machine, in a process with limits, and are not kept."
    )
    if source().problem():
        st.info("Needs a run. `python main.py` makes one.", icon=":material/model_training:")
        return
    models = source().models()
    if models is None:
        st.caption(
            f"Judged by the API, {stretches.MOST:,} time steps ({days():.0f} days) at a time, as one recording. Sent "
            "there are summaries by time step, without names; the API keeps none of them."
        )
    files = st.file_uploader("Files of one recording", upload.SUFFIXES, accept_multiple_files=True, key="files")
    with st.container(horizontal=True):
        read = st.button("Read the files", type="primary", disabled=not files)
        sample = st.button("Use the sample", help="Two weeks of one synthetic person")
    if read or sample:
        given = upload.sample(settings()) if sample else {file.name: file.getvalue() for file in files}
        st.session_state.pop(SHOWN, None)
        with told(), st.spinner("Reading ..."):
            st.session_state[SHOWN] = _read(given, models)
    if SHOWN in st.session_state:
        _show(st.session_state[SHOWN])


def days() -> float:
    """Return how long a stretch is."""
    return stretches.MOST / source().schema.steps_per_day


def _read(given: Mapping[str, bytes], models: Models | None) -> Told:
    if models is None:
        return upload.read_there(given, source().judged, settings(), source().now())
    return upload.read(given, models, settings().root, source().now())


def _show(found: Told) -> None:
    books = found.books
    refused = sum(books["rejected"].values())
    with st.container(horizontal=True, gap="medium"):
        for label, value in (
            ("Rows read", books["read"]),
            ("Accepted", books["accepted"]),
            ("Duplicates", books["duplicate"]),
            ("Refused", refused),
            ("Person-days", books["person_days"]),
        ):
            st.metric(label, f"{value:,}", width=140)
    for reason, count in books["rejected"].items():
        st.text(f"{count:,} refused: {reason.replace('_', ' ')}")
    for note in books["notes"]:
        st.text(note)
    if books["left_out"]:
        st.info(f"{books['left_out']} more people are not shown here. `python main.py score` has no such limit.")
    with st.container(horizontal=True):
        st.download_button(
            "Download the report (HTML)",
            found.report,
            "vitalwatch-report.html",
            "text/html",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Download the alarms (CSV)",
            upload.alarms_csv(found.people),
            "vitalwatch-alarms.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
    if not found.people:
        return
    names = [one.course.person for one in found.people]
    chosen = st.selectbox("Person", names, key="uploaded-person") if len(names) > 1 else names[0]
    _person(found.people[names.index(chosen)])


def _person(one: Uploaded) -> None:
    schema = source().schema
    st.subheader(plain(one.course.person))
    judged, own = (count / max(one.rows, 1) for count in (one.assessable, one.own))
    st.text(f"{judged:.0%} of {one.rows:,} moments could be judged, {own:.0%} against own days.")
    if one.assessable == 0:
        st.warning("Not assessable: too little was measured to judge any moment.")
    worn = ", ".join(f"{row['day']} {row['share']:.0%}" for row in one.coverage)
    st.markdown("**Coverage**")
    chart(one.coverage, charts.coverage(), f"Share of each day in which the device was worn: {worn}.", "coverage")
    st.markdown(f"**Anomalies and forecast**, last {upload.SAMPLE_DAYS} days at most")
    st.caption("Blue: measured. Light band: usual. Orange: forecast. Red mark: unusual moment. Strip: alarm.")
    for vital in person.present(one.course):
        column = schema.columns[vital]
        alarms = one.alarms if vital == "heart_rate" else ()
        rows = chart_rows(one.course, vital, one.ahead, alarms, step=schema.step_minutes)
        chart(
            rows,
            charts.vital(column.label, column.shown, height=240 if vital == "heart_rate" else 130),
            person.alt(one.course, vital, schema),
            f"uploaded-{vital}",
        )
    st.markdown(f"**Alarms ({len(one.alarms)})**")
    if one.alarms:
        told_of = [{**alarm, "rule": alarm["channel"]} for alarm in one.alarms]
        table(
            person.alarm_table(told_of[::-1], source().now(), one.course.offset), "Alarms: priority, what, when, why."
        )
    if one.ahead is not None:
        st.markdown("**Forecast from the newest reading**")
        rows = trying.forecast_rows(one.ahead, schema)
        table({name: [row[name] for row in rows] for name in rows[0]}, "Forecast of each vital by minutes ahead.")
