"""Optuna looks for better settings of one model, by folds of people; what it finds is judged on people held out of it.

Everybody has one role: fold people are learnt from and judged in turn, calibration people set thresholds, held people
only see the best settings beside today's, once. None of them is of the default run, so its test people stay unseen;
held people have a seed of their own, so `compare`, by which defaults are chosen, never judged them either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vitalwatch.errors import StoreError, UsageError
from vitalwatch.learning import Person
from vitalwatch.metrics import bootstrap
from vitalwatch.metrics.bootstrap import Estimate
from vitalwatch.settings import Settings
from vitalwatch.store import write_atomic, writing
from vitalwatch.studies import judging
from vitalwatch.studies.detectors import Detectors, strongest
from vitalwatch.studies.expected import expected
from vitalwatch.studies.forecasters import Forecasters
from vitalwatch.studies.ledger import Ledger, identity
from vitalwatch.studies.people import SEED, Roles, Size, crowd, with_params
from vitalwatch.studies.spaces import SPACES, space_of
from vitalwatch.studies.table import FIGURES
from vitalwatch.tables import Doubles

FOLDS = 3
DEFAULT = Size(learn=60, calibrate=30, judge=40)
BUDGETS = (0.5, 1.0, 2.0)  # of the budget: one point of F1 alone is noisier than the mean of three
TRIAL_WINDOWS = 30_000  # of the forecaster in a trial; the final judgement has all
WARM_UP = 5  # trials before any is ended early
HELD = 41  # added to the study's seed for held people; no other command or benchmark adds as much to params.yaml's
JOURNAL, BEST = "study.jsonl", "best.yaml"

Told = Callable[[str, int, int], None]
FIGURE = {"detector": "event_f1", "supervised": "event_f1", "regressor": "rmse", "forecaster": "mae"}


@dataclass(frozen=True)
class Tuned:
    """What a study found.

    Attributes:
        model: Which.
        trials, pruned: How many ran, and how many of them were ended early.
        today, best: Keys of the model's block: as they are and as found.
        folds: Mean figure over folds of today's and of the best.
        held: The same on held people, each with its interval.
        gain: best - today on held people, paired.
    """

    model: str
    trials: int
    pruned: int
    today: Mapping[str, Any]
    best: Mapping[str, Any]
    folds: tuple[float, float]
    held: tuple[Estimate, Estimate]
    gain: Estimate

    @property
    def figure(self) -> str:
        """Name of the figure, as in tables."""
        return FIGURES[FIGURE[self.model]].name

    @property
    def better(self) -> bool:
        """Whether the best settings beat today's on held people beyond chance."""
        return self.gain.low > 0 if FIGURES[FIGURE[self.model]].rises else self.gain.high < 0

    def sets(self) -> list[str]:
        """Return what to hand to --set, a line a key."""
        return [f"--set {self.model}.{key}={value:g}" for key, value in self.best.items()]

    def yaml(self) -> str:
        """Return the keys as they would stand in params.yaml."""
        lines = [f"  {key}: {value:g}" for key, value in self.best.items()]
        return "\n".join([f"{self.model}:", *lines]) + "\n"


@dataclass(frozen=True)
class Asked:
    """What to tune, on how many people and under which seed, until how many trials or seconds."""

    model: str
    trials: int
    seconds: float | None
    size: Size
    seed: int


def asked(model: str, trials: int, seconds: float | None, size: Size, seed: int | None, settings: Settings) -> Asked:
    """Return a checked request.

    Raises:
        UsageError: No such model, no trial, or too few people for the folds.
    """
    if model not in SPACES:
        raise UsageError(f"There is no model {model} to tune. Known: {', '.join(SPACES)}.")
    if trials < 1:
        raise UsageError(f"--trials must be at least 1, not {trials}.")
    for role, count, least in (
        ("learn from", size.learn, 2 * FOLDS),
        ("calibrate on", size.calibrate, 2),
        ("judge", size.judge, 2),
    ):
        if count < least:
            raise UsageError(f"Tuning needs at least {least} people to {role}, not {count}. Ask for more.")
    return Asked(model, trials, seconds, size, settings.params.seed + SEED if seed is None else seed)


def folds(people: Sequence[Person], count: int = FOLDS) -> list[tuple[list[Person], list[Person]]]:
    """Return `count` pairs of people to learn from and to judge; each is judged once, and not learnt from then."""
    return [
        ([p for i, p in enumerate(people) if i % count != fold], [p for i, p in enumerate(people) if i % count == fold])
        for fold in range(count)
    ]


class Tuning:
    """One study: its people, its file, its trials.

    Args:
        request: What is asked.
        settings: Today's.
        folder: Of studies; this one has a folder of its own in it, named after everything that it depends on.
    """

    def __init__(self, request: Asked, settings: Settings, folder: Path) -> None:
        self._request, self._settings = request, settings
        seeds = {"seed": request.seed, "held": request.seed + HELD}
        study = identity(settings, {"tune": request.model, "size": asdict(request.size), "folds": FOLDS, **seeds})
        self._ledger = Ledger(folder, study)
        self.folder = folder / study[:12]
        self._block = getattr(settings.params, request.model)
        self._space = space_of(request.model, self._block)

    @property
    def today(self) -> dict[str, Any]:
        """Today's values of what is tuned."""
        return {key: getattr(self._block, key) for key in self._space}

    def run(self, told: Told) -> Tuned:
        """Run the trials that are missing, then judge the best settings and today's on held people.

        Raises:
            StoreError: The study's file cannot be written, or is damaged.
        """
        from optuna.trial import TrialState

        study = self._open()
        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        done = len(study.get_trials(deepcopy=False, states=finished))
        told("trials", done, self._request.trials)
        if done < self._request.trials:
            study.optimize(
                self._objective,
                n_trials=self._request.trials - done,
                timeout=self._request.seconds,
                callbacks=[
                    lambda study, trial: told(
                        "trials", len(study.get_trials(deepcopy=False, states=finished)), self._request.trials
                    )
                ],
            )
        best, trials = dict(study.best_trial.params), study.get_trials(deepcopy=False, states=finished)
        pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
        sums = [self._on_held(chosen) for chosen in (self.today, best)]
        found = self._told(best, len(trials), pruned, (trials[0].value, study.best_value), sums)
        write_atomic(self.folder / BEST, found.yaml().encode())
        return found

    def _told(
        self, best: Mapping[str, Any], trials: int, pruned: int, by_folds: tuple[float, float], sums: list[Doubles]
    ) -> Tuned:
        model, evaluation = self._request.model, self._settings.params.evaluation
        figure = FIGURES[FIGURE[model]].of
        draws = bootstrap.weights(len(sums[0]), evaluation.draws, np.random.default_rng(self._request.seed))
        today, found = (bootstrap.estimate(figure, one, draws, evaluation.confidence) for one in sums)
        gain = bootstrap.difference(figure, sums[1], sums[0], draws, evaluation.confidence)
        return Tuned(model, trials, pruned, self.today, best, by_folds, (today, found), gain)

    def _open(self) -> Any:
        """Return the Optuna study of the file; trials that a dead process left running are given up."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path = self.folder / JOURNAL
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = not path.exists()
        direction: Literal["maximize", "minimize"] = (
            "maximize" if FIGURES[FIGURE[self._request.model]].rises else "minimize"
        )
        try:
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name=self._request.model,
                direction=direction,
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP),
            )
            left = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        except (ValueError, KeyError) as error:
            raise StoreError(path, "is damaged", "Remove it; the study then begins anew.") from error
        for trial in left:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if new or not study.trials:
            study.enqueue_trial(self.today)
        return study

    def _objective(self, trial: Any) -> float:
        import optuna

        # each trial draws by a seed of its own, by how many ended before: a study that was interrupted asks as one
        # that was not
        ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        number = len(trial.study.get_trials(deepcopy=False, states=ended))
        trial.study.sampler = optuna.samplers.TPESampler(seed=self._request.seed + number)
        chosen = {key: within.suggest(trial, key) for key, within in self._space.items()}
        found = []
        for number, roles in enumerate(self._folds):
            found.append(self._value(roles, chosen))
            trial.report(float(np.mean(found)), number)
            if number + 1 < len(self._folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))

    @cached_property
    def _people(self) -> tuple[list[Person], list[Person]]:
        """Who is learnt from, and who calibrates."""
        size = self._request.size
        everyone = crowd(0, size.learn + size.calibrate, self._settings, self._request.seed)
        return everyone[: size.learn], everyone[size.learn :]

    @cached_property
    def _folds(self) -> list[Roles]:
        learn, calibrate = self._people
        return [Roles(others, calibrate, judge, self._settings) for others, judge in folds(learn)]

    @cached_property
    def held(self) -> Roles:
        """Everybody as for the final judgement: who is judged had no part in the trials, nor in any comparison."""
        judge = crowd(0, self._request.size.judge, self._settings, self._request.seed + HELD)
        return Roles(*self._people, judge, self._settings)

    def _value(self, roles: Roles, chosen: Mapping[str, Any]) -> float:
        """Return what is to be made better, on the judged people of a fold."""
        model = self._request.model
        changed = dict(chosen)
        if model == "forecaster":
            changed["max_windows"] = min(TRIAL_WINDOWS, self._block.max_windows)
        under = roles.under(with_params(self._settings, model, changed))
        budgets = BUDGETS if FIGURE[model] == "event_f1" else (1.0,)
        figure = FIGURES[FIGURE[model]].of
        return float(np.mean([figure(sums.sum(axis=0)) for sums in _judged(model, under, budgets)]))

    def _on_held(self, chosen: Mapping[str, Any]) -> Doubles:
        """Return what each held person adds to the figure, kept."""

        def make() -> dict[str, Any]:
            under = self.held.under(with_params(self._settings, self._request.model, dict(chosen)))
            return {"sums": _judged(self._request.model, under, (1.0,))[0].tolist()}

        name = ", ".join(f"{key}={value!r}" for key, value in chosen.items())
        return np.asarray(self._ledger.result(name, make)["sums"], np.float64)


def _judged(model: str, roles: Roles, budgets: Sequence[float]) -> list[Doubles]:
    """Return what each judged person adds to the model's figure, for each share of the budget."""
    if model == "regressor":
        return [expected(roles).sums]
    if model == "forecaster":
        return [Forecasters(roles).blended("LSTM")[0]]
    detectors, whole = Detectors(roles), roles.settings.params.detector.budget
    score, _ = strongest(detectors.surprise("groups") if model == "detector" else detectors.level("heads"))
    return [judging.counts(roles, score, whole * share) for share in budgets]
