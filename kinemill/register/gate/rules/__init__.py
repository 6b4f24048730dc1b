"""Gate rules, one file each: the conditions for a challenger to become champion.

A rule maps `GateInputs` to verdicts: none if the task does not enable it, else one per comparison,
named `<rule>` or `<rule>_<what>`. It is a function, or a `GateRule`: a class with settings, which a
task sets in `promote.rules`. A verdict passes only if a comparison is true, so NaN never passes.
Dagster shows the docstring of a rule. `kinemill model why` prints the text after `Refused:`.
"""

from collections.abc import Callable, Iterator, Mapping

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
from kinemill.task.plugins import RULES, GateRule

Rule = Callable[[GateInputs], list[Verdict]]


def enabled_rules(settings: Mapping[str, GateRule]) -> Iterator[Rule]:
    """Yield the rules in the order of their names; those with settings if the task sets them.

    Args:
        settings: `promote.rules` of the task.
    """
    for name in RULES:
        rule = RULES[name]
        if not isinstance(rule, type):
            yield rule
        elif name in settings:
            yield settings[name]


__all__ = [
    "NO_CHAMPION",
    "RULES",
    "Approval",
    "Champion",
    "GateInputs",
    "GateRule",
    "Measured",
    "Paired",
    "RowOverlap",
    "Value",
    "Verdict",
    "enabled_rules",
    "to_json_number",
]
