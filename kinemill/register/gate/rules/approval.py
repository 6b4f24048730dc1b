"""A user approved the version, if the task requires it."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("approval")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if a user approved the version, when `promote.approval` is set.

    Refused: the version waits for approval: kinemill model approve TASK:VERSION.
    """
    if not inputs.task.promote.approval:
        return []
    given = inputs.approval
    found = f"by {given.who}, {given.at}" if given else "not yet"
    return [Verdict("approval", given is not None, found, "an approval: kinemill model approve")]
