"""Two protocols of the ecosystem in front of the same answers: Open Inference Protocol 2, and KServe's forecasts.

KServe's `frequency` has no multiple (minute, not five minutes): a series is taken as readings that often, summarised to
our grid like any others; answers are told in the same frequency, drawn straight between the minutes that are forecast.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitalwatch.api import answers
from vitalwatch.api.asking import ahead
from vitalwatch.api.calls import CODE, Call, Reply, checked, reply
from vitalwatch.api.forms import InferQuestion, Series, SeriesQuestion, Tensor
from vitalwatch.api.metrics import FORECAST
from vitalwatch.api.operations import now_ms
from vitalwatch.api.problem import Fault, Problem, of_error
from vitalwatch.api.windows import SOMEBODY, readings_of
from vitalwatch.errors import NoModelYet
from vitalwatch.monitor import Monitor
from vitalwatch.sequences import QUANTILES
from vitalwatch.tables import Profile, Readings
from vitalwatch.timestamps import parse_time, rfc3339

NAME = "vitalwatch"
PLATFORM = "onnx_onnxv1"
MODELS = {
    "anomaly": ("time", "score", "p_value", "is_anomaly", "expected_heart_rate"),
    "forecast": ("q10", "q50", "q90"),
}
TYPES = {"time": "BYTES", "is_anomaly": "BOOL"}  # of outputs; the others are FP32
FLOATS = ("FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
SECONDS = {"second": 1, "minute": 60, "hour": 3_600}
AN_HOUR = 3_600


class Refused(Exception):
    """A request of the protocol that cannot be answered; its message holds nothing that was sent."""


async def server(call: Call) -> Reply:
    """Tell what this server is."""
    return reply({"name": NAME, "version": "2", "extensions": []})


async def live(call: Call) -> Reply:
    """Tell that the process runs."""
    return reply({"live": True})


async def ready(call: Call) -> Reply:
    """Tell whether models answer; under both names that the protocol's text gives."""
    is_ready = _is_ready(call)
    return reply({"live": is_ready, "ready": is_ready}, 200 if is_ready else 503)


async def model_ready(call: Call) -> Reply:
    """Tell whether one model, or one version of it, answers."""
    if unknown := _unknown(call):
        return unknown
    served = call.desk.engine.production.answering()
    if served is not None and (other := _other_version(call, served.run)):
        return other
    is_ready = served is not None
    return reply({"name": call.path["model"], "ready": is_ready}, 200 if is_ready else 503)


async def model(call: Call) -> Reply:
    """Tell names, types and shapes of a model's inputs and outputs; of a version, where it is the one that answers."""
    if unknown := _unknown(call):
        return unknown
    name = call.path["model"]
    try:
        _, run = call.desk.monitor()
    except NoModelYet as error:
        return _error(of_error(error).detail, 503)
    if other := _other_version(call, run):
        return other
    columns = [{"name": one, "datatype": "FP32", "shape": [-1]} for one in call.desk.settings.schema.names]
    shape = [-1] if name == "anomaly" else [-1, -1]
    outputs = [{"name": one, "datatype": TYPES.get(one, "FP32"), "shape": shape} for one in MODELS[name]]
    return reply(
        {
            "name": name,
            "versions": [run],
            "platform": PLATFORM,
            "inputs": [{"name": "time", "datatype": "BYTES", "shape": [-1]}, *columns],
            "outputs": outputs,
        }
    )


async def infer(call: Call) -> Reply:
    """Answer for readings told as tensors; outputs have a row for every step of the grid, whose starts are `time`."""
    if unknown := _unknown(call):
        return unknown
    try:
        raw = await call.raw()
        async with call.desk.compute:
            asked = checked(InferQuestion, call.parsed(raw))
            wanted = _wanted(asked, call.path["model"])
            rows = _rows(asked.inputs)
            readings = readings_of(rows, call.desk.settings.schema, now_ms(), call.desk.ahead_ms, "/inputs")
            monitor, run = call.desk.monitor()
            if other := _other_version(call, run):
                return other
            with call.desk.metrics.inference[call.path["model"]].time():
                outputs = _outputs(call.path["model"], monitor, readings)
    except Refused as refused:
        call.scope[CODE] = "unknown_value"
        return _error(str(refused), 400)
    except NoModelYet as error:
        return _error(of_error(error).detail, 503)
    call.desk.metrics.predictions.labels(call.path["model"], "answered").inc()
    told: dict[str, Any] = {"model_name": call.path["model"], "model_version": run}
    told |= {"id": asked.id} if asked.id is not None else {}
    return reply(told | {"outputs": [one for one in outputs if one["name"] in wanted]})


async def series(call: Call) -> Reply:
    """Answer KServe's question for a forecast."""
    raw = await call.raw()
    async with call.desk.compute:
        asked = checked(SeriesQuestion, call.parsed(raw))
        _can_be_answered(asked, call.desk.settings.schema.vitals)
        monitor, _ = call.desk.monitor()
        with call.desk.metrics.inference[FORECAST].time():
            outputs = [_forecast(call, monitor, one, asked, i) for i, one in enumerate(asked.inputs)]
    call.desk.metrics.predictions.labels("forecast", "answered").inc(len(outputs))
    told = {"id": str(uuid.uuid4()), "created_at": now_ms() // 1000, "status": "completed", "model": asked.model}
    return reply(told | {"outputs": outputs})


def _can_be_answered(asked: SeriesQuestion, vitals: Sequence[str]) -> None:
    if asked.model != "forecast":
        raise Problem("not_found", "The model is called `forecast`.")
    if not set(asked.options.quantiles) <= set(QUANTILES):
        fault = Fault("/options/quantiles", "unknown_value", "known quantiles: 0.1, 0.5, 0.9")
        raise Problem("unknown_value", faults=[fault])
    for i, one in enumerate(asked.inputs):
        if asked.options.horizon * SECONDS[one.frequency] > AN_HOUR:
            raise Problem("out_of_range", faults=[Fault("/options/horizon", "out_of_range", "an hour ahead at most")])
        if one.name not in vitals:
            raise Problem(
                "unknown_value", faults=[Fault(f"/inputs/{i}/name", "unknown_value", "a vital of the schema")]
            )


def _forecast(call: Call, monitor: Monitor, one: Series, asked: SeriesQuestion, place: int) -> dict[str, Any]:
    schema, every = call.desk.settings.schema, SECONDS[one.frequency] * 1000
    first = now_ms() // every * every - (len(one.series) - 1) * every
    if one.start_timestamp is not None:
        when = parse_time(one.start_timestamp)
        if isinstance(when, str):
            raise Problem(when, faults=[Fault(f"/inputs/{place}/start_timestamp", when)])
        first = when[0]
    rows = [{"time": rfc3339(first + i * every), one.name: value} for i, value in enumerate(one.series)]
    readings = readings_of(rows, schema, now_ms(), call.desk.ahead_ms, f"/inputs/{place}/series")
    found = ahead(monitor, readings, monitor.begin(SOMEBODY))
    told: dict[str, Any] = {"type": "time_series_forecast", "id": str(place), "error": None}
    vital = found.forecast_vitals.index(one.name) if one.name in found.forecast_vitals else -1
    told_ahead = found.forecast[-1, vital] if vital >= 0 else np.full((1, 3), np.nan)
    if np.isnan(told_ahead).any():
        why = {"code": "not_enough_history", "message": "This vital cannot be forecast from this series."}
        return told | {"status": "error", "content": [], "error": why}
    now = float(one.series[-1])
    minutes = np.arange(1, asked.options.horizon + 1) * SECONDS[one.frequency] / 60
    drawn = [np.interp(minutes, (0, *found.horizons), (now, *told_ahead[:, q])).round(2).tolist() for q in range(3)]
    wanted = asked.options.quantiles or list(QUANTILES)
    content = {
        "type": "univariate_time_series",
        "name": one.name,
        "mean_forecast": drawn[1],
        "frequency": one.frequency,
        "start_timestamp": rfc3339(first + len(one.series) * every),
        "quantiles": {f"{q:g}": drawn[QUANTILES.index(q)] for q in wanted},
    }
    return told | {"status": "completed", "content": [content]}


def _rows(inputs: list[Tensor]) -> list[dict[str, Any]]:
    """Return tensors of equal length as readings."""
    length = len(inputs[0].data)
    for one in inputs:
        if one.shape not in ([len(one.data)], [len(one.data), 1]) or len(one.data) != length:
            raise Refused("Every input is one column [n] of equal length, in row-major order.")
        if one.datatype not in (("BYTES",) if one.name == "time" else FLOATS):
            raise Refused("`time` is BYTES, every other input a number.")
    if len({one.name for one in inputs}) != len(inputs):
        raise Refused("An input stands there twice.")
    return [
        dict(zip((one.name for one in inputs), row, strict=True)) for row in zip(*(i.data for i in inputs), strict=True)
    ]


def _wanted(asked: InferQuestion, model: str) -> set[str]:
    """Return the outputs that are asked for, all where none is named; raises Refused for one that there is not."""
    wanted = {one.name for one in asked.outputs or ()}
    if wanted - set(MODELS[model]):
        raise Refused(f"unknown_value: the outputs of this model are {', '.join(MODELS[model])}.")
    return wanted or set(MODELS[model])


def _outputs(name: str, monitor: Monitor, readings: Readings) -> list[dict[str, Any]]:
    if name == "forecast":
        found = ahead(monitor, readings, monitor.begin(SOMEBODY))
        table = found.forecast[-1]  # vitals x horizons x quantiles
        parameters = {"vitals": list(found.forecast_vitals), "minutes": list(found.horizons)}
        return [
            _tensor(one, "FP32", list(table.shape[:2]), [answers.number(v, 2) for v in table[..., q].ravel()])
            | {"parameters": parameters}
            for q, one in enumerate(MODELS[name])
        ]
    found = monitor.answer(readings, Profile(SOMEBODY), forecast=False)
    columns = {one: getattr(found, one).tolist() for one in MODELS[name][1:]}
    told = {one: v if one == "is_anomaly" else [_rounded(one, x) for x in v] for one, v in columns.items()}
    times = _tensor("time", "BYTES", [len(found)], [rfc3339(time) for time in found.time.tolist()])
    return [times, *(_tensor(one, TYPES.get(one, "FP32"), [len(found)], values) for one, values in told.items())]


def _rounded(name: str, value: float) -> float | None:
    return answers.chance(value) if name == "p_value" else answers.number(value, 6)


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _is_ready(call: Call) -> bool:
    try:
        call.desk.monitor()
    except NoModelYet:
        return False
    return True


def _unknown(call: Call) -> Reply | None:
    known = call.path["model"] in MODELS
    return None if known else _error(f"not_found: known models are {', '.join(MODELS)}.", 404)


def _other_version(call: Call, run: str) -> Reply | None:
    """Return what is told of a version that does not answer: one run answers at a time."""
    answers = call.path.get("version", run) == run
    return None if answers else _error("not_found: this version does not answer; ask without one which does.", 404)


def _error(told: str, status: int) -> Reply:
    answer = reply({"error": told}, status)
    return Reply(answer.body, status, headers=(("retry-after", "10"),)) if status == 503 else answer
