"""Gates: the lines of a verdict. A comparison with NaN fails its gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kinemill.errors import join_first


@dataclass(frozen=True)
class Gate:
    """One line of a verdict.

    Attributes:
        name: name of the check.
        passed: whether the condition holds.
        value: the result, as text.
        expected: the condition, as text.
    """

    name: str
    passed: bool
    value: str
    expected: str


def gate(name: str, faults: Sequence[str], expected: str, value: str = "no faults") -> Gate:
    """Return a gate that passes if there are no faults; its value lists up to three of them."""
    return Gate(name, not faults, join_first(faults, 3, "; ") if faults else value, expected)


def finite(name: str, passed: bool) -> Gate:
    """Return a gate that requires finite numbers."""
    return Gate(name, passed, "finite" if passed else "not finite", "finite everywhere")


def try_check(name: str, check: Callable[[], list[Gate]]) -> list[Gate]:
    """Run a check; an exception becomes a failed gate."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many unrelated types
        return [Gate(name, False, first_line(error), "runs")]


def first_line(error: Exception) -> str:
    """Return the first line of an error message, or the name of its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
