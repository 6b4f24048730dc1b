"""Portfolio of model families: candidates of each family for a task without `learn.model`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinemill.errors import join_first
from kinemill.store import Json, read_document

BUDGET = 180.0  # s, default of `learn.budget`
RESULTS = "portfolio.json"  # list of `CandidateResult` in the folder of the model
SELECTION = "selection.json"  # a `Selection`, in the artifact of that name
TRAINED = "trained"  # name of the model whose family the task sets, among the references
UNTESTED = "not tested: "  # start of the failure of a candidate for which no budget was left
_NAMED = 5  # untested candidates in a sentence
HISTORIES = (1, 2, 4, 10, 20, 40, 80)  # rows of history of simple models
# Of simple models, relative to the rows, terms scaled. Of 36 channels in 6 s of a PX4 log, only
# members with 1 or more stay bounded on rows left out of their fit.
RIDGES = (1e-12, 1e-8, 1e-6, 1e-4, 1e-2, 0.1, 1.0, 10.0)
USUAL_RIDGE = 1e-6  # the ridge with which every history is fitted
MOST_TERMS = 1000  # of a regression; more would take minutes and little memory is left on a robot


@dataclass(frozen=True)
class TaskFacts:
    """Facts about a task and its data from which a model family proposes settings.

    Attributes:
        states: names of the states, in the order of every state tensor.
        actions: names of the actions.
        angles: states that are angles.
        relative: states and actions with an arbitrary zero (`kind: coordinate`).
        pairs: position by velocity, of states related by `derivative_of`.
        drives: coordinate that each action accelerates most, by action; see `drives_of`.
        longest: longest history that the episodes of training and validation allow, rows.
        horizon: steps of the rollouts that verification measures.
        rollout: longest rollouts that the training episodes allow, steps; 1 without data.
        saturated: range of each state that stays at an end of it in training, in its unit.
        history: history of the best model fitted in closed form, rows; 1 before one is fitted.
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    angles: frozenset[str]
    relative: tuple[str, ...]
    pairs: Mapping[str, str]
    drives: Mapping[str, str]
    longest: int
    horizon: int
    rollout: int = 1
    saturated: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    history: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the states, then of the actions."""
        return (*self.states, *self.actions)

    @property
    def histories(self) -> tuple[int, ...]:
        """Candidate histories, rows, shortest first."""
        return tuple(rows for rows in HISTORIES if rows <= self.longest)

    @property
    def deltas(self) -> dict[str, dict[str, str]]:
        """`learn.outputs` with the change of every state in one step."""
        return {f"{name}_delta": {"relation": "delta", "of": name} for name in self.states}

    @property
    def accelerations(self) -> dict[str, dict[str, str]]:
        """`learn.outputs` with the derivative of each velocity, and the change of other states."""
        free = [name for name in self.states if name not in self.pairs.values()]
        return {
            f"{name}_rate" if name in self.pairs else f"{name}_delta": {
                "relation": "derivative" if name in self.pairs else "delta",
                "of": name,
            }
            for name in free
        }


@dataclass(frozen=True)
class Structure:
    """A simple model without its history and ridge.

    The verifier fits all structures as references, and the portfolio fits them with the same
    settings.

    Attributes:
        family: name of the reference.
        name: displayed name, unique within the portfolio.
        model: settings of the model plug-in, without its ridge.
        outputs: value of `learn.outputs`.
        columns: names of the states, then of the actions.
        longest: longest history, rows; None: limited by the data only.
    """

    family: str
    name: str
    model: Json
    outputs: dict[str, dict[str, str]]
    columns: tuple[str, ...]
    longest: int | None = None

    def settings(self, history: int, ridge: float) -> Json:
        """Return keys of `learn`; features are in task units, because the models scale them."""
        plain = {name: {"type": "plain"} for name in self.columns}
        return {
            "model": {**self.model, "ridge": ridge},
            "outputs": self.outputs,
            "history": history,
            "encoding": {"scale": "none", "channels": plain},
        }

    def candidate(self, history: int, ridge: float = USUAL_RIDGE) -> "Candidate":
        """Return the structure with history and ridge as a candidate of a portfolio."""
        penalty = "" if ridge == USUAL_RIDGE else f", ridge {ridge:g}"
        settings = self.settings(history, ridge) | {"optimizer": {"lr": 1e-4}}
        return Candidate(f"{self.name}, history {history}{penalty}", settings)

    def histories(self, facts: TaskFacts) -> tuple[int, ...]:
        """Return the candidate histories, rows, shortest first."""
        width = len(self.columns) + len(facts.angles)
        return tuple(
            rows
            for rows in facts.histories
            if rows == 1 or (rows * width <= MOST_TERMS and rows <= (self.longest or rows))
        )


@dataclass(frozen=True)
class Candidate:
    """Candidate of a portfolio: settings that a model family proposes.

    Attributes:
        name: displayed name, unique within the portfolio.
        settings: keys of `learn`, in addition to those of the task file.
        trains: whether it is trained by gradients; if not, it is fitted in closed form.
    """

    name: str
    settings: Json
    trains: bool = False


@dataclass(frozen=True)
class CandidateResult:
    """Result of one candidate after one round.

    Attributes:
        name: name of the candidate.
        type: type of its model.
        round: 0 for closed form, then the rounds of training.
        steps: training steps of this round.
        parameters: number of parameters.
        seconds: time of this round.
        step_seconds: time of one training step, s; 0 without training.
        errors: validation error by horizon, in standard deviations, by steps of the horizon.
        free_run: validation error over whole episodes, in standard deviations; None: not finite.
        score: geometric mean of the errors, the smaller the better; None: not finite.
        failure: reason of a failure; empty without one.
        held_out: score on recordings or rows that were held out of a fit; None: not measured, or
            not finite.
    """

    name: str
    type: str
    round: int
    steps: int = 0
    parameters: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    errors: dict[int, float | None] | None = None
    free_run: float | None = None
    score: float | None = None
    failure: str = ""
    held_out: float | None = None

    @classmethod
    def empty(cls, candidate: Candidate, number: int) -> "CandidateResult":
        """Return the result of a candidate in a round before anything is measured."""
        return cls(candidate.name, candidate.settings["model"]["type"], number)


@dataclass(frozen=True)
class Selection:
    """The candidates of a run.

    Attributes:
        selected: name of the candidate that the run exports and registers.
        why: the reason in words.
        candidates: results of all candidates, the best first.
    """

    selected: str
    why: str
    candidates: list[CandidateResult]

    @property
    def text(self) -> str:
        """Name of the selected candidate, with the reason."""
        is_trained = self.selected == TRAINED and self.candidates
        return f"{self.candidates[0].name if is_trained else self.selected}: {self.why}"


def portfolio_results(model: Path) -> list[CandidateResult]:
    """Return the results of a portfolio, the best first; none without one.

    Args:
        model: folder of the trained model.
    """
    path = model / RESULTS
    return read_document(path, list[CandidateResult]) if path.is_file() else []


def untested_text(results: Sequence[CandidateResult]) -> str:
    """Return the candidates that were not tried or failed, and why; empty if there are none."""
    if any(result.name == TRAINED for result in results):
        return (
            "learn.model is set: no other family was tried. Without it, a portfolio selects one "
            "within learn.budget"
        )
    total = len({result.name for result in results})
    untested = [result.name for result in results if result.failure.startswith(UNTESTED)]
    measured = {result.name for result in results if not result.failure}
    failed = {result.name: result.failure for result in results if result.name not in measured}
    reasons = [f"{name}: {why}" for name, why in failed.items() if name not in untested]
    texts = list[str]()
    if untested:
        texts.append(
            f"{len(untested)} of {total} candidates were not tested, because learn.budget was used "
            f"up: {join_first(untested, _NAMED, '; ')}. A larger learn.budget tries them"
        )
    if reasons:
        listed = join_first(reasons, _NAMED, "; ")
        texts.append(f"{len(reasons)} of {total} candidates failed: {listed}")
    return ". ".join(texts)
