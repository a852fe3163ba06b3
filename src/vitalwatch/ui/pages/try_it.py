"""Try: ask the models by hand."""

from __future__ import annotations

from typing import Any

import streamlit as st

from vitalwatch.tables import Profile
from vitalwatch.ui import charts, trying
from vitalwatch.ui.course import chart_rows
from vitalwatch.ui.pages.shell import chart, source, table, told
from vitalwatch.ui.plain import badge, number, plain

EXAMPLE = "62 63 61 64 66 65 63 62 61 60 62 64 66 70 75 79 82 85 84 86 88 87 89 90"
SEEN = {
    "unusual": ":orange-badge[Unusual]",
    "usual": ":green-badge[As usual]",
    "unknown": ":gray-badge[Not assessable]",
}


def show() -> None:
    """Show the page."""
    st.title("Try")
    if source().problem():
        st.caption("The forms answer as soon as there is a model.")
        return
    expected, unusual, forecast = st.tabs(["Expected heart rate", "Is this unusual?", "Forecast"])
    with expected, told():
        _expected()
    with unusual, told():
        _unusual()
    with forecast, told():
        _forecast()


def _profile(key: str) -> Profile:
    schema = source().schema.profile
    with st.container(horizontal=True, gap="medium"):
        age = st.number_input("Age (years)", 16, 120, 50, key=f"{key}-age", width=150)
        sex = st.selectbox("Sex", schema.sex, key=f"{key}-sex", width=150)
        height = st.number_input("Height (cm)", 100, 250, 170, key=f"{key}-height", width=150)
        weight = st.number_input("Weight (kg)", 25, 350, 70, key=f"{key}-weight", width=150)
        beta = st.selectbox("Beta blocker", ["no", "yes"], key=f"{key}-beta", width=150)
    return Profile(
        "form",
        float(age),
        str(sex),
        float(height),
        float(weight),
        medication=("beta_blocker",) if beta == "yes" else (),
    )


def _expected() -> None:
    st.caption("What the heart of such a person does in such a moment, after an hour of it.")
    with st.form("expected"):
        profile = _profile("expected")
        resting = st.number_input(
            "Own resting heart rate (bpm), if known", 30, 120, None, placeholder="not known", width=320
        )
        asked = st.form_submit_button("Predict", type="primary")
    if not asked:
        return
    found = source().expected(trying.moments(profile, resting))
    rows = [{"name": kind, "value": round(rate)} for kind, (rate, _) in zip(trying.KINDS, found, strict=True)]
    st.metric("Expected at rest", f"{rows[1]['value']} bpm", width=220)
    alt = "Expected heart rate: " + ", ".join(f"{row['name']} {row['value']} bpm" for row in rows) + "."
    chart(rows, charts.bars("Activity", "expected heart rate (bpm)"), alt, "expected-chart")
    spreads = [round(spread) for _, spread in found]
    columns = {"Activity": [row["name"] for row in rows], "Expected heart rate (bpm)": [row["value"] for row in rows]}
    table(columns | {"Usual spread around it (bpm)": spreads}, alt)
    if resting is not None:
        st.caption("Moved to the own resting heart rate.")


def _unusual() -> None:
    schema = source().schema
    st.caption(
        "Values that stay the same for a while, of somebody of whom no own days are known. "
        "Leave empty what was not measured."
    )
    with st.form("unusual"):
        profile = _profile("unusual")
        values: dict[str, float] = {}
        with st.container(horizontal=True, gap="medium"):
            for vital in schema.vitals:
                column = schema.columns[vital]
                low, high = map(float, column.possible)
                given = st.number_input(
                    f"{column.label} ({column.shown})",
                    low,
                    high,
                    72.0 if vital == "heart_rate" else None,
                    0.1 if column.unit == "Cel" else 1.0,
                    placeholder="not measured",
                    key=f"unusual-{vital}",
                    width=230,
                )
                if given is not None:
                    values[vital] = float(given)
        with st.container(horizontal=True, gap="medium"):
            kind = str(st.selectbox("Meanwhile", trying.KINDS, index=1, width=230))
            minutes = int(st.slider("For how long (minutes)", 5, trying.LONGEST, 30, 5, width=230))
        asked = st.form_submit_button("Judge", type="primary")
    if not asked:
        return
    readings = trying.steady(schema, {**values, **trying.activity(schema, kind)}, minutes, source().now())
    judged = source().judged(readings, profile)
    state, sentence = trying.verdict(judged)
    st.markdown(f"{SEEN[state]} {plain(sentence)}")
    for alarm in judged.alarms:
        st.markdown(f"{badge(str(alarm['priority']))} {plain(alarm['explanation'])}")
    _parts(trying.contributions(judged.course, schema))
    _warning(values)
    risks(trying.risk_words(judged.warning, schema))


def risks(told_of: list[str]) -> None:
    """Show an early warning, nothing where there is none."""
    if told_of:
        st.markdown("**Early warning in hospital**  \n" + "  \n".join(map(plain, told_of)))


def _parts(rows: list[tuple[str, str, str]]) -> None:
    if rows:
        table(
            {"Vital": [r[0] for r in rows], "Value": [r[1] for r in rows], "Against usual": [r[2] for r in rows]},
            "How far each vital is from usual, the farthest first.",
        )


def _warning(values: dict[str, float]) -> None:
    news = trying.warning_score(values, source().schema)
    if news.total is not None:
        st.markdown(
            f"**NEWS2 {news.total}** {plain(f'of {news.known} of {len(news.parts)} parts')} · {plain(news.band)}"
        )


def _forecast() -> None:
    schema = source().schema
    st.caption(f"Heart rates of the last hours, one every {schema.step_minutes} minutes, oldest first.")
    with st.form("forecast"):
        text = st.text_area(
            "Heart rates (bpm)", EXAMPLE, height=90, help="Numbers parted by spaces; - for not measured"
        )
        asked = st.form_submit_button("Forecast", type="primary")
    if not asked:
        return
    series = trying.series_of(text)
    if isinstance(series, str):
        st.error(plain(series))
        return
    judged = source().judged(trying.of_series(schema, series, source().now()), Profile("form"))
    if judged.ahead is None:
        st.info("Not assessable: too little was measured in the last two hours to forecast from.")
        return
    column = schema.columns["heart_rate"]
    alt = (
        "Forecast of the heart rate: "
        + "; ".join(_ahead(row) for row in judged.ahead.vitals.get("heart_rate", ()))
        + "."
    )
    chart(
        chart_rows(judged.course, "heart_rate", judged.ahead, step=schema.step_minutes),
        charts.vital(column.label, column.shown),
        alt,
        "forecast-chart",
    )
    rows = [row for row in trying.forecast_rows(judged.ahead, schema) if row["Vital"].startswith(column.label)]
    if rows:
        table({name: [row[name] for row in rows] for name in rows[0]}, alt)
    st.caption("Median, and the interval that holds 80 % of what comes.")


def _ahead(row: Any) -> str:
    minutes, low, middle, high = row
    return f"in {minutes} minutes {number(middle)}, {number(low)} to {number(high)} bpm"
