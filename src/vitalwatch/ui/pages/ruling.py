"""Own rules of one person on the Person page: those there are, and a form for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitalwatch.alerting.alerts import PRIORITIES
from vitalwatch.errors import VitalsError
from vitalwatch.ui import own_rules
from vitalwatch.ui.own_rules import Comparison, Fields
from vitalwatch.ui.pages.shell import answered, ask, asked, source
from vitalwatch.ui.plain import badge, plain, sign

REMOVE, TOLD = "remove-rule", "told-own-rule"
NEW = ""  # a rule that there is not yet
SHOWN = {"error": st.error, "warning": st.warning, "info": st.info, "success": st.success}
Rules = Sequence[Mapping[str, Any]]


def show(who: str) -> None:
    """Show the own rules of a person and the form."""
    rules, mine = source().rules(who), source().personal(who)
    own = own_rules.written(rules)
    opened = TOLD in st.session_state or asked(REMOVE) is not None or f"told-{REMOVE}" in st.session_state
    with st.expander(f"Own rules of this person ({len(own)})", expanded=opened):
        st.caption(
            "For this person alone, beside the rules for everybody or in place of one of them. A rule is tried on what "
            "is stored of this person before it is saved, holds from the next reading on, and goes into the audit log."
        )
        for one in own:
            _existing(who, one)
        whose, name = asked(REMOVE) or (who, "")
        if whose != who:  # somebody else was chosen meanwhile
            ask(REMOVE, None)
        answered(REMOVE, f"Remove {own_rules.title(name)}?", "Yes, remove it", lambda: _removed(who, name))
        _form(who, rules, mine)
        if TOLD in st.session_state:
            kind, sentence = st.session_state.pop(TOLD)
            SHOWN[kind](plain(sentence))


def _existing(who: str, one: Mapping[str, Any]) -> None:
    with st.container(border=True, gap="small"):
        st.markdown(f"{badge(one['priority'])} **{plain(own_rules.title(one['name']))}** {plain(one['sentence'])}")
        with st.container(horizontal=True):
            st.button("Change", key=f"{who}-change-{one['name']}", on_click=_choose, args=(who, one["name"]))
            st.button("Remove", key=f"{who}-remove-{one['name']}", on_click=ask, args=(REMOVE, (who, one["name"])))


def _choose(who: str, name: str) -> None:
    st.session_state[f"{who}-own-rule"] = name


def _form(who: str, rules: Rules, mine: Mapping[str, Any]) -> None:
    """Show the fields of a rule; they follow what is chosen, so they are no form that waits for its button."""
    known = {one["name"]: one for one in (*own_rules.written(rules), *own_rules.replaceable(rules))}
    labels = {NEW: "A new rule"} | {name: _label(one) for name, one in known.items()}
    chosen = st.selectbox("Rule", list(labels), format_func=labels.__getitem__, key=f"{who}-own-rule")
    before = known[chosen]["rule"] if chosen in known else None
    fields = Fields() if before is None else own_rules.fields_of(before, mine, source().schema)
    wanted = own_rules.rule_of(_fields(f"{who}-{chosen}", fields), before)
    name = chosen or own_rules.next_name(mine.get("own", {}))
    with st.container(horizontal=True):
        st.button("Try on history", key=f"{who}-try-rule", on_click=_try, args=(who, name, wanted))
        st.button("Save rule", key=f"{who}-save-rule", type="primary", on_click=_save, args=(who, name, wanted, mine))


def _label(one: Mapping[str, Any]) -> str:
    named = own_rules.title(one["name"])
    return named if one in own_rules.written([one]) else f"In place of everybody's: {named}"


def _fields(key: str, told: Fields) -> Fields:
    joins = list(own_rules.JOINS)
    first = told.comparisons[0]
    found = [_comparison(f"{key}-0", first, "Alarm when")]
    join = st.selectbox(
        "Together with", joins, joins.index(told.join), format_func=own_rules.JOINS.__getitem__, key=f"{key}-join"
    )
    others = told.comparisons[1:] or (Comparison(vital="body_temperature"),)
    for i, one in enumerate(others if join else (), start=1):
        found.append(_comparison(f"{key}-{i}", one, own_rules.JOINS[join].capitalize()))
    places = st.columns(3)
    with places[0]:
        lasts = _choice("For at least", own_rules.LASTS, told.lasts, f"{key}-lasts")
    with places[1]:
        order = PRIORITIES[::-1]
        priority = st.selectbox("Priority", order, order.index(told.priority), format_func=sign, key=f"{key}-priority")
    with places[2]:
        quiet = _choice("Quiet afterwards", own_rules.QUIET, told.quiet, f"{key}-quiet")
    return Fields(tuple(found), join, lasts, str(priority), quiet)


def _comparison(key: str, told: Comparison, label: str) -> Comparison:
    schema, kinds = source().schema, list(own_rules.KINDS)
    places = st.columns([3, 3, 2, 2, 2])
    with places[0]:
        words = own_rules.KINDS.__getitem__
        kind = str(st.selectbox(label, kinds, kinds.index(told.kind), format_func=words, key=f"{key}-kind"))
    vital, above, over = told.vital, True, told.over
    if kind not in (own_rules.NEWS2, own_rules.PART):
        vitals = own_rules.vitals_of(kind, schema)
        with places[1]:
            index = vitals.index(told.vital) if told.vital in vitals else 0
            shown = lambda name: schema.columns[name].label  # noqa: E731 - two words
            vital = str(st.selectbox("Vital sign", vitals, index, format_func=shown, key=f"{key}-{kind}-vital"))
        with places[2]:
            side = st.selectbox("Is", ["above", "below"], 0 if told.above else 1, key=f"{key}-{kind}-side")
            above = side == "above"
    asked_for = Comparison(kind, vital, above, None, over)
    low, high, step, unit = own_rules.reach(asked_for, schema)
    as_told = (kind, vital, above) == (told.kind, told.vital, told.above) and told.at is not None
    at = told.at if as_told and told.at is not None else own_rules.start(asked_for, schema)
    at = min(max(at, low), high)
    digits = "%.1f" if step < 1 else "%.0f"
    number = f"{'At least' if kind in (own_rules.NEWS2, own_rules.PART) else 'Number'} ({unit})"
    with places[3]:
        value = st.number_input(
            number, low, high, at, step, key=f"{key}-{kind}-{vital}-{above}-at", format=digits, width="stretch"
        )
    if kind == own_rules.MEAN:
        with places[4]:
            over = _choice("Over the last", own_rules.OVER, told.over, f"{key}-over")
    return Comparison(kind, vital, above, float(value), over)


def _choice(label: str, known: Mapping[str, str], told: str, key: str) -> str:
    choices = own_rules.options(known, told)
    index = list(choices).index(own_rules.choice(choices, told))
    return str(st.selectbox(label, list(choices), index, format_func=choices.__getitem__, key=key))


def _try(who: str, name: str, rule: Mapping[str, Any]) -> None:
    try:
        wanted = own_rules.with_rule(source().personal(who), name, rule)
        few, sentence = own_rules.tried_words(source().try_personal(who, wanted), name)
        st.session_state[TOLD] = "info" if few else "warning", f"{sentence} Nothing is saved yet."
    except VitalsError as error:
        st.session_state[TOLD] = "error", str(error)


def _save(who: str, name: str, rule: Mapping[str, Any], drawn: Mapping[str, Any]) -> None:
    try:
        wanted = own_rules.with_rule(drawn, name, rule)
        few, sentence = own_rules.tried_words(source().set_personal(who, wanted, drawn), name)
        st.session_state[TOLD] = "success" if few else "warning", f"Saved: {own_rules.title(name)}. {sentence}"
    except VitalsError as error:
        st.session_state[TOLD] = "error", str(error)


def _removed(who: str, name: str) -> str:
    drawn = source().personal(who)
    source().set_personal(who, own_rules.with_rule(drawn, name, None), drawn)
    st.session_state.pop(f"{who}-own-rule", None)
    shared = "" if name not in {one["name"] for one in source().rules()} else " Everybody's rule holds again."
    return f"Removed: {own_rules.title(name)}.{shared}"
