"""Data quality: what was refused and why, another try, what alarms cost, and whether people look as in training."""

from __future__ import annotations

import streamlit as st

from vitalwatch.database.access import ADMIN
from vitalwatch.tables import DAY
from vitalwatch.ui import charts, quality
from vitalwatch.ui.pages.shell import answered, ask, asked, chart, may, source, table, told
from vitalwatch.ui.plain import plain

REPLAY = "replay"
SPANS = {"24 hours": 1, "7 days": 7, "30 days": 30}
MOST_PEOPLE = 50  # whose newest day is compared with training


def show() -> None:
    """Show the page."""
    st.title("Data quality")
    with told():
        _refused()
    with told():
        _burden()
    with told():
        _drift()


def _refused() -> None:
    st.subheader("Refused readings")
    found = source().refused()
    if not found.counts:
        answered(REPLAY, "", "", str)  # what a replay came to that left none
        st.caption("None is kept. What cannot be right is refused with a reason and kept here until it is mended.")
        return
    reasons = quality.by_reason(found.counts)
    rows = [{"name": reason.replace("_", " "), "value": count} for reason, count, _ in reasons]
    alt = "Refused readings by reason: " + ", ".join(f"{row['name']} {row['value']}" for row in rows) + "."
    chart(rows, charts.bars("Reason", "refused readings", height=40 + 34 * len(rows)), alt, "reasons")
    table(
        {
            "Reason": [r.replace("_", " ") for r, _, _ in reasons],
            "Count": [n for _, n, _ in reasons],
            "What it means": [m for _, _, m in reasons],
        },
        alt,
    )
    with st.expander("The newest, without what was sent"):
        newest = quality.listed(found.refused, source().now())
        table(
            {name: [row[name] for row in newest] for name in newest[0]},
            "The newest refused readings: age, reason, source, place.",
        )
    if may(ADMIN):
        _replay(sum(found.counts.values()))


def _replay(count: int) -> None:
    about = "After the cause was mended: what is accepted now is taken in and scored"
    st.button("Run them through the rules again", help=about, on_click=ask, args=(REPLAY, count))
    question = f"Run {asked(REPLAY) or 0:,} refused readings through today's rules again? What is accepted is taken in."
    answered(REPLAY, question, "Yes, run them", lambda: quality.replayed(source().replay()))


def _burden() -> None:
    st.subheader("What alarms cost")
    days = SPANS[str(st.segmented_control("Alarms of", list(SPANS), default="7 days", required=True, key="burden"))]
    found = source().burden(days)
    if not found["alerts"]:
        st.caption("No alarm sounded in this time.")
        return
    with st.container(horizontal=True, gap="medium"):
        for label, value in quality.burden_figures(found):
            st.metric(plain(label), plain(value), width=150, border=False)
    rows = quality.burden_table(found["rules"])
    table(rows, "What the alarms of each rule cost: how many, acknowledged, minutes until then, came back, escalated.")
    st.caption(
        "Wait: from the alarm to the first acknowledgement. A rule that many never acknowledge, or that comes back by "
        "itself, trains people to look away: change it for the person whom it is about (page Person), or for everybody "
        "in rules.yaml, tried first by `alarms replay`."
    )


def _drift() -> None:
    st.subheader("Drift")
    st.caption(
        "Do people still look as in training? Were it so, each tenth of the unusualness would hold a tenth of the "
        "moments of the last 24 hours, and half of all values would lie within 0.67 own spreads of usual."
    )
    people, now = source().people()[:MOST_PEOPLE], source().now()
    found = quality.drift([source().course(one.person, now - DAY, now + DAY) for one in people], source().schema)
    if found.index is None:
        st.text(found.verdict)
    else:
        told_of = f"stability index {found.index:.2f} from {found.rows:,} moments of {len(people)} people"
        st.markdown(f"**{plain(found.verdict.capitalize())}** · {plain(told_of)} (below 0.1 stable, above 0.25 moved)")
        rows = [
            {"name": f"{i * 10}-{i * 10 + 10} %", "value": round(100 * share, 1)}
            for i, share in enumerate(found.shares)
        ]
        alt = (
            "Share of moments by tenth of unusualness: "
            + ", ".join(f"{row['name']} {row['value']} %" for row in rows)
            + "."
        )
        chart(rows, charts.bars("Tenth", "share of moments (%)", height=260), alt, "drift")
    if found.vitals:
        table(
            {
                "Vital": [v[0] for v in found.vitals],
                "Median, own spreads from usual": [v[1] for v in found.vitals],
                "Share beyond 2 spreads": [v[2] for v in found.vitals],
            },
            "Distance of each vital from usual.",
        )
