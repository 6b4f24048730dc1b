"""The promotion gate: rules that a challenger has to pass to become champion.

Input: a verified challenger, the champion and their measurements on the test split. Output: one
`Verdict` for each line, and a `Conclusion`: champion, waiting for approval, or refused.

    inputs = make_gate_inputs(task, challenger, current, make_measurements(task, home, dataset))
    verdicts = evaluate(inputs)
    conclusion = conclude(inputs, verdicts)

The statistics are in `kinemill.verify.significance` and `kinemill.verify.losses`, because reports
of verifications show them as well.
"""

from kinemill.register.gate.evaluation import (
    Challenger,
    Conclusion,
    CurrentChampion,
    approval_of,
    conclude,
    differences,
    evaluate,
    make_gate_inputs,
    make_measurements,
)
from kinemill.register.gate.inputs import (
    Approval,
    ChampionComparison,
    Findings,
    GateInputs,
    Measured,
    Measurements,
    Paired,
    RowOverlap,
    Serve,
)
from kinemill.register.gate.refusal_causes import ranked
from kinemill.register.gate.report import why
from kinemill.register.gate.rules import RULES, is_of
from kinemill.register.verdict import Verdict

__all__ = [
    "RULES",
    "Approval",
    "Challenger",
    "ChampionComparison",
    "Conclusion",
    "CurrentChampion",
    "Findings",
    "GateInputs",
    "Measured",
    "Measurements",
    "Paired",
    "RowOverlap",
    "Serve",
    "Verdict",
    "approval_of",
    "conclude",
    "differences",
    "evaluate",
    "is_of",
    "make_gate_inputs",
    "make_measurements",
    "ranked",
    "why",
]
