"""Content of `decision.json`: the gate's decision about a version, with its measurements."""

from dataclasses import dataclass, field
from typing import Literal

from kinemill.register.verdict import Verdict
from kinemill.verify.results import Metrics

DECISION_FILE = "decision.json"


@dataclass(frozen=True)
class DecisionFacts:
    """A decision about a version.

    Attributes:
        task, version: name of the task, and number of the version.
        decision: `champion`, `waiting` or `refused`.
        provisional: why a champion is provisional, and what to do; empty if it is not.
        previous_champion: number of the champion at the decision; None without one.
        key: key of the version, see `kinemill.register.stage.inputs`.
        metrics: errors of the model and the baselines on the test split, in channel units.
        champion_errors: measurements of the champion: errors by channel, return, success.
    """

    task: str
    version: int
    decision: Literal["champion", "waiting", "refused"]
    provisional: str = ""
    previous_champion: int | None = None
    key: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    champion_errors: dict[str, float | None] = field(default_factory=dict[str, "float | None"])


@dataclass(frozen=True)
class Decision(DecisionFacts):
    """A decision with its headline and all lines of the gate."""

    headline: str = ""
    gate: list[Verdict] = field(default_factory=list[Verdict])
