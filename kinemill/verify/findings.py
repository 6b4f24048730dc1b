"""Comparisons of a model with each reference: the most important ones, and which ones count."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinemill.verify.comparison import FREE_RUN, MARGIN, NRMSE, Comparison, Comparisons
from kinemill.verify.document import Assessment
from kinemill.verify.losses import SKILL, Counted, Loss, all_losses, counts_between_peers, peers_of
from kinemill.verify.phrases import evidence_words, less_or_more, spoken

MODEL = "model"
CHAMPION = "champion"
# better, worse: the difference is significant. behind: worse by the interval of this comparison,
# but not significant among all comparisons, or within the margin. even: no significant difference.
# uncounted: no reference predicts so far, the task leaves it out, or the model is a reference too.
State = Literal["better", "worse", "behind", "even", "uncounted"]


@dataclass(frozen=True)
class Cell:
    """The model compared with the strongest reference at one horizon and on one channel.

    Attributes:
        horizon: steps ahead as text, or `free_run`.
        channel: name of a channel, or `nrmse` for their mean.
        reference: the reference with the smallest error; if the model is worse than some
            references, the one with the largest ratio.
        state: result of the comparison, and whether it counts in the gate.
    """

    horizon: str
    channel: str
    reference: str
    comparison: Comparison
    state: State

    def location(self) -> str:
        """Return the place as a phrase: `on angle 1 step ahead`."""
        channel = "" if self.channel == NRMSE else f"on {self.channel} "
        return f"{channel}{horizon_words(self.horizon)}"

    def phrase(self) -> str:
        """Return the comparison as a phrase: `2.1 times the error of persistence, 95 % ...`."""
        comparison = self.comparison
        size = (
            less_or_more(comparison.ratio)
            if math.isfinite(comparison.ratio)
            else "diverged, unlike"
        )
        inside = evidence_words(comparison)
        return ", ".join(filter(None, [f"{size} {spoken(self.reference)}", inside]))


def horizon_words(horizon: str) -> str:
    """Return a horizon in words: `1 step ahead`, `25 steps ahead`, `in free run`."""
    if horizon == FREE_RUN:
        return "in free run"
    return f"{horizon} step{'s' * (horizon != '1')} ahead"


def model_reference(document: Assessment) -> str | None:
    """Return the name of the reference that the model is; None for a trained model."""
    return document.model.reference if document.model else None


def best_reference(nrmse: Mapping[str, float], excluded: str | None = None) -> str | None:
    """Return the reference with the smallest nRMSE at the horizon; None if none is finite.

    `excluded` is the reference that the model is, which is not compared with itself.
    """
    references = {
        name: error
        for name, error in nrmse.items()
        if name not in (MODEL, CHAMPION, excluded) and math.isfinite(error)
    }
    return min(references, key=lambda name: references[name], default=None)


def best_in(document: Assessment) -> str | None:
    """Return the reference of a document with the smallest nRMSE at the horizon, if any."""
    return best_reference(document.metrics.nrmse, model_reference(document))


def history_of(document: Assessment, reference: str) -> int | None:
    """Return the rows of history of a reference; None if unknown."""
    families = document.references.families if document.references else {}
    return families[reference].history if reference in families else None


def compared_with(document: Assessment) -> dict[str, Comparisons]:
    """Return the comparisons with each reference except the model itself, at every horizon."""
    reference = model_reference(document)
    return {
        name: comparisons for name, comparisons in document.against.items() if name != reference
    }


def cells_of(document: Assessment) -> dict[tuple[str, str], Cell]:
    """Return the most important comparison at each horizon and on each channel."""
    compared = compared_with(document)
    horizons = list(dict.fromkeys(key for comparisons in compared.values() for key in comparisons))
    counted = document.counted or Counted(tuple(horizons), None, MARGIN)
    rules = _Rules(counted, model_reference(document), document.windows.horizon)
    lost = _losses(compared, rules)
    keys = dict.fromkeys(
        (horizon, channel)
        for horizon in horizons
        for comparisons in compared.values()
        for channel in comparisons.get(horizon, {})
    )
    comparisons = {key: _cell(key, compared, lost, rules) for key in keys}
    return {key: cell for key, cell in comparisons.items() if cell is not None}


def worse_findings(document: Assessment) -> list[Cell]:
    """Return the comparisons that the gate counts as losses, the largest ratio first."""
    worse = [cell for cell in cells_of(document).values() if cell.state == "worse"]
    return sorted(worse, key=lambda cell: -cell.comparison.ratio)


@dataclass(frozen=True)
class _Rules:
    """Rules of the gate: which comparisons count, the reference that is the model, and T."""

    counted: Counted
    model_reference: str | None
    last: int

    def count(self, horizon: str, channel: str, reference: str) -> bool:
        """Return whether the gate counts a comparison with a reference."""
        if reference in peers_of(self.model_reference) and not counts_between_peers(
            horizon, channel, self.last
        ):
            return False
        channels = self.counted.channels
        return horizon in self.counted.horizons and (channels is None or channel in channels)


def _losses(
    compared: Mapping[str, Comparisons], rules: _Rules
) -> dict[tuple[str, str], list[Loss]]:
    """Return the comparisons that the gate counts as losses, by horizon and channel."""
    losses: dict[tuple[str, str], list[Loss]] = {}
    lines = all_losses(compared, rules.counted, rules.model_reference, rules.last).values()
    for loss in (loss for line in lines for loss in line):
        if loss.comparison is not None:
            losses.setdefault((loss.horizon, loss.channel), []).append(loss)
    return losses


def _cell(
    key: tuple[str, str],
    compared: Mapping[str, Comparisons],
    lost: Mapping[tuple[str, str], list[Loss]],
    rules: _Rules,
) -> Cell | None:
    horizon, channel = key
    worst = max(lost.get(key, []), key=lambda loss: _ratio(loss.comparison), default=None)
    if worst is not None and worst.comparison is not None:
        return Cell(horizon, channel, worst.reference, worst.comparison, "worse")
    opponents = {
        name: comparisons[horizon][channel]
        for name, comparisons in compared.items()
        if channel in comparisons.get(horizon, {})
    }
    finite = {
        name: opponent for name, opponent in opponents.items() if math.isfinite(opponent.reference)
    }
    if not finite:
        return None
    name = min(finite, key=lambda opponent: finite[opponent].reference)
    state = _state(finite[name], horizon)
    if state != "better" and not rules.count(horizon, channel, name):
        state = "uncounted"
    return Cell(horizon, channel, name, finite[name], state)


def _state(comparison: Comparison, horizon: str) -> State:
    if comparison.high < 1.0:
        return "better"
    if horizon == FREE_RUN and comparison.reference > SKILL:
        return "uncounted"  # see `losses.SKILL`
    return "behind" if comparison.low > 1.0 else "even"


def _ratio(comparison: Comparison | None) -> float:
    return (
        comparison.ratio
        if comparison is not None and not math.isnan(comparison.ratio)
        else math.inf
    )
