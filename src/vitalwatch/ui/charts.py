"""Charts as Vega-Lite specifications: plain data, so that a test can read them.

A chart's specification never changes while its rows do: the page then moves the marks in place, without a flicker.
All of a chart's rows stand in one table; `what` says which layer a row belongs to. Times are on the person's own clock.
"""

from __future__ import annotations

from typing import Any

BLUE, SKY, ORANGE, RED, GREY = "#2f7fc1", "#6fb4e8", "#d9822b", "#c8442f", "#8a949e"
ALARMS = {"high": RED, "medium": ORANGE, "low": SKY}
Spec = dict[str, Any]


def vital(label: str, unit: str, *, height: int = 220, points: bool = False) -> Spec:
    """Return the chart of one vital: usual band, measured line, forecast fan, unusual moments, alarms.

    Rows: `what` usual (time, low, high), measured (time, value), forecast (time, low, middle, high), unusual (time,
    value), alarm (time, end, priority, sign, mark), change (time, sign): another medicine or device. With `points`
    each value is a point, too: of a cuff, one reading alone is no line.
    """
    time = _time("time")
    axis = {"tickCount": 4, "labelOverlap": True}
    y = {"type": "quantitative", "title": None, "scale": {"zero": False, "nice": True}, "axis": axis}
    band = {"x": time, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    moment = {
        "field": "time",
        "type": "temporal",
        "title": "time",
        "format": "%a %d %b %H:%M",
        "scale": {"type": "utc"},
    }
    value = {"field": "value", "type": "quantitative", "title": unit, "format": ".1f"}
    point = {"x": time, "y": {**y, "field": "value"}, "tooltip": [moment, value]}
    middle = {"x": time, "y": {**y, "field": "middle"}}
    dashed = {"type": "line", "color": ORANGE, "strokeDash": [5, 3], "point": {"size": 22, "color": ORANGE}}
    line: Spec = {"type": "line", "color": BLUE, "strokeWidth": 1.6}
    if points:
        line["point"] = {"size": 18, "color": BLUE}
    diamond = {"type": "point", "shape": "diamond", "filled": True, "size": 14, "color": RED, "opacity": 0.9}
    beside = {"align": "right", "baseline": "top", "dx": -4, "fontSize": 10, "color": GREY}
    marks = {"type": "text", "align": "left", "baseline": "bottom", "fontSize": 11, "fontWeight": 700, "color": GREY}
    layers = [
        _layer("usual", {"type": "area", "color": SKY, "opacity": 0.28}, band),
        _layer("forecast", {"type": "area", "color": ORANGE, "opacity": 0.3}, band),
        _layer("measured", line, point),
        _layer("forecast", dashed, middle),
        _layer("unusual", diamond, point),
        _layer("change", {"type": "rule", "color": GREY, "strokeDash": [6, 4], "strokeWidth": 1.5}, {"x": time}),
        _layer("change", {"type": "text", **beside}, {"x": time, "y": {"value": 4}, "text": {"field": "sign"}}),
        _strips(time),
        _layer("alarm", marks, {"x": time, "y": {"value": {"expr": "height - 8"}}, "text": {"field": "mark"}}),
    ]
    title = {"text": f"{label} ({unit})", "anchor": "start", "frame": "group", "fontSize": 13, "fontWeight": 500}
    return {"title": title, "height": height, "layer": layers, "config": {"view": {"stroke": None}}}


def bars(title: str, axis: str, *, height: int = 200) -> Spec:
    """Return horizontal bars; rows: name, value."""
    return {
        "height": height,
        "mark": {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "title": None,
                "sort": None,
                "axis": {"labelLimit": 240, "labelOverlap": False},
            },
            "x": {"field": "value", "type": "quantitative", "title": axis, "axis": {"tickMinStep": 1, "tickCount": 6}},
            "tooltip": [{"field": "name", "title": title}, {"field": "value", "title": axis}],
        },
    }


def coverage(*, height: int = 170) -> Spec:
    """Return the share of each day in which the device was worn; rows: day (text), share (0 to 1)."""
    days = {"field": "day", "type": "ordinal", "title": None, "sort": None}
    share = {"field": "share", "type": "quantitative", "title": "worn", "scale": {"domain": [0, 1]}}
    return {
        "height": height,
        "mark": {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2},
        "encoding": {
            "x": {**days, "axis": {"labelAngle": 0, "labelOverlap": True}},
            "y": {**share, "axis": {"format": "%"}},
            "tooltip": [{"field": "day"}, {"field": "share", "format": ".0%"}],
        },
    }


def _layer(what: str, mark: Spec, encoding: Spec) -> Spec:
    return {"transform": [{"filter": f"datum.what == '{what}'"}], "mark": mark, "encoding": encoding}


def _strips(time: Spec) -> Spec:
    colours = {"domain": list(ALARMS), "range": list(ALARMS.values())}
    encoding = {
        "x": time,
        "x2": {"field": "end"},
        "y": {"value": {"expr": "height - 4"}},  # of what the axis leaves of the chart
        "color": {"field": "priority", "type": "nominal", "scale": colours, "legend": None},
        "tooltip": [{"field": "sign", "type": "nominal", "title": "alarm"}],
    }
    return _layer("alarm", {"type": "rule", "strokeWidth": 8}, encoding)


def _time(field: str) -> Spec:
    midnight = "utchours(datum.value) == 0 && utcminutes(datum.value) == 0"
    label = f"{midnight} ? utcFormat(datum.value, '%a %d %b') : utcFormat(datum.value, '%H:%M')"
    axis = {"title": None, "labelOverlap": True, "tickCount": 8, "labelExpr": label}
    return {"field": field, "type": "temporal", "scale": {"type": "utc"}, "axis": axis}
