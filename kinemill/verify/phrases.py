"""Phrases for comparisons: ratios of errors, their intervals and their sample size."""

import math
from collections.abc import Sequence

from kinemill.verify.comparison import Comparison

_TWICE = 2.0  # ratio from which a factor is stated instead of a percentage
_SAME = 0.005  # a smaller relative difference rounds to 0 %


def listed(items: Sequence[str]) -> str:
    """Join items as a sentence does: a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def percent(share: float, *, bare: bool = False) -> str:
    """Return a share as percent, with a decimal where 100 % would claim too much."""
    digits = 1 if 0.99 <= share < 1.0 else 0
    return f"{100.0 * share:,.{digits}f}{'' if bare else ' %'}"


def counted(number: float, unit: str) -> str:
    """Return a count with its unit, which loses its plural s for one; at most one decimal."""
    text = f"{number:.0f}" if number >= 10 or number == round(number) else f"{number:.1f}"
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


def amount(value: float) -> str:
    """Return an error with three digits."""
    if not math.isfinite(value):
        return "not finite"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.1e}"
    return f"{value:.3g}"


def less_or_more(ratio: float) -> str:
    """Describe the ratio of two errors: `37 % less error than`, `4.25 times the error of`."""
    if ratio >= _TWICE:
        return f"{amount(ratio)} times the error of"
    if abs(1.0 - ratio) < _SAME:
        return "the same error as"
    return f"{percent(abs(1.0 - ratio))} {'less' if ratio < 1.0 else 'more'} error than"


def interval_words(low: float, high: float) -> str:
    """Return the 95 % interval of a ratio in the words of `less_or_more`; nothing without one."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if high <= 1.0:
        ends = f"{percent(1.0 - high, bare=True)} to {percent(1.0 - low)} less"
    elif low >= _TWICE:
        ends = f"{amount(low)} to {amount(high)} times"
    elif low >= 1.0:
        ends = f"{percent(low - 1.0, bare=True)} to {percent(high - 1.0)} more"
    else:
        ends = f"{percent(1.0 - low)} less to {percent(high - 1.0)} more"
    return f"95 % interval {ends}"


def evidence_words(comparison: Comparison) -> str:
    """Return the sample size of a comparison and its detectable difference."""
    if not math.isfinite(comparison.effective_n):
        return ""
    text = counted(comparison.effective_n, f"independent {comparison.unit}")
    if not math.isfinite(comparison.detectable):
        return f"{text}, too few for an interval"
    return f"{text}; a difference under {percent(comparison.detectable)} would not be found"
