"""A person has agreed, when the task wants that."""

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("approval")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when somebody approved the version, if `promote.approval` asks for it.

    Refused: it waits for a person: kinemill approve TASK:VERSION.
    """
    if not contest.task.promote.approval:
        return []
    given = contest.approval
    found = f"by {given.who}, {given.at}" if given else "not yet"
    return [Verdict("approval", given is not None, found, "a person's: kinemill approve")]
