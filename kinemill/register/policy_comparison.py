"""Compare two versions of a policy from the same starts in the task's environment."""

from dataclasses import dataclass
from html import escape

from kinemill.environments.evaluation import Trials
from kinemill.register.versions import Version
from kinemill.reports.charts import number
from kinemill.reports.components import card, html_page, name_of, table
from kinemill.store import Json
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.verify.analysis import plain


@dataclass(frozen=True)
class ComparedPolicies:
    """Two versions, `a` and `b`, with trials from the same starts.

    Attributes:
        a, b: the versions.
        trials: trials of both.
        number: number of the newer of their two datasets or cards.
        differs: differences of their interfaces.
    """

    a: Version
    b: Version
    trials: tuple[Trials, Trials]
    number: int
    differs: list[str]


def trials_document(trials: ComparedPolicies) -> Json:
    """Return the comparison as JSON.

    Returns:
        task, form, dataset, windows (episodes, seeds), `return` and `success` (a, b, difference
        b - a with its paired 95 % interval), `episodes`, differs, `better` (a, b, or null where the
        interval holds 0).
    """
    from kinemill.verify.policies.subject import differences  # which imports onnx

    first, second = trials.trials
    apart = differences(second, first)
    low, high = apart[RETURN]
    document: Json = {
        "task": trials.a.task,
        "form": "policy",
        "dataset": {"version": trials.number},
        "windows": {"episodes": len(first.seeds), "seeds": [first.seeds[0], first.seeds[-1]]},
        RETURN: _pair(first.mean_return, second.mean_return, apart[RETURN]),
        "episodes": _episodes(first, second),
        "differs": trials.differs,
        "better": "b" if low > 0.0 else "a" if high < 0.0 else None,
    }
    if first.success is not None and second.success is not None:
        document[SUCCESS] = _pair(first.success, second.success, apart[SUCCESS])
    return plain(document)


def _pair(one: float, other: float, interval: list[float]) -> Json:
    return {"a": one, "b": other, "difference": other - one, "interval": interval}


def _episodes(first: Trials, second: Trials) -> list[Json]:
    pairs = zip(first.seeds, first.returns, second.returns, strict=True)
    return [{"seed": seed, "a": one, "b": other} for seed, one, other in pairs]


def trials_page(comparison: Json) -> str:
    """Return the HTML page of a comparison of policies."""
    names = {side: f"version {comparison[side]['version']}" for side in "ab"}
    title = f"{comparison['task']}: {names['a']} against {names['b']}"
    better, (low, high) = comparison["better"], comparison[RETURN]["interval"]
    verdict = f"{names[better]} is better" if better else "the difference is not significant"
    lead = (
        f"From the same {comparison['windows']['episodes']} starts the return of {names['b']} is "
        f"<b>{number(comparison[RETURN]['difference'])}</b> larger than that of {names['a']} "
        f"(95 % interval {number(low)} to {number(high)}): {verdict}."
    )
    kinds = [what for what in (RETURN, SUCCESS) if what in comparison]
    cards = [
        card(
            f"{names[side].capitalize()}, {what}", number(comparison[what][side]), "", "on average"
        )
        for what in kinds
        for side in "ab"
    ]
    apart = [(one["b"] - one["a"], one) for one in comparison["episodes"]]
    rows = [
        [name_of(f"seed {one['seed']}"), number(one["a"]), number(one["b"]), number(gap)]
        for gap, one in sorted(apart, key=lambda pair: pair[0])
    ]
    heads = ["Start", names["a"].capitalize(), names["b"].capitalize(), "Difference"]
    sections = [
        f'<header><div><div class="eyebrow">Policy comparison</div><h1>{escape(title)}</h1></div>'
        f'</header><p class="lead">{lead}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
        "<h2>Returns by start</h2>" + table(heads, rows, numbers_from=1, even=True),
    ]
    return html_page(title, sections, "Measured by kinemill; the numbers are in comparison.json.")
