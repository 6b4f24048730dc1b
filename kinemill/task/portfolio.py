"""Portfolio of model families: what each family proposes for a task without `learn.model`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESULTS = "portfolio.json"  # list of `CandidateResult` in the folder of the model
HISTORIES = (1, 2, 5, 10, 20, 40)  # rows; each about twice as long as the one before


@dataclass(frozen=True)
class TaskFacts:
    """What a model family needs to know about a task and its data to propose settings.

    Attributes:
        states: names of the states, in the order of every state tensor.
        actions: names of the actions.
        angles: states that are angles.
        pairs: position by velocity, of states related by `derivative_of`.
        drives: coordinate that each action accelerates most, by action; see `drives_of`.
        longest: longest history that the episodes of training and validation allow, rows.
        horizon: steps of the rollouts that verification measures.
        history: history of the best model fitted in closed form, rows; 1 before one is fitted.
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    angles: frozenset[str]
    pairs: Mapping[str, str]
    drives: Mapping[str, str]
    longest: int
    horizon: int
    history: int = 1

    @property
    def histories(self) -> tuple[int, ...]:
        """Histories to try, rows, shortest first."""
        return tuple(rows for rows in HISTORIES if rows <= self.longest)

    @property
    def deltas(self) -> dict[str, dict[str, str]]:
        """`learn.outputs` that predict the change of every state in one step."""
        return {f"{name}_delta": {"relation": "delta", "of": name} for name in self.states}

    @property
    def accelerations(self) -> dict[str, dict[str, str]]:
        """`learn.outputs` of derivatives of velocities, and of changes of states without one."""
        free = [name for name in self.states if name not in self.pairs.values()]
        return {
            f"{name}_rate" if name in self.pairs else f"{name}_delta": {
                "relation": "derivative" if name in self.pairs else "delta",
                "of": name,
            }
            for name in free
        }


@dataclass(frozen=True)
class Candidate:
    """Settings that a model family proposes.

    Attributes:
        name: displayed name, unique within the portfolio.
        settings: keys of `learn`, in addition to those of the task file.
        trains: whether it is trained by gradients; if not, it is fitted in closed form.
    """

    name: str
    settings: dict[str, Any]
    trains: bool = False


@dataclass(frozen=True)
class CandidateResult:
    """CandidateResult of one candidate after one round.

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
        failure: why the candidate failed; empty if it did not.
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

    @property
    def rank(self) -> float:
        """The score; infinite without one."""
        return math.inf if self.score is None else self.score
