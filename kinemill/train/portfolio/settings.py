"""Settings of `learn` for a candidate of a portfolio."""

from typing import Any

from kinemill.task.portfolio import Candidate

NEWTON = 0.5  # largest share of a candidate's time for its Gauss-Newton fit
EVALUATIONS = 3  # evaluations in each round


def learn_of(learn: Any, candidate: Candidate, steps: int, seconds: float, windows: int = 1) -> Any:
    """Return the settings of a candidate.

    Args:
        learn: settings of `objectives.dynamics`, without a model.
        candidate: its settings take precedence.
        steps: number of training steps.
        seconds: time limit of the candidate, s; 0: no limit.
        windows: factor of the windows of a Gauss-Newton fit.
    """
    settings = {
        **learn.model_dump(mode="json"),
        "schedule": {"type": "cosine_warmup", "warmup_steps": max(1, steps // 20)},
        **candidate.settings,
        "steps": steps,
        "eval_every": max(1, steps // EVALUATIONS),
        "patience": None,
    }
    result = type(learn).model_validate(settings)
    if (newton := result.gauss_newton) is None:
        return result
    changes: dict[str, Any] = {"windows": windows * newton.windows}
    if seconds:
        changes["seconds"] = NEWTON * seconds
    return result.model_copy(update={"gauss_newton": newton.model_copy(update=changes)})


def gradient_steps(learn: Any, seconds: float, each: float) -> int:
    """Return the number of training steps of `each` s that fit into `seconds` of a candidate."""
    share = 1.0 if learn.gauss_newton is None else 1.0 - NEWTON
    return int(share * seconds / max(each, 1e-6))
