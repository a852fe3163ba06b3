"""How the server is: alive, ready, its figures, the model that answers, and what can be asked of it."""

from __future__ import annotations

import html
import json
from typing import Any

from vitalwatch.api import answers, metrics
from vitalwatch.api.calls import Call, Reply, reply
from vitalwatch.api.figures import figures as looked_up
from vitalwatch.api.problem import Problem
from vitalwatch.api.readiness import HARMLESS
from vitalwatch.api.wire import dumped
from vitalwatch.errors import VitalsError
from vitalwatch.store import Store

HTML = "text/html; charset=utf-8"
SHOWN = ("run", "created", "features", "people", "days", "vitals", "horizons", "thresholds", "versions")


async def live(call: Call) -> Reply:
    """Answer that the process runs."""
    return reply({"status": "live"})


async def ready(call: Call) -> Reply:
    """Answer whether readings can be taken and judged, with each cause that stands against it."""
    causes = await call.desk.readiness.causes()
    bad = causes.keys() - HARMLESS
    return reply({"status": "not ready" if bad else "ready", "causes": causes}, 503 if bad else 200)


async def figures(call: Call) -> Reply:
    """Answer with the figures of this process, in Prometheus's text format."""
    desk = call.desk
    return Reply(desk.metrics.text(await looked_up(desk.engine, desk.readings.backlog)), media=metrics.MEDIA)


async def model(call: Call) -> Reply:
    """Answer with card, version and gates of the run in production."""
    monitor, run = call.desk.monitor()
    store = Store(call.desk.settings.artifacts)
    told: dict[str, Any] = {"run": run, "card": dict(monitor.card), "gates": _gates(store, run)}
    told["can"] = answers.abilities(monitor)
    told["history"] = [
        {"n": one.n, "at": one.at, "what": one.what, "run": one.run, "why": one.why} for one in store.history()[-50:]
    ]
    told["fallback"] = bool(call.desk.engine.production.fallback)
    return reply(told)


def _gates(store: Store, run: str) -> list[Any]:
    try:
        told = json.loads((store.folder(run) / "reports" / "evaluation.json").read_bytes())
    except (OSError, ValueError, VitalsError):
        return []
    return list(told.get("gates", []))


async def openapi(call: Call) -> Reply:
    """Answer with the OpenAPI file."""
    if not call.desk.chosen.docs:
        raise Problem("not_found", "The documentation is switched off here (config.api.docs).")
    return Reply(dumped(call.scope["app"].openapi()))


async def docs(call: Call) -> Reply:
    """Answer with a page of everything that can be asked; no script, nothing fetched from elsewhere."""
    if not call.desk.chosen.docs:
        raise Problem("not_found", "The documentation is switched off here (config.api.docs).")
    return Reply(page(call.scope["app"].openapi()).encode(), media=HTML)


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.7rem;border:1px solid #8888;border-radius:.4rem}code{font-size:.9em}"
    "summary{cursor:pointer;padding:.3rem 0}.m{display:inline-block;width:4rem;font-weight:bold}"
)


def page(told: dict[str, Any]) -> str:
    """Return the OpenAPI file as a page to read."""
    info = told["info"]
    parts = [f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"]
    parts.append(f"<p>{html.escape(info['description'])}</p><p><a href='openapi.json'>openapi.json</a></p>")
    by_tag: dict[str, list[str]] = {}
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            by_tag.setdefault(one["tags"][0], []).append(_section(path, method, one))
    for tag, sections in by_tag.items():
        parts += [f"<h2>{html.escape(tag)}</h2>", *sections]
    head = f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>vitalwatch</title><style>{STYLE}</style>"
    return f"{head}</head><body>{''.join(parts)}</body></html>"


def _section(path: str, method: str, one: dict[str, Any]) -> str:
    title = f"<span class='m'>{method.upper()}</span> <code>{html.escape(path)}</code> {html.escape(one['summary'])}"
    deprecated = " (deprecated)" if one.get("deprecated") else ""
    told = f"Scope: <code>{one['x-scope']}</code>, wards: <code>{one['x-wards']}</code>"
    lines = [f"<p>{html.escape(one.get('description', ''))}</p><p>{told}</p>"]
    for parameter in one.get("parameters", ()):
        text = parameter.get("description", "")
        lines.append(f"<p><code>{html.escape(parameter['name'])}</code> {html.escape(text)}</p>")
    for media, content in one.get("requestBody", {}).get("content", {}).items():
        for example in content.get("examples", {}).values():
            lines.append(f"<pre>{html.escape(_curl(path, method, media, example['value']))}</pre>")
    for status, answer in one["responses"].items():
        for content in answer.get("content", {}).values():
            if "example" in content:
                lines.append(
                    f"<p>Answer {status}</p><pre>{html.escape(json.dumps(content['example'], indent=1))}</pre>"
                )
                break
    return f"<details><summary>{title}{deprecated}</summary>{''.join(lines)}</details>"


def _curl(path: str, method: str, media: str, value: Any) -> str:
    body = value if isinstance(value, str) else json.dumps(value)
    return f"curl -X {method.upper()} http://127.0.0.1:8000{path} -H 'content-type: {media}' -d '{body}'"
