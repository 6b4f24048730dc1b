"""Sample size of a decision: episodes, and independent blocks of rows."""

import math
from dataclasses import dataclass

from kinemill.register.gate.inputs import GateInputs
from kinemill.register.gate.opponents import headlines
from kinemill.verify.phrases import counted, whole_samples

_ROUNDING = 1e-9  # effective sample sizes are sums of rounded shares


@dataclass(frozen=True)
class SampleSize:
    """Sample size of a decision.

    Attributes:
        episodes: number of test episodes with windows, or of trials.
        blocks: smallest number of independent blocks over the comparisons; NaN without comparisons,
            or if all comparisons use whole episodes or trials.
    """

    episodes: int
    blocks: float = math.nan

    def lacks(self, inputs: GateInputs) -> list[str]:
        """Return the insufficient amounts as text; empty if all are sufficient."""
        promote = inputs.task.promote
        lacking = list[str]()
        if not self.episodes >= promote.min_test_episodes:
            episodes = counted(self.episodes, "test episodes")
            lacking.append(f"{episodes} of {promote.min_test_episodes}")
        if self.blocks < promote.min_independent - _ROUNDING:
            required = f"{promote.min_independent} separate stretches of test data"
            lacking.append(f"{whole_samples(self.blocks)} of {required}")
        return lacking

    def __str__(self) -> str:
        text = counted(self.episodes, "test episodes")
        if math.isnan(self.blocks):
            return text
        return f"{text}, {counted(whole_samples(self.blocks), 'separate stretches')}"


def sample_size_of(inputs: GateInputs) -> SampleSize:
    """Return the sample size of gate inputs.

    Only blocks within episodes are counted. Whole episodes are independent, and a small number of
    them shows in the width of the interval.
    """
    episodes = inputs.measured.episodes if inputs.measured else 0
    comparisons = [
        headline.headline
        for headline in headlines(inputs).values()
        if headline.headline is not None
    ]
    # Whole episodes count only without an interval (NaN), whose width would show their number.
    blocks = [
        comparison.effective_n if math.isfinite(comparison.effective_n) else 0.0
        for comparison in comparisons
        if math.isfinite(comparison.reference)
        and (comparison.unit == "blocks" or math.isnan(comparison.high))
    ]
    return SampleSize(episodes, min(blocks, default=math.nan))


def is_enough(inputs: GateInputs) -> bool:
    """Return whether the test data are as many as the task requires."""
    return not sample_size_of(inputs).lacks(inputs)
