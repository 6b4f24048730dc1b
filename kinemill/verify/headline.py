"""Headline of a model: its kind, errors in units, the comparison, and the verdict.

A pure function of `verification.json` or `evaluation.json`, and of what the registry decided, so
that the terminal, the report, MLflow and Dagster all begin with the same words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kinemill.store import Json
from kinemill.verify.findings import (
    MODEL,
    Cell,
    best_reference,
    cells_of,
    errors_of,
    facts_of,
    worse_findings,
)
from kinemill.verify.labels import kind_of, spoken
from kinemill.verify.phrases import (
    amount,
    counted,
    evidence_words,
    interval_words,
    less_or_more,
    listed,
    percent,
    to_float,
)

Tone = Literal["good", "warning", "bad"]
_CHANNELS = 4  # channels named; of more, the three whose error compares worst
_CAUSES = {  # rule of the gate: what a refusal means; {} is what the line is about
    "verified": "the exported files failed verification",
    "finite": "its predictions diverge",
    "precision": "float32 is not precise enough for it",
    "parity": "the exported files do not compute what was trained",
    "serves": "it does not load in the serving runtime",
    "independent": "its test data repeat its training data",
    "no_worse": "it is significantly worse than {}",
    "beats": "it is not better than {}",
    "interval": "it is not significantly better than {}",
    "evidence": "there is too little test data",
    "channels": "{} became worse than the champion's",
    "stability": "its long rollouts diverge",
    "interface": "its interface is not the champion's",
    "latency": "it is too slow",
    "size": "it is too large",
    "freshness": "its data are too old",
    "measured": "the gate measured another error than verification",
}


@dataclass(frozen=True)
class Headline:
    """One or two sentences, and their tone.

    Attributes:
        performance: what the model is, its errors, the best reference; plain text.
        verdict: whether to trust it, and why; plain text.
        tone: `good` if the model can be trusted, `warning` if that is open, `bad` if not.
    """

    performance: str
    verdict: str
    tone: Tone

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.performance} {self.verdict}".strip()


@dataclass(frozen=True)
class GateDecision:
    """Decision of the registry about a version.

    Attributes:
        decision: `champion`, `refused` or `waiting` (for approval); None while undecided.
        failed: lines of the gate that failed (`rule`, `found`), the fundamental causes first.
        provisional: what a champion with too little test data lacks, and what to do; else empty.
        address: of the version, as `cart_pole:3`.
        champion: the version that was champion at the decision; None without one.
        former: whether another version has become champion since.
        override: whether a user made it champion although the gate refused it.
    """

    decision: str | None
    failed: Sequence[Mapping[str, Any]] = ()
    provisional: str = ""
    address: str = ""
    champion: int | None = None
    former: bool = False
    override: bool = False


def headline(document: Json, decision: GateDecision | None = None) -> Headline:
    """Return the first line about a model.

    Args:
        document: `verification.json` or `evaluation.json`.
        decision: what the registry decided; None before that, and for an evaluation.
    """
    return replace(verdict_of(document, decision), performance=performance(document))


def performance(document: Json) -> str:
    """Return the sentence about what a model is, its errors in units, and the best reference."""
    if document.get("form") == "policy":
        return _policy(document)
    test, nrmse = errors_of(document)
    subject = f"This {kind_of(document.get('model'))}"
    windows = document.get("windows", {})
    seconds = to_float(windows.get("seconds"))
    horizon = f"{amount(seconds)} s ahead" if seconds > 0 else "at the horizon"
    if MODEL not in nrmse or not test:
        return ""
    if nrmse[MODEL] is None:
        return f"{subject} diverges: {_diverging(document)}."
    return f"{subject} has an RMSE of {_errors(document, test)} {horizon}, {_compared(document)}."


def verdict_of(document: Json, decision: GateDecision | None = None) -> Headline:
    """Return the sentence that says whether to trust a model, alone."""
    if decision is not None and decision.decision is not None:
        return decision_text(decision)
    failed = [str(gate["name"]) for gate in document.get("gates", []) if not gate["passed"]]
    if failed:
        more = f" and {counted(len(failed) - 3, 'more checks')}" if len(failed) > 3 else ""
        return Headline("", f"Do not use it: {listed(failed[:3])}{more} failed.", "bad")
    diverged = errors_of(document)[1].get(MODEL, 0.0) is None
    if cells := worse_findings(document):
        return Headline("", _worse(document, cells), "bad")
    if diverged:
        return Headline("", "Do not use it.", "bad")
    if document.get("passed") is None:
        return Headline("", "", "good")
    message = "All checks of the exported files passed; the gate has not decided."
    return Headline("", message, "warning")


def decision_text(decision: GateDecision) -> Headline:
    """Return what the registry decided, and why, in one sentence, alone."""
    name = decision.address or "It"
    if decision.decision == "champion":
        return _champion_words(decision, name)
    if decision.decision == "waiting":
        return Headline("", f"{name} waits for approval: kinemill model approve {name}.", "warning")
    if decision.decision is None:
        message = (
            "the gate has not decided; its registration was interrupted, kinemill run completes it"
        )
        return Headline("", f"{name}: {message}.", "warning")
    if decision.override:
        message = f"{name} is champion by manual override; the gate refused it"
        return Headline("", f"{message}: {causes(decision.failed)}.", "bad")
    return Headline(
        "", f"{name} is refused: {causes(decision.failed)}{_unchanged_champion(decision)}.", "bad"
    )


def _champion_words(decision: GateDecision, name: str) -> Headline:
    if decision.former:
        return Headline("", f"{name} was champion; another version is now.", "warning")
    if decision.provisional:
        message = f"{name} is provisional champion: {decision.provisional.rstrip('.')}."
        return Headline("", message, "warning")
    instead = f" instead of version {decision.champion}" if decision.champion else ""
    message = f"{name} is champion{instead}: it passed every rule of the gate."
    return Headline("", message, "good")


def causes(failed: Sequence[Mapping[str, Any]], most: int = 2) -> str:
    """Return why the gate refused a model: the first causes in words, the rest counted."""
    message = list(dict.fromkeys(map(_cause, failed)))
    more = len(message) - most
    return listed(message[:most] + ([counted(more, "more reasons")] if more > 0 else []))


def _cause(failed: Mapping[str, Any]) -> str:
    line = str(failed["rule"])
    if line == "verified":
        checks = str(failed["value"]).removeprefix("failed: ")
        return f"{_CAUSES[line]} ({checks})"
    for rule, text in _CAUSES.items():
        if line == rule or line.startswith(f"{rule}_"):
            about = line.removeprefix(rule).removeprefix("_")
            name = about if rule == "channels" else spoken(about)
            if str(failed["value"]) == "was not measured" and about:
                return f"it was not compared with {name}"
            return text.format(name)
    return f"rule {line} failed"


def _unchanged_champion(decision: GateDecision) -> str:
    return f"; version {decision.champion} stays champion" if decision.champion else ""


def _errors(document: Json, test: Json) -> str:
    """Return RMSE and unit by channel: all of few channels, of many those that compare worst."""
    lines = {name: line for name, line in test.items() if "note" not in line} or test
    names = list(lines)
    if len(names) > _CHANNELS:
        best = best_reference(document)

        def relative(name: str) -> float:
            ratio = to_float(lines[name].get(MODEL)) / (to_float(lines[name].get(best)) or 1.0)
            return -ratio if math.isfinite(ratio) else 0.0

        names = sorted(names, key=relative)[: _CHANNELS - 1]
    message = [f"{amount(to_float(lines[n].get(MODEL)))} {lines[n]['unit']} ({n})" for n in names]
    more = len(lines) - len(names)
    return listed(message + ([counted(more, "more channels")] if more else []))


def _compared(document: Json) -> str:
    best = best_reference(document)
    if best is None:
        return "and no reference stays finite on these data"
    against = document.get("against", {}).get(best, {})
    nrmse = errors_of(document)[1]
    ratio = to_float(against.get("ratio"))
    if math.isnan(ratio):
        ratio = to_float(nrmse[MODEL]) / (to_float(nrmse[best]) or 1.0)
    low, high = (to_float(end) for end in against.get("interval") or (None, None))
    name = f"the best reference, {spoken(best, facts_of(document, best))}"
    if low <= 1.0 <= high:
        inside = f"{interval_words(low, high)}; {evidence_words(against)}"
        return f"which is not significantly different from {name}: {_bare(ratio)} ({inside})"
    size = interval_words(low, high) or evidence_words(against)
    inside = f" ({size})" if size else ""
    return f"{less_or_more(ratio)} {name}{inside}"


def _bare(ratio: float) -> str:
    return less_or_more(ratio).removesuffix(" than").removesuffix(" as").removesuffix(" of")


def _worse(document: Json, cells: Sequence[Cell]) -> str:
    """Say in how many comparisons a reference is better, and name the worst."""
    every = sum(cell.state != "uncounted" for cell in cells_of(document).values())
    worst = cells[0]
    message = f"a reference is better in {len(cells)} of {counted(every, 'comparisons')}"
    return f"Do not rely on it: {message}, most {worst.location()} ({worst.phrase()})."


def _diverging(document: Json) -> str:
    """Say which channel stops being finite first, and after how many steps."""
    channels = document.get("accuracy", {}).get(MODEL, {}).get("channels", {})
    steps = [
        (step, name)
        for name, line in channels.items()
        for step, error in enumerate(line.get("by_step", []), 1)
        if error is None
    ]
    if not steps:
        return "its predictions do not stay finite over the horizon"
    step, name = min(steps)
    return f"predictions of {name} are not finite from {counted(step, 'steps')} ahead"


def _policy(document: Json) -> str:
    """Return what a policy reaches in its environment, or how its actions differ from logs."""
    metrics = document["metrics"]
    returns: Mapping[str, Any] = metrics.get("return", {})
    if returns:
        return f"{_returns(document, returns)}{_successes(metrics.get('success', {}))}."
    test, nrmse = metrics["test"], metrics["nrmse"]
    if nrmse.get(MODEL) is None or not test:
        return ""
    compared = _compared(document)
    return f"This policy differs from logged actions by {_errors(document, test)}, {compared}."


def _returns(document: Json, returns: Mapping[str, Any]) -> str:
    episodes = document.get("windows", {}).get("episodes")
    over = f" over {counted(episodes, 'episodes')}" if episodes else ""
    others = [
        f"{spoken(who)} {amount(to_float(returns[who]))}"
        for who in ("random", "champion")
        if returns.get(who) is not None
    ]
    low, high = document.get("against", {}).get("random", {}).get("return") or (None, None)
    if low is not None and high is not None:
        others.append(f"95 % interval of the gain over random {amount(low)} to {amount(high)}")
    inside = f" ({'; '.join(others)})" if others else ""
    return f"This policy has a mean return of {amount(to_float(returns.get(MODEL)))}{over}{inside}"


def _successes(success: Mapping[str, Any]) -> str:
    share, random_share = to_float(success.get(MODEL)), to_float(success.get("random"))
    if math.isnan(share):
        return ""
    other = f" (random actions {percent(random_share)})" if math.isfinite(random_share) else ""
    return f" and succeeds in {percent(share)} of them{other}"
