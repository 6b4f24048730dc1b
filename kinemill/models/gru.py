"""Gated recurrent units (Cho et al., 2014, with the reset gate after the product as in cuDNN)."""

from collections.abc import Sequence
from typing import Literal

from kinemill.models._recurrent import Recurrent
from kinemill.task import MODELS, Candidate, TaskFacts


@MODELS.register("gru")
class GRU(Recurrent):
    """A GRU network; for systems whose state the channels do not show completely."""

    type: Literal["gru"] = "gru"

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose 64 units that start from up to 20 rows."""
        rows = min(20, facts.longest)
        settings: dict[str, object] = {
            "model": {"type": "gru", "hidden_size": 64},
            "history": rows,
            "horizon": min(20, facts.horizon),
            "optimizer": {"lr": 3e-3},
        }
        return [Candidate(f"gru, history {rows}", settings, trains=True)]
