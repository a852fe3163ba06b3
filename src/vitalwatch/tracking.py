"""Runs, also shown in MLflow: parameters, figures, model files, and who is champion.

MLflow needs seconds to import and to open its store, so it lives in a child process that is started early and works
beside the training. Nothing here can fail a run: what goes wrong is a sentence that `close` hands back.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "vitalwatch"  # of the experiment and of the registered model
RUN_TAG = "vitalwatch.run"
SQLITE = "sqlite:///"
LONGEST = 6000  # characters of a parameter's value that MLflow keeps
QUIET = {
    # telemetry off: mlflow.org/docs/latest/community/usage-tracking
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AUTO_LOGGING": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def store_uri(tracking: str | None, root: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return MLflow's address for `config.tracking`; None switches tracking off.

    Args:
        tracking: An address, None, or `env` for MLFLOW_TRACKING_URI.
        root: A relative SQLite path starts here.
        environ: Where MLFLOW_TRACKING_URI is looked up.
    """
    uri = environ.get("MLFLOW_TRACKING_URI", "") if tracking == "env" else tracking or ""
    if uri.startswith(SQLITE) and not uri.startswith(SQLITE + "/"):
        return SQLITE + str(root.resolve() / uri.removeprefix(SQLITE))
    return uri or None


class Tracker:
    """MLflow in a child process; without an address it does nothing.

    Use it as `with Tracker(uri) as tracker:`; leaving the block well waits for the child and fills `warnings`.

    Attributes:
        warnings: What went wrong, a sentence each; complete after `close`.
    """

    def __init__(self, uri: str | None, *, patience: float = 60.0) -> None:
        self.warnings: list[str] = []
        self._patience = patience
        self._child = self._start(uri) if uri else None
        self._asked, self._done = 0, 0
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()  # the run failed: nobody waits, the child ends by itself

    def log_run(
        self,
        run_id: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        artifacts: Sequence[Path] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Ask for a run to be logged, with a model version whose alias is `challenger`; returns at once.

        Args:
            run_id: Ours; it becomes the run's name and the tag `vitalwatch.run`. A run is logged once.
            params: Flat; values longer than 6,000 characters are cut.
            metrics: Flat; what is None or not finite is left out.
            artifacts: Files or folders to copy; the model files (ONNX) and the report.
            tags: More tags of the run.
        """
        kept = {name: float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)}
        self._ask(
            do="log_run",
            run_id=run_id,
            params={name: str(value)[:LONGEST] for name, value in params.items()},
            metrics=kept,
            artifacts=[str(path.resolve()) for path in artifacts],
            tags=dict(tags or {}),
        )

    def set_champion(self, run_id: str) -> None:
        """Ask for the alias `champion` to be moved to a run's model version; returns at once."""
        self._ask(do="set_champion", run_id=run_id)

    def close(self, patience: float | None = None) -> list[str]:
        """Wait for what was asked, end the child and return the warnings.

        Args:
            patience: Seconds to wait; default as given to the constructor.
        """
        child, self._child = self._child, None
        if child is None:
            return self.warnings
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        try:
            child.wait(self._patience if patience is None else patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._reader.join(5.0)
        if self._done < self._asked:
            self.warnings.append(f"MLflow: {self._asked - self._done} requests were not done (child ended or too slow)")
        return self.warnings

    def _start(self, uri: str) -> subprocess.Popen[str] | None:
        try:
            folder = _files(uri)
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "vitalwatch.tracking", uri],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=folder,  # whatever MLflow writes by a relative path stays inside
                env={**os.environ, **QUIET},
                start_new_session=True,  # Ctrl-C is for the run; the child ends when its input does
            )
        except OSError as error:
            self.warnings.append(f"MLflow: could not be started ({error.strerror})")
            return None
        return self._child

    def _ask(self, **request: Any) -> None:
        child = self._child
        if child is None or child.stdin is None:
            return
        self._asked += 1
        with contextlib.suppress(OSError):  # a child that ended is told of by `close`
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()

    def _listen(self) -> None:
        child = self._child
        for line in child.stdout if child is not None and child.stdout is not None else ():
            with contextlib.suppress(ValueError, TypeError):
                answer = json.loads(line)
                self._done += int(answer.get("done", 0))
                if "warning" in answer:
                    self.warnings.append(f"MLflow: {answer['warning']}")


def log_run(
    tracking_uri: str | None,
    run_id: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    artifacts: Sequence[Path] = (),
    tags: Mapping[str, str] | None = None,
) -> list[str]:
    """Log one run and wait for it; return warnings (see `Tracker.log_run`)."""
    with Tracker(tracking_uri) as tracker:
        tracker.log_run(run_id, params, metrics, artifacts, tags)
    return tracker.warnings


def set_champion(tracking_uri: str | None, run_id: str) -> list[str]:
    """Move the alias `champion` to a run and wait for it; return warnings."""
    with Tracker(tracking_uri) as tracker:
        tracker.set_champion(run_id)
    return tracker.warnings


def serve(uri: str, requests: IO[str], answers: IO[str]) -> None:
    """Do what is asked, a JSON object a line, until the input ends; each gets one answer. Runs in the child."""
    client = None
    for line in requests if (client := _client(uri, answers)) is not None else ():
        request = json.loads(line)
        try:
            ACTIONS[request.pop("do")](client, uri, **request)
            answer: dict[str, Any] = {"done": 1}
        except Exception as error:  # whatever MLflow raises, a run goes on
            answer = {"done": 1, "warning": f"{request.get('run_id', '')}: {_short(error)}"}
        print(json.dumps(answer), file=answers, flush=True)


def _client(uri: str, answers: IO[str]) -> MlflowClient | None:
    try:
        from mlflow import MlflowClient

        _create(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        _experiment(client, uri)
    except Exception as error:  # no MLflow, no server, no database: a warning
        print(json.dumps({"warning": f"not available: {_short(error)}"}), file=answers, flush=True)
        return None
    return client


def _create(uri: str) -> None:
    """Make a SQLite store whole or not at all: one that is killed half-way through its migrations never opens again."""
    from mlflow import MlflowClient

    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or path.exists():
        return
    draft = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    try:
        MlflowClient(tracking_uri=f"{SQLITE}{draft}").search_experiments()
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _log_run(
    client: MlflowClient,
    uri: str,
    run_id: str,
    params: dict[str, str],
    metrics: dict[str, float],
    artifacts: list[str],
    tags: dict[str, str],
) -> None:
    from mlflow.entities import Metric, Param

    if _version(client, run_id) is not None:
        return
    run = client.create_run(_experiment(client, uri), run_name=run_id, tags={**tags, RUN_TAG: run_id})
    logged, now = run.info.run_id, int(time.time() * 1000)
    pairs = [Param(name, value) for name, value in params.items()]
    for first in range(0, len(pairs), 100):  # MLflow's limit for one request
        client.log_batch(logged, params=pairs[first : first + 100])
    client.log_batch(logged, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()])
    for path in map(Path, artifacts):
        if path.is_dir():
            client.log_artifacts(logged, str(path), path.name)
        else:
            client.log_artifact(logged, str(path))
    client.set_terminated(logged)
    if not client.search_registered_models(f"name='{NAME}'"):
        client.create_registered_model(NAME)
    source = client.get_run(logged).info.artifact_uri
    version = client.create_model_version(NAME, source, logged, tags={RUN_TAG: run_id})
    client.set_registered_model_alias(NAME, "challenger", version.version)


def _set_champion(client: MlflowClient, uri: str, run_id: str) -> None:
    version = _version(client, run_id)
    if version is None:
        raise LookupError("this run was never logged, so the alias champion stays where it is")
    client.set_registered_model_alias(NAME, "champion", version)
    if str(client.get_registered_model(NAME).aliases.get("challenger", "")) == version:
        client.delete_registered_model_alias(NAME, "challenger")


ACTIONS: dict[str, Callable[..., None]] = {"log_run": _log_run, "set_champion": _set_champion}


def _version(client: MlflowClient, run_id: str) -> str | None:
    found = client.search_model_versions(f"name='{NAME}'", max_results=10_000)
    return next((str(one.version) for one in found if one.tags.get(RUN_TAG) == run_id), None)


def _experiment(client: MlflowClient, uri: str) -> str:
    found = client.get_experiment_by_name(NAME)
    if found is not None:
        return str(found.experiment_id)
    folder = _files(uri)
    return str(client.create_experiment(NAME, artifact_location=folder.as_uri() if folder is not None else None))


def _files(uri: str) -> Path | None:
    """Return the folder for files beside a SQLite database; a server has its own place for them."""
    return Path(uri.removeprefix(SQLITE)).resolve().with_suffix("") if uri.startswith(SQLITE) else None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(10)  # training first
    serve(sys.argv[1], sys.stdin, sys.stdout)
