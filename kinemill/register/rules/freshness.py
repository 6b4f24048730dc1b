"""What it learned from is recent enough, when the task says how recent that is."""

from kinemill.register.rules import RULES, GateInputs, Verdict

DAY = 86400.0  # s


@RULES.register("freshness")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when its dataset version was made at most `promote.max_data_age` before the decision.

    Refused: new logs first (kinemill ingest, kinemill run), or a larger promote.max_data_age.
    """
    bound = contest.task.promote.max_data_age
    if bound is None:
        return []
    passed = 0.0 <= contest.age <= bound
    found = f"dataset of {contest.age / DAY:.3g} days"
    return [Verdict("freshness", passed, found, f"<= {bound / DAY:.3g} days")]
