"""What a verdict is made of: one line a question, each asked so that NaN fails it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """One line of the verdict."""

    name: str
    passed: bool
    found: str
    wanted: str


def gate(name: str, wrong: list[str], wanted: str, fine: str = "nothing wrong") -> Gate:
    """Return a line that passes if nothing is wrong; of many wrong things it tells three."""
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Gate(name, not wrong, "; ".join(wrong[:3]) + more if wrong else fine, wanted)
