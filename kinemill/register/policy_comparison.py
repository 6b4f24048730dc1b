"""Comparison of two versions of a policy from the same starts in the task's environment."""

from dataclasses import dataclass
from html import escape

from kinemill.environments.evaluation import Trials
from kinemill.register.comparison_results import (
    ComparedOutcome,
    ComparedStart,
    ComparedVersion,
    PolicyComparison,
)
from kinemill.register.versions import Version
from kinemill.reports.charts import number
from kinemill.reports.components import card, html_page, name_of, table


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


def policy_comparison(trials: ComparedPolicies) -> PolicyComparison:
    """Return the content of comparison.json."""
    from kinemill.verify.policies.subject import gain_of  # imports onnx

    first, second = trials.trials
    gain, success = gain_of(second, first), None
    low, high = gain.returns
    if first.success is not None and second.success is not None and gain.success is not None:
        success = _compare_means(first.success, second.success, gain.success)
    pairs = zip(first.seeds, first.returns, second.returns, strict=True)
    return PolicyComparison(
        task=trials.a.task,
        dataset=trials.number,
        a=ComparedVersion.of(trials.a),
        b=ComparedVersion.of(trials.b),
        returns=_compare_means(first.mean_return, second.mean_return, gain.returns),
        success=success,
        episodes=[ComparedStart(seed, one, other) for seed, one, other in pairs],
        differs=trials.differs,
        better="b" if low > 0.0 else "a" if high < 0.0 else None,
    )


def _compare_means(one: float, other: float, interval: tuple[float, float]) -> ComparedOutcome:
    return ComparedOutcome(one, other, other - one, interval)


def trials_page(comparison: PolicyComparison) -> str:
    """Return the HTML page of a comparison of policies."""
    first, second = comparison.names
    title = f"{comparison.task}: {first} against {second}"
    winner, (low, high) = comparison.winner, comparison.returns.interval
    verdict = f"{winner} is better" if winner else "the difference is not significant"
    lead = (
        f"From the same {len(comparison.episodes)} starts the return of {second} is "
        f"<b>{number(comparison.returns.difference)}</b> larger than that of {first} "
        f"(95 % interval {number(low)} to {number(high)}): {verdict}."
    )
    cards = [
        card(f"{name.capitalize()}, {what}", number(value), "", "on average")
        for what, metric in comparison.trial_metrics.items()
        for name, value in ((first, metric.a), (second, metric.b))
    ]
    rows = [
        [name_of(f"seed {one.seed}"), number(one.a), number(one.b), number(one.b - one.a)]
        for one in sorted(comparison.episodes, key=lambda one: one.b - one.a)
    ]
    heads = ["Start", first.capitalize(), second.capitalize(), "Difference"]
    sections = [
        f'<header><div><div class="eyebrow">Policy comparison</div><h1>{escape(title)}</h1></div>'
        f'</header><p class="lead">{lead}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
        "<h2>Returns by start</h2>" + table(heads, rows, numbers_from=1, even=True),
    ]
    return html_page(title, sections, "Measured by kinemill; the numbers are in comparison.json.")
