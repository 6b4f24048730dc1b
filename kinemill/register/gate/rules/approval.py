"""A user approved the version, if the task requires it."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("approval")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if a user approved the version, when `promote.approval` is set.

    Refused: the version waits for approval: kinemill model approve TASK:VERSION.
    """
    if not inputs.task.promote.approval:
        return []
    approval = inputs.approval
    value = f"by {approval.who}, {approval.at}" if approval else "not yet"
    return [Verdict("approval", approval is not None, value, "an approval: kinemill model approve")]
