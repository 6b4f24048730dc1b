"""Gate rules, one file each: the conditions for a challenger to become champion.

A rule maps `GateInputs` to verdicts: none if the task does not enable it, else one per comparison,
named `<rule>` or `<rule>_<what>`. A verdict passes only if a comparison is true, so NaN never
passes. Dagster shows the docstring of a rule. `kinemill model why` prints the text after
`Refused:`.
"""

from collections.abc import Callable

from kinemill.register.gate.inputs import (
    NO_CHAMPION,
    Approval,
    Champion,
    GateInputs,
    Measured,
    Paired,
    RowOverlap,
    to_json_number,
)
from kinemill.register.verdict import Value, Verdict
from kinemill.registry import Registry

Rule = Callable[[GateInputs], list[Verdict]]
RULES: Registry[Rule] = Registry("kinemill.register.gate.rules", "gate rule")


def is_of(rule: str, line: str) -> bool:
    """Return whether a line of a decision belongs to this rule."""
    return line == rule or line.startswith(f"{rule}_")


__all__ = [
    "NO_CHAMPION",
    "RULES",
    "Approval",
    "Champion",
    "GateInputs",
    "Measured",
    "Paired",
    "RowOverlap",
    "Value",
    "Verdict",
    "is_of",
    "to_json_number",
]
