"""Gate rules, one file each: what a challenger must show to become champion.

A rule is a function from `GateInputs` to its verdicts: none when the task does not ask for it, one
for each thing it compares, each called as the rule or `<rule>_<what>`. A pass is always a
comparison that holds, never the absence of one that fails, so that a NaN passes nothing. The
docstring of a rule is shown in Dagster; what follows `Refused:` is what `kinemill why` advises.
"""

from collections.abc import Callable

from kinemill.register.comparison import (
    NOBODY,
    Approval,
    Champion,
    GateInputs,
    Measured,
    Paired,
    Repeated,
    Value,
    Verdict,
    number,
    shown,
)
from kinemill.registry import Registry

Rule = Callable[[GateInputs], list[Verdict]]
RULES: Registry[Rule] = Registry("kinemill.register.rules", "gate rule")


def is_of(rule: str, line: str) -> bool:
    """Tell whether a line of a decision is one of this rule's."""
    return line == rule or line.startswith(f"{rule}_")


__all__ = [
    "NOBODY",
    "RULES",
    "Approval",
    "Champion",
    "GateInputs",
    "Measured",
    "Paired",
    "Repeated",
    "Rule",
    "Value",
    "Verdict",
    "is_of",
    "number",
    "shown",
]
