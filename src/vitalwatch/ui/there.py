"""The page on a running API: everything over HTTP, with a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np

from vitalwatch.alerting.rules import version_of
from vitalwatch.database.access import ADMIN
from vitalwatch.database.quarantine import Quarantined, Refused
from vitalwatch.database.scores import Timeline
from vitalwatch.errors import ChangedMeanwhile, NotFound, VitalsError
from vitalwatch.settings import Settings
from vitalwatch.tables import DAY, MINUTE, Profile, Readings
from vitalwatch.timestamps import parse_time, rfc3339
from vitalwatch.ui.clock import clock_of, wall
from vitalwatch.ui.course import Ahead, Course, of_timeline
from vitalwatch.ui.person import open_alarms, over
from vitalwatch.ui.quality import SHOWN
from vitalwatch.ui.runs import fallen_back, moved
from vitalwatch.ui.stretches import joined, stretches
from vitalwatch.ui.trying import Judged
from vitalwatch.ui.upload import Models
from vitalwatch.views import Seen

SECONDS, PATIENT = 10.0, 120.0  # that an answer may take, and one that moves production or judges many readings
MOMENTS = ("start", "end", "raised_at", "changed_at", "sounded_at", "until", "escalate_at", "acknowledged_at")
FLAGS = ("anomaly", "assessable", "own_baseline", "worn", "gap")


class ApiError(VitalsError):
    """The API did not answer, or refused: what it says, and what to do."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem} {self.hint}".strip()


class SignedOut(ApiError):
    """The API does not know the key or token, or its time is over."""


class There:
    """A `source.Source` on an API for one visitor; what their key may not do, the API refuses.

    Args:
        address: `http://host:port`.
        key: Key or token, sent as bearer; empty for none (an API without keys answers this machine alone).
        settings: The page's own: schema, and whether there are models here for uploads.
        client: Shared connections; by default its own.

    Attributes:
        key_needed: Whether the API answers those with a key only.
    """

    def __init__(
        self,
        address: str,
        key: str,
        settings: Settings,
        *,
        client: httpx.Client | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        self.where = f"the API at {address}"
        self.schema, self._settings, self.now = settings.schema, settings, now or clock_of()
        self._address = address
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = client or httpx.Client(base_url=address, timeout=SECONDS)
        self.scopes, self.house_wide, self.visitor, self.key_needed = frozenset[str](), False, "", True

    def with_key(self, key: str) -> There:
        """Return the same API for a visitor with a key or token of their own."""
        return There(self._address, key, self._settings, client=self._client, now=self.now)

    def known(self) -> There:
        """Ask the API who this is and what they may do; raises SignedOut where it does not know the key."""
        told = self._get("/whoami")
        self.scopes, self.key_needed = frozenset(told["scopes"]), bool(told["key_needed"])
        self.house_wide = told["wards"] is None
        self.visitor = str(told.get("name") or told["actor"] or "") if self.key_needed else ""
        return self

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def problem(self) -> str:
        """As `Source.problem`."""
        try:
            self._get("/model")
        except ApiError as error:
            return str(error)
        return ""

    def fallback(self) -> str:
        """As `Source.fallback`."""
        try:
            told = self._get("/model")
        except ApiError:
            return ""  # `problem` says why
        return fallen_back(told["run"]) if told["fallback"] else ""

    def people(self, *, discharged: bool = False) -> list[Seen]:
        """As `Source.people`; names only where the key may see them."""
        asked = {"names": "true"} if ADMIN in self.scopes else {}
        return [_seen(one) for one in self._get("/people", **asked, discharged=str(discharged).lower())["people"]]

    def course(self, person: str, since: int, until: int) -> Course:
        """As `Source.course`."""
        until = min(until, since + 31 * DAY)
        told = self._get(f"/people/{person}/timeline", since=rfc3339(since), until=rfc3339(until))
        found = of_timeline(person, _timeline(told, self.schema.vitals))
        usual = {name: [ends["low"], ends["high"]] for name, ends in told["usual"].items() if name != "heart_rate"}
        return replace(found, usual=usual, changes=[(_moment(one["time"]), one["kind"]) for one in told["changes"]])

    def ahead(self, person: str) -> Ahead | None:
        """As `Source.ahead`."""
        try:
            return _ahead(self._post("/forecast", {"person": person}), 0)
        except ApiError:
            return None

    def warning(self, person: str) -> Mapping[str, Any] | None:
        """As `Source.warning`."""
        try:
            return _warning(self._post("/anomaly", {"person": person}))
        except ApiError:
            return None

    def alarms(self, person: str) -> list[Mapping[str, Any]]:
        """As `Source.alarms`."""
        kept = [_alert(one) for one in self._get("/alarms", person=person, open="false")["alarms"]]
        return [*self._open(person=person), *over(kept)]

    def system(self) -> list[Mapping[str, Any]]:
        """As `Source.system`."""
        return open_alarms(self._open(system="true"))

    def act(self, alarm: str, action: str) -> None:
        """As `Source.act`."""
        self._ask("POST", f"/alarms/{alarm}/{action}")

    def personal(self, person: str) -> dict[str, Any]:
        """As `Source.personal`."""
        return dict(self._get(f"/people/{person}/limits"))

    def set_personal(
        self, person: str, personal: Mapping[str, Any], drawn: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """As `Source.set_personal`."""
        version = {"if-match": f'"{version_of(drawn)}"'}
        return self._tried("PUT", f"/people/{person}/limits", personal, version)

    def try_personal(self, person: str, personal: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """As `Source.try_personal`."""
        return self._tried("POST", f"/people/{person}/limits/replay", personal)

    def _tried(
        self, method: str, path: str, personal: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any] | None:
        told = self._ask(method, path, headers=headers, json=dict(personal), timeout=PATIENT)["tried"]
        return None if told is None else dict(told)

    def rules(self, person: str = "") -> list[Mapping[str, Any]]:
        """As `Source.rules`: those of the API."""
        return list(self._get("/rules", **({"person": person} if person else {}))["rules"])

    def burden(self, days: int) -> Mapping[str, Any]:
        """As `Source.burden`."""
        return dict(self._get("/burden", days=str(days)))

    def refused(self) -> Quarantined:
        """As `Source.refused`."""
        told = self._get("/quarantine", most=str(SHOWN), newest="true")
        return Quarantined([_refused(one) for one in told["refused"]], dict(told["counts"]))

    def replay(self) -> dict[str, int]:
        """As `Source.replay`."""
        counts, rest = Counter[str](), {"after": 0}
        while rest is not None:
            told = dict(self._ask("POST", "/quarantine/replay", params=rest))
            rest = told.pop("rest")
            counts.update(told)
        return dict(counts)

    def change(self, person: str, kind: str, medication: Sequence[str] | None) -> None:
        """As `Source.change`."""
        told = {} if medication is None else {"medication": list(medication)}
        self._post(f"/people/{person}/changes", {"kind": kind, **told})

    def discharge(self, person: str) -> None:
        """As `Source.discharge`."""
        self._ask("POST", f"/people/{person}/discharge")

    def profile(self, person: str) -> Mapping[str, Any]:
        """As `Source.profile`."""
        return dict(self._get(f"/people/{person}/profile"))

    def runs(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """As `Source.runs`."""
        told = self._get("/runs")
        return told["runs"], told["history"]

    def run(self, run: str) -> dict[str, Any]:
        """As `Source.run`."""
        return dict(self._get(f"/runs/{run}"))

    def promote(self, run: str, why: str) -> str:
        """As `Source.promote`."""
        told = self._ask("POST", f"/runs/{run}/promote", json={"why": why}, timeout=PATIENT)
        return moved(told["run"], done=told["moved"])

    def rollback(self, why: str) -> str:
        """As `Source.rollback`."""
        told = self._ask("POST", "/runs/rollback", json={"why": why}, timeout=PATIENT)
        return moved(told["run"], done=True, back=True)

    def judged(self, readings: Readings, profile: Profile) -> Judged:
        """As `Source.judged`."""
        shift = (wall() - self.now()) // DAY * DAY  # the API judges on the wall's clock, a demonstration shows another
        parts = stretches(readings)
        body: dict[str, Any] = {}
        found, memory = list[Judged](), dict[str, Any]()
        for one in parts:
            body = {"readings": _messages(one, shift), "profile": _profile(profile), **memory}
            more = {} if one is parts[-1] else {"remember": True}
            told = self._post("/anomaly", {**body, "series": True, **more})
            alarms = tuple(_of_window(alarm, shift) for alarm in told["alarms"])
            found.append(Judged(_course(told, one, shift), alarms, None, _warning(told)))
            memory = {"memory": told["memory"]} if more else {}
        try:
            ahead = _ahead(self._post("/forecast", body), shift)
        except ApiError:
            ahead = None
        return replace(joined(found, self.schema.step_ms), ahead=ahead)

    def expected(self, moments: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
        """As `Source.expected`."""
        told = self._ask("POST", "/predict", json=[dict(one) for one in moments])["predictions"]
        return [(one["expected_heart_rate"], one["spread"]) for one in told]

    def models(self) -> Models | None:
        """As `Source.models`: of this machine's own artifacts, if the run that the API asks is in production here."""
        from vitalwatch.production import MODELS
        from vitalwatch.store import Store

        store = Store(self._settings.artifacts)
        run = store.production()
        if run is None or run != self._get("/model")["run"]:
            return None
        trusted = tuple(self._settings.path(path) for path in self._settings.config.signing.trusted)
        return Models(run, store.folder(run) / MODELS, trusted, store.seal(run, f"{MODELS}/manifest.json"))

    def _open(self, **which: str) -> list[Mapping[str, Any]]:
        """Return all open alerts of some kind, page after page."""
        found, place = list[Mapping[str, Any]](), dict[str, str]()
        while True:
            told = self._get("/alarms", most="1000", **which, **place)
            found += map(_alert, told["alarms"])
            if not (after := told.get("next")):
                return found
            place = {"after": after}

    def _get(self, path: str, **query: str) -> Any:
        return self._ask("GET", path, params=query)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        try:
            answer = self._client.request(method, path, headers={**self._headers, **(headers or {})}, **more)
        except httpx.HTTPError:
            raise ApiError(
                "The API does not answer.", "Start it with `make serve`, or look at VITALWATCH_API."
            ) from None
        if answer.status_code == 401:
            raise SignedOut(_reason(answer), "Sign in again.")
        if answer.status_code == 404:
            raise NotFound("What was asked for", "It is gone, or for another key.")
        if answer.status_code == 412:
            raise ChangedMeanwhile("What was set for this person")
        if answer.status_code >= 400:
            raise ApiError(_reason(answer), "")
        return answer.json() if answer.content else None


def _reason(answer: httpx.Response) -> str:
    """Return what a problem (RFC 9457) says."""
    try:
        told = answer.json()
        return f"{told['title']}. {told.get('detail', '')}".replace("..", ".").strip()
    except (ValueError, KeyError, TypeError):
        return f"The API answered {answer.status_code}."


def _moment(text: str) -> int:
    told = parse_time(text)
    if isinstance(told, str):
        raise ApiError("The API tells a time that cannot be read.", "Are both of the same version?")
    return told[0]


def _alert(told: Mapping[str, Any]) -> dict[str, Any]:
    read = {name: _moment(told[name]) for name in MOMENTS if told.get(name) is not None}
    return {"end": None, "state": "", "rule": told.get("channel", ""), **told, **read}


def _of_window(told: Mapping[str, Any], shift: int) -> dict[str, Any]:
    """Return an alarm of readings that were sent; it has begun and ended, and nobody acts on it."""
    times = {name: _moment(told[name]) - shift for name in ("start", "end")}
    return {"state": "", "rule": told["channel"], **told, **times, "kind": told["kind"] or ""}


def _seen(told: Mapping[str, Any]) -> Seen:
    return Seen(
        person=told["person"],
        name=told.get("name", ""),
        ward=told["ward"],
        heard=_moment(told["heard"]),
        time=None if told["time"] is None else _moment(told["time"]),
        values=told["vitals"],
        score=told["score"],
        p_value=told["p_value"],
        is_anomaly=told["is_anomaly"],
        own_baseline=told["own_baseline"],
        worn=told["worn"],
        waiting=told["waiting"],
        alarms=tuple(_alert(one) for one in told["alarms"]),
        wear=told["wear"] or "",
        discharged=None if told.get("discharged") is None else _moment(told["discharged"]),
    )


def _timeline(told: Mapping[str, Any], vitals: Sequence[str]) -> Timeline:
    times = np.asarray([_moment(text) for text in told["time"]], np.int64)
    n = len(times)
    minute = np.asarray(told.get("minute", times // MINUTE % 1440), np.int16)
    numbers = {name: _column(told[name]) for name in told if _numeric(told[name], n)}
    usual = {f"residual:{name}": _column(column) for name, column in told.get("spreads", {}).items()}
    blank = {f"residual:{name}": np.full(n, np.nan, np.float32) for name in vitals if name in numbers}
    filled = {name: np.asarray(column, np.bool_) for name, column in told.get("filled", {}).items()}
    flags = {name: np.asarray(told[name], np.bool_) for name in FLAGS}
    kinds = tuple(kind or "" for kind in told["kind"])
    return Timeline(time=times, minute=minute, run=("",) * n, kind=kinds, values={**numbers, **blank, **usual},
                    filled=filled, **flags)  # fmt: skip


def _numeric(column: Any, n: int) -> bool:
    if not isinstance(column, list) or len(column) != n:
        return False
    return all(one is None or (isinstance(one, float | int) and not isinstance(one, bool)) for one in column)


def _column(column: Sequence[float | None]) -> Any:
    return np.asarray([np.nan if value is None else value for value in column], np.float32)


def _ahead(told: Mapping[str, Any], shift: int) -> Ahead | None:
    vitals = {
        name: [(step["minutes"], step["q10"], step["q50"], step["q90"]) for step in one["steps"]]
        for name, one in told["forecast"].items()
    }
    return Ahead(_moment(told["time"]) - shift, vitals) if vitals else None


def _warning(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = told.get("early_warning")  # an API of before has none
    return None if found is None else dict(found)


def _course(told: Mapping[str, Any], readings: Readings, shift: int) -> Course:
    """Return the rows of an anomaly's answer, with what was sent."""
    series = told["series"]
    times = [_moment(text) - shift for text in series["time"]]
    n = len(times)
    place = {int(moment): i for i, moment in enumerate(readings.time)}
    sent = {name: column.tolist() for name, column in readings.values.items()}
    rate = sent.get("heart_rate", [None] * len(readings))
    spread = told["expected_heart_rate"]["spread"] or 0.0
    expected = series["expected_heart_rate"]
    z: dict[str, list[float | None]] = {
        one["vital"]: [None] * (n - 1) + [one["spreads"]] for one in told["contributions"]
    }
    vitals = {
        name: [column[place[moment]] if moment in place else None for moment in times]
        for name, column in {**sent, "heart_rate": rate}.items()
    }
    return Course(
        person=readings.person,
        time=times,
        local=[moment + offset for moment, offset in zip(times, _offsets(readings, times), strict=True)],
        vitals=vitals,
        low=[None if value is None else value - 2 * spread for value in expected],
        high=[None if value is None else value + 2 * spread for value in expected],
        expected=expected,
        score=series["score"],
        p_value=[p if known else None for p, known in zip(series["p_value"], series["assessable"], strict=True)],
        anomaly=series["is_anomaly"],
        assessable=series["assessable"],
        own_baseline=series["own_baseline"],
        worn=[vitals["heart_rate"][i] is not None for i in range(n)],
        z=z,
    )


def _offsets(readings: Readings, times: Sequence[int]) -> list[int]:
    """Return local clock minus UTC, ms, at some times: as the newest reading before tells it."""
    before = np.searchsorted(readings.time, np.asarray(times, np.int64), side="right") - 1
    told: list[int] = (readings.offset[np.maximum(before, 0)].astype(np.int64) * MINUTE).tolist()
    return told


def _messages(readings: Readings, shift: int) -> list[dict[str, Any]]:
    rows = []
    for i, moment in enumerate(readings.time.tolist()):
        values = {name: float(column[i]) for name, column in readings.values.items() if column[i] == column[i]}
        rows.append({"time": rfc3339(moment + shift, int(readings.offset[i])), **values})
    return rows


def _profile(profile: Profile) -> dict[str, Any]:
    numbers = {name: getattr(profile, name) for name in ("age", "height", "weight")}
    told: dict[str, Any] = {name: value for name, value in numbers.items() if value == value}
    told |= {name: list(getattr(profile, name)) for name in ("conditions", "medication") if getattr(profile, name)}
    return {**told, "sex": profile.sex}


def _refused(told: Mapping[str, Any]) -> Refused:
    return Refused(
        source=told["source"], position=told["position"], reason=told["code"], detail=told["detail"], validator="",
        raw=b"", person=told["person"] or "", ward="", actor="", no=told["no"], received=_moment(told["received"]),
    )  # fmt: skip
