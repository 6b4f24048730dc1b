"""Headline of a model: its kind, errors in units, the comparison, and the verdict.

It is a pure function of a document and of the decision of the registry, so that the terminal, the
report, MLflow and Dagster show the same text.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from kinemill.task.units import in_unit
from kinemill.verify.document import Assessment
from kinemill.verify.findings import MODEL, Cell, best_in, cells_of, history_of, worse_findings
from kinemill.verify.phrases import (
    amount,
    counted,
    evidence_words,
    kind_of,
    less_or_more,
    listed,
    percent,
    spoken,
)
from kinemill.verify.results import Accuracy

Tone = Literal["good", "warning", "bad"]
_MOST_CAUSES = 2  # causes of a refusal in a sentence
_CHANNELS = 4  # most channels in a sentence; of more, only the three that compare worst
CAUSES = {  # meaning of a refusal by rule of the gate, root causes first: files that do not work,
    # too little data, a worse model, then the others; {} is replaced by the subject of the rule
    "precision": "float32 is not precise enough for it",
    "parity": "the exported files do not match the trained model",
    "verified": "the exported files failed verification",
    "serves": "it does not load in the serving runtime",
    "independent": "its test data duplicate its training data",
    "measured": "the gate measured another error than verification",
    "no_worse": "it is worse than {} in a channel or at a horizon",
    "beats": "it is not better than {}",
    "interval": "the test data do not show that it is better than {}",
    "channels": "{} became worse than the champion's",
    "stability": "its long rollouts diverge",
    "closed_loop": "its controller does not succeed often enough",
    "trials": "its trials on the robot do not succeed often enough",
    "coverage": "its intervals cover too few or too many of the test windows",
    "interface": "its interface is not the champion's",
    "evidence": "there is too little test data",
    "latency": "it is too slow",
    "size": "it is too large",
    "freshness": "its data are too old",
}
_NOT_COMPARED = re.compile("^(was not measured|cannot be compared)|cannot be (loaded|measured)")
_DIVERGES = {"finite": "its predictions diverge"}  # instead of all that a divergence fails


@dataclass(frozen=True)
class Headline:
    """One or two sentences as plain text, and their tone.

    Attributes:
        performance: the model, its errors, and the best reference.
        verdict: whether the model can be used, and why.
        tone: `good` if the model can be used, `warning` if that is undecided, `bad` if not.
    """

    performance: str
    verdict: str
    tone: Tone

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.performance} {self.verdict}".strip()


class FailedRule(Protocol):
    """A line of the gate that failed."""

    @property
    def rule(self) -> str:
        """Name of the rule."""
        ...

    @property
    def value(self) -> str | float:
        """Result of the rule."""
        ...


@dataclass(frozen=True)
class GateDecision:
    """Decision of the registry about a version.

    Attributes:
        decision: `champion`, `refused` or `waiting` (for approval); None while undecided.
        failed: lines of the gate that failed, root causes first.
        provisional: missing test data of a provisional champion, and the fix; else empty.
        address: address of the version, such as `cart_pole:3`.
        champion: the version that was champion before the decision; None if there was none.
        former: whether another version has become champion since the decision.
        override: whether it is champion although the gate refused it: a user promoted it, or its
            trials on the robot were recorded later.
    """

    decision: str | None
    failed: Sequence[FailedRule] = ()
    provisional: str = ""
    address: str = ""
    champion: int | None = None
    former: bool = False
    override: bool = False


def headline(document: Assessment) -> Headline:
    """Return the first line about a model before the registry decides, or in an evaluation."""
    return replace(_verdict_of(document), performance=performance(document))


def performance(document: Assessment) -> str:
    """Return the sentence with the kind of model, its errors in units, and the best reference."""
    if document.form == "policy":
        return _policy(document)
    metrics = document.metrics
    seconds = document.windows.seconds
    subject = f"This {kind_of(document.model)}"
    horizon = f"{amount(seconds)} s ahead" if seconds > 0 else "at the horizon"
    if MODEL not in metrics.nrmse or not metrics.test:
        return ""
    if not math.isfinite(metrics.nrmse[MODEL]):
        return f"{subject} diverges: {_diverging(document)}."
    return f"{subject} has an RMSE of {_errors(document)} {horizon}, {_compared(document)}."


def _verdict_of(document: Assessment) -> Headline:
    """Return only the sentence on whether a model can be used."""
    failed = [gate.name for gate in document.gates if not gate.passed]
    if failed:
        more = f" and {counted(len(failed) - 3, 'more checks')}" if len(failed) > 3 else ""
        return Headline("", f"Do not use it: {listed(failed[:3])}{more} failed.", "bad")
    diverged = not math.isfinite(document.metrics.nrmse.get(MODEL, 0.0))
    if cells := worse_findings(document):
        return Headline("", _worse(document, cells), "bad")
    if diverged:
        return Headline("", "Do not use it.", "bad")
    if document.passed is None:
        return Headline("", "", "good")
    message = "All checks of the exported files passed; the gate has not decided."
    return Headline("", message, "warning")


def decision_text(decision: GateDecision) -> Headline:
    """Return the decision of the registry and its reason, in one sentence."""
    name = decision.address or "It"
    if decision.decision == "champion":
        return _champion_words(decision, name)
    if decision.decision == "waiting":
        return Headline("", f"{name} waits for approval: kinemill model approve {name}.", "warning")
    if decision.decision is None:
        message = (
            "the gate has not decided; the registration was interrupted, kinemill run completes it"
        )
        return Headline("", f"{name}: {message}.", "warning")
    if decision.override:
        message = f"{name} is champion although the gate refused it"
        return Headline("", f"{message}: {causes(decision.failed)}.", "bad")
    stays = f"; version {decision.champion} stayed champion" if decision.champion else ""
    return Headline("", f"{name} is refused: {causes(decision.failed)}{stays}.", "bad")


def _champion_words(decision: GateDecision, name: str) -> Headline:
    if decision.former:
        return Headline("", f"{name} was champion; another version is now.", "warning")
    if decision.provisional:
        message = (
            f"{name} is provisional champion, until a better or better tested version replaces it: "
            f"{decision.provisional.rstrip('.')}."
        )
        return Headline("", message, "warning")
    instead = f" instead of version {decision.champion}" if decision.champion else ""
    message = f"{name} is champion{instead}: it passed every rule of the gate."
    return Headline("", message, "good")


def causes(failed: Sequence[FailedRule]) -> str:
    """Return why rules of the gate failed: the first causes in words, and the number of others."""
    subjects = dict[str, list[str]]()
    for text, subject in map(_cause, failed):
        subjects.setdefault(text, []).append(subject)
    if (interval := CAUSES["interval"]) in subjects:  # the other cause says more
        worse = subjects.get(CAUSES["beats"], [])
        subjects[interval] = [name for name in subjects[interval] if name not in worse]
    message = [text.format(listed(names)) for text, names in subjects.items() if names]
    more = len(message) - _MOST_CAUSES
    return listed(message[:_MOST_CAUSES] + ([counted(more, "more reasons")] if more > 0 else []))


def _cause(failed: FailedRule) -> tuple[str, str]:
    """Return the text of a failed rule, with {} for its subject, and the subject."""
    line = failed.rule
    if line == "verified":
        return f"{CAUSES[line]} ({{}})", str(failed.value).removeprefix("failed: ")
    for rule, text in (CAUSES | _DIVERGES).items():
        if line == rule or line.startswith(f"{rule}_"):
            about = line.removeprefix(rule).removeprefix("_")
            name = about if rule == "channels" else spoken(about)
            if about and _NOT_COMPARED.search(str(failed.value)):
                return "it was not compared with {}", name
            return text, name
    return "rule {} failed", line


def _errors(document: Assessment) -> str:
    """Return RMSE and unit of all channels, or of those that compare worst if there are many."""
    test = document.metrics.test
    lines = {name: line for name, line in test.items() if not line.note} or test
    names = list(lines)
    if len(names) > _CHANNELS:
        best = best_in(document)

        def relative(name: str) -> float:
            rmse = lines[name].rmse
            ratio = rmse.get(MODEL, math.nan) / (rmse.get(best or "", math.nan) or 1.0)
            return -ratio if math.isfinite(ratio) else 0.0

        names = sorted(names, key=relative)[: _CHANNELS - 1]
    parts = [
        f"{amount(lines[name].rmse.get(MODEL, math.nan))}{in_unit(lines[name].unit)} ({name})"
        for name in names
    ]
    more = len(lines) - len(names)
    return listed(parts + ([counted(more, "more channels")] if more else []))


def _compared(document: Assessment) -> str:
    best = best_in(document)
    if best is None:
        return "and no reference stays finite on this data"
    comparison = document.comparison(best)
    nrmse = document.metrics.nrmse
    ratio = comparison.ratio if comparison else math.nan
    if math.isnan(ratio):
        ratio = nrmse[MODEL] / (nrmse[best] or 1.0)
    name = f"the best reference, {spoken(best, history_of(document, best))}"
    # The gate concludes, in the next sentence: a conclusion here could contradict it.
    size = evidence_words(comparison) if comparison else ""
    inside = f" ({size})" if size else ""
    return f"{less_or_more(ratio)} {name}{inside}"


def _worse(document: Assessment, cells: Sequence[Cell]) -> str:
    """Return the number of comparisons in which a reference is better, and the worst of them."""
    total = sum(cell.state != "uncounted" for cell in cells_of(document).values())
    worst = cells[0]
    message = f"a reference is better in {len(cells)} of {counted(total, 'comparisons')}"
    return f"Do not rely on it: {message}, most {worst.location()} ({worst.phrase()})."


def _diverging(document: Assessment) -> str:
    """Return the channel that diverges first, and after how many steps."""
    steps = diverging_steps(document.accuracy)
    if not steps:
        return "its predictions are not finite over the horizon"
    step, name = min(steps)
    return f"predictions of {name} are not finite from {counted(step, 'steps')} ahead"


def diverging_steps(accuracy: Mapping[str, Accuracy]) -> list[tuple[int, str]]:
    """Return all steps and channels at which the predictions of the model are not finite."""
    channels = accuracy[MODEL].channels if MODEL in accuracy else {}
    return [
        (step, name)
        for name, line in channels.items()
        for step, error in enumerate(line.by_step, 1)
        if not math.isfinite(error)
    ]


def _policy(document: Assessment) -> str:
    """Return the sentence with a policy's return in its environment, or its error on logs."""
    metrics = document.metrics
    if metrics.returns:
        return f"{_returns(document, metrics.returns)}{_successes(metrics.success or {})}."
    if not math.isfinite(metrics.nrmse.get(MODEL, math.nan)) or not metrics.test:
        return ""
    compared = _compared(document)
    return f"This policy differs from logged actions by {_errors(document)}, {compared}."


def _returns(document: Assessment, returns: Mapping[str, float]) -> str:
    episodes = document.windows.episodes
    gain = document.gains.get("random")
    over = f" over {counted(episodes, 'episodes')}" if episodes else ""
    remarks = [
        f"{spoken(who)} {amount(returns[who])}"
        for who in ("random", "champion")
        if math.isfinite(returns.get(who, math.nan))
    ]
    if gain is not None:
        low, high = gain.returns
        remarks.append(f"95 % interval of the gain over random {amount(low)} to {amount(high)}")
    inside = f" ({'; '.join(remarks)})" if remarks else ""
    model = returns.get(MODEL, math.nan)
    return f"This policy has a mean return of {amount(model)}{over}{inside}"


def _successes(success: Mapping[str, float]) -> str:
    share, random_share = (success.get(name, math.nan) for name in (MODEL, "random"))
    if math.isnan(share):
        return ""
    random_text = (
        f" (random actions {percent(random_share)})" if math.isfinite(random_share) else ""
    )
    return f" and succeeds in {percent(share)} of them{random_text}"
