"""What a search has found so far: its trials, the best of them, and its settings as a file."""

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from kinemill.store import Json
from kinemill.tune.objective import TuneObjective, objective_of
from kinemill.tune.search import Search
from kinemill.tune.settings import write_settings
from kinemill.tune.study import OWN, WHY, ended_early, open_study
from kinemill.tune.trial import FACTS, RUN, SECONDS, SETTINGS

BEST, REPORT = "best.yaml", "report.html"
_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Line:
    """One trial, as people get to see it.

    Attributes:
        number: from 0; the first is the task's own settings.
        state: done, pruned, failed, lost, running or waiting.
        error: of a trial that is done: smaller is better, see `objective`.
        last: the step it came to and its error there, of the training's own evaluation.
        own: whether it is the task's own settings.
        settings: overrides of the task.
        seconds: that it took.
        why: it failed.
        run: in MLflow.
        facts: of its model: parameters, steps, best_step, known.
        objective: what the error is of.
    """

    number: int
    state: str
    error: float | None
    last: tuple[int, float] | None
    own: bool
    settings: Json
    seconds: float | None
    why: str | None
    run: str | None
    facts: Json
    objective: TuneObjective

    def describe(self) -> str:
        """Say in one line what became of the trial."""
        if self.error is not None:
            return f"trial {self.number}: {self.objective.spelled(self.error)}, {self.spelled()}"
        if self.state == "pruned" and self.last:
            step, error = self.last
            value = self.objective.to_display(error)
            return f"trial {self.number}: pruned at step {step}, {value:.4g}, {self.spelled()}"
        return f"trial {self.number}: {self.state}" + (f", {self.why}" if self.why else "")

    def spelled(self) -> str:
        """Say in a few words what was chosen; the task's own settings need none."""
        if self.own:
            return "the task's own settings"
        settings = {
            key.removeprefix("learn."): value
            for key, value in self.settings.items()
            if not key.startswith("augment") and value is not None
        }
        names = [str(value) for key, value in settings.items() if key.endswith(".type")]
        main = _main_settings(settings).items()
        return ", ".join([*names, *(f"{key.rpartition('.')[2]} {value}" for key, value in main)])


def _main_settings(settings: Json) -> Json:
    """Return what tells models apart at a glance: sizes, history, rate."""
    names = ("hidden_size", "hidden_sizes", "size", "layers", "history", "lr", "degree")
    main = {key: value for key, value in settings.items() if key.rpartition(".")[2] in names}
    return {
        key: f"{value:.3g}" if isinstance(value, float) else value for key, value in main.items()
    }


def lines(search: Search) -> list[Line]:
    """Return the trials of a search, in their order."""
    task = search.task()
    study, objective = open_study(search, task), objective_of(task)
    early = ended_early(study)
    trials = study.get_trials(deepcopy=False)
    return [_line(trial, early.get(trial.number), objective) for trial in trials]


def _line(trial: FrozenTrial, early: Json | None, objective: TuneObjective) -> Line:
    attributes, steps = trial.user_attrs, trial.intermediate_values
    last = max(steps, default=None)
    return Line(
        number=trial.number,
        state="lost" if early and early["again"] else _STATES[trial.state],
        error=trial.value if trial.state == TrialState.COMPLETE else None,
        last=(last, steps[last]) if last is not None else None,
        own=OWN in attributes,
        settings=attributes.get(SETTINGS, {}),
        seconds=attributes.get(SECONDS),
        why=early["why"] if early else attributes.get(WHY),
        run=attributes.get(RUN),
        facts=attributes.get(FACTS, {}),
        objective=objective,
    )


def best_of(trials: list[Line]) -> Line | None:
    """Return the trial with the smallest error; of equals the first."""
    done = [line for line in trials if line.error is not None]
    return min(done, key=lambda line: (line.error, line.number), default=None)


def describe(search: Search, trials: list[Line]) -> Json:
    """Return the document of a search, as `kinemill model tune --json` prints it."""
    counted, best = Counter(line.state for line in trials), best_of(trials)
    own = next((line.error for line in trials if line.own and line.error is not None), None)
    task = search.task()
    of = objective_of(task)
    return {
        "task": task.name,
        "study": search.name,
        "trials": sum(counted[name] for name in ("done", "pruned", "failed")),
        "pruned": counted["pruned"],
        "failed": counted["failed"],
        "best": None
        if best is None
        else {
            "number": best.number,
            "value": of.to_display(best.error or 0.0),
            "settings": best.settings,
        },
        "own": None if own is None else of.to_display(own),
        "judged_by": of.short,
        "unit": of.unit,
        "report": str(search.folder / REPORT),
        "settings": str(search.folder / BEST) if best else None,
    }


def write_best(search: Search) -> Path | None:
    """Write the settings of the best trial as overrides of the task; return the file, if any."""
    best = best_of(lines(search))
    if best is None:
        return None
    path, task = search.folder / BEST, search.task().name
    about = [
        f"Trial {best.number} of {search.name}: {best.objective.spelled(best.error or 0.0)}.",
        f"kinemill run {task} --set @THIS_FILE",
    ]
    write_settings(path, {**search.overrides, **best.settings}, about)
    return path


def quantile(done: int) -> float:
    """Return which share of trials counts as good: a tenth, but at least five, at most half."""
    return min(0.5, max(0.1, 5 / max(done, 1)))


def importances(search: Search) -> dict[str, float]:
    """Return how much of what sets good trials apart each choice explains; they add up to 1.

    Conditional PED-ANOVA (Watanabe et al., 2023; Optuna 5). Nothing below ten trials that are done.
    """
    import optuna

    study = open_study(search, search.task())
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if sum(1 for trial in done if trial.params) < 10 or len({t.value for t in done}) < 3:
        return {}
    evaluate: Any = optuna.importance.PedAnovaImportanceEvaluator
    with warnings.catch_warnings():
        # Of choices that few trials made it says that it knows little.
        warnings.simplefilter("ignore", UserWarning)
        shares = optuna.importance.get_param_importances(
            study, evaluator=evaluate(target_quantile=quantile(len(done)))
        )
    return dict(shares)
