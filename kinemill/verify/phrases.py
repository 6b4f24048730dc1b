"""Text for comparisons: names of models, ratios of errors, their intervals and sample size."""

import math
from collections.abc import Sequence

from kinemill.task.own_code import is_own
from kinemill.verify.comparison import Comparison
from kinemill.verify.document import ModelKind

LABELS: dict[str, str] = {
    "model": "this model",
    "champion": "champion",
    "persistence": "persistence",
    "constant_velocity": "constant velocity",
    "linear": "linear",
    "linear_sincos": "linear, sin/cos",
    "physics": "fitted physics",
    "random": "random actions",
    "mean": "mean action",
    "repeat": "repeat last action",
    "nearest": "nearest demonstration",
}
_NAMES = {  # in a sentence
    "constant_velocity": "constant velocity",
    "linear": "the linear model",
    "linear_sincos": "the linear model with sin/cos features",
    "physics": "the fitted physics model",
    "champion": "the champion",
    "random": "random actions",
    "mean": "the mean action",
    "repeat": "repeating the last observed action",
    "nearest": "the nearest demonstration",
}
_KINDS = {
    "arx": "linear model",
    "narx": "NARX model",
    "pnlss": "PNLSS model",
    "storages": "model of storages in series",
    **{name: name.upper() for name in ("mlp", "rnn", "gru", "lstm")},
}
_TWICE = 2.0  # from this ratio on, the text has a factor instead of a percentage
FEWEST_STATED = 3.0  # independent episodes or stretches; with fewer a text has no interval
_WIDEST = 100.0  # ratio of the ends of an interval that says nothing about the sign
_ROUNDING = 1e-9  # of an effective sample size
_SAME = 0.005  # a smaller relative difference would round to 0 %


def listed(items: Sequence[str]) -> str:
    """Join items as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def percent(share: float, *, bare: bool = False) -> str:
    """Format a share (1.0 is 100 %) as percent, with a decimal if it would round up to 100 %."""
    digits = 1 if 0.99 <= share < 1.0 else 0
    return f"{100.0 * share:,.{digits}f}{'' if bare else ' %'}"


def counted(number: int, unit: str) -> str:
    """Format a count with its unit in the plural, which becomes the singular for 1."""
    singular = unit.removesuffix("es" if unit.endswith("ches") else "s")
    return f"{number} {singular if number == 1 else unit}"


def amount(value: float) -> str:
    """Format a number in any unit with three significant digits, or all digits from 1,000 on."""
    if not math.isfinite(value):
        return "not finite"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.1e}"
    return f"{value:.3g}"


def less_or_more(ratio: float) -> str:
    """Describe the ratio of two errors, such as `37 % less error than`."""
    if ratio >= _TWICE:
        return f"{amount(ratio)} times the error of"
    if abs(1.0 - ratio) < _SAME:
        return "the same error as"
    return f"{percent(abs(1.0 - ratio))} {'less' if ratio < 1.0 else 'more'} error than"


def interval_words(low: float, high: float) -> str:
    """Describe the 95 % interval of a ratio like `less_or_more`; empty without an interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if high <= 1.0:
        ends = f"{percent(1.0 - high, bare=True)} to {percent(1.0 - low)} less"
    elif high >= _TWICE:
        ends = f"{amount(low)} to {amount(high)} times"
    elif low >= 1.0:
        ends = f"{percent(low - 1.0, bare=True)} to {percent(high - 1.0)} more"
    else:
        ends = f"{percent(1.0 - low)} less to {percent(high - 1.0)} more"
    return f"95 % interval {ends}"


def is_interval_stated(comparison: Comparison) -> bool:
    """Return whether texts state the interval of a comparison.

    An interval that includes 1 says nothing if it is from fewer than `FEWEST_STATED` samples, or
    wider than a factor of 100.
    """
    low, high = comparison.low, comparison.high
    if not low <= 1.0 <= high:
        return math.isfinite(low) and math.isfinite(high)
    return high <= _WIDEST * low and not comparison.effective_n < FEWEST_STATED


def evidence_words(comparison: Comparison) -> str:
    """Describe the interval of a comparison, or why the test data are too few for one."""
    if is_interval_stated(comparison):
        return interval_words(comparison.low, comparison.high)
    if math.isnan(comparison.effective_n):
        return ""
    return f"{shortage_words(comparison)} to say how much of it is chance"


def shortage_words(comparison: Comparison) -> str:
    """Return that a comparison has too few test data, such as `2 test episodes are too few`."""
    whole = whole_samples(comparison.effective_n)
    if comparison.unit == "episodes" and whole < comparison.episodes:
        have = "has" if whole == 1 else "have"
        return f"{whole} of {comparison.episodes} test episodes {have} most of the error: too few"
    are = "is" if whole == 1 else "are"
    return f"{samples(comparison.effective_n, comparison.unit)} {are} too few"


def whole_samples(number: float) -> int:
    """Return an effective sample size as a whole number; it is a sum of rounded shares."""
    return math.floor(number + _ROUNDING)


def samples(number: float, unit: str) -> str:
    """Describe an effective sample size, rounded down: `3 test episodes`, or stretches of them."""
    whole = whole_samples(number)
    text = counted(whole, "test episodes" if unit == "episodes" else "separate stretches")
    return text if unit == "episodes" else f"{text} of test data"


def label(name: str) -> str:
    """Return the name for a table head or a legend."""
    return LABELS.get(name, name.replace("_", " "))


def spoken(name: str, history: int | None = None) -> str:
    """Return the name for a sentence, with the rows of history if there are at least two."""
    text = _NAMES.get(name, name.replace("_", " "))
    if history is None or history < 2:
        return text
    return f"{text} {'and' if ' with ' in text else 'with'} {history} rows of history"


def kind_of(model: ModelKind | None) -> str:
    """Return the kind of a model for a sentence; `model` if it is unknown."""
    if model is None:
        return "model"
    if model.reference:
        return spoken(model.reference, model.history).removeprefix("the ")
    kind = model.kind
    if is_own(kind):
        return f"{kind} model"
    return _KINDS.get(kind, f"{kind.replace('_', ' ')} model" if kind else "model")
