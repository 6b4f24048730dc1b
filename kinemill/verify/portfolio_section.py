"""Section on the portfolio that selected the model family of a task without `learn.model`."""

from html import escape
from pathlib import Path

from kinemill.reports.charts import number
from kinemill.reports.components import table
from kinemill.store import read_document
from kinemill.task.portfolio import RESULTS, CandidateResult

TEXT = (
    "The task does not set a model, so model families were compared by rollouts over the "
    "validation split. Errors are in standard deviations of the training split. The score is their "
    "geometric mean; smaller is better. The first line was selected. Candidates that are worse "
    "than a simple reference at a horizon come later, and of equal candidates the one with fewer "
    "parameters comes first. Round 0 is fitted in closed form. “New recordings” is the error at "
    "the last horizon on whole recordings that were not used in the fit; if it was measured, it "
    "decides between the finalists."
)


def portfolio_section(model: Path) -> str:
    """Return a table of all candidates as HTML, the best first; empty if there was no portfolio.

    Args:
        model: folder of a trained model.
    """
    path = model / RESULTS
    if not path.is_file():
        return ""
    results = read_document(path, list[CandidateResult])
    horizons = next((list(one.errors) for one in results if one.errors), [])
    names = ["1 step" if steps == 1 else f"{steps} steps" for steps in horizons]
    head = ["family", "round", "score", *names, "free run", "new recordings", "parameters"]
    head += ["steps", "time, s"]
    rows = [_row(one, horizons) for one in results]
    return f"<h3>Model families</h3><p>{TEXT}</p>{table(head, rows, 1)}"


def _row(result: CandidateResult, horizons: list[int]) -> list[str]:
    if result.failure:
        return [result.name, str(result.round), escape(result.failure), *[""] * (len(horizons) + 5)]
    errors = [(result.errors or {}).get(steps) for steps in horizons]
    return [
        result.name,
        str(result.round),
        *(_error(value) for value in (result.score, *errors, result.free_run)),
        "" if result.new_recordings is None else _error(result.new_recordings),
        f"{result.parameters:,}",
        f"{result.steps:,}",
        f"{result.seconds:.1f}",
    ]


def _error(value: float | None) -> str:
    return "not finite" if value is None else number(value)
