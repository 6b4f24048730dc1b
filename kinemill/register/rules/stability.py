"""Long rollouts stay within physical limits, when the task says how many of them must."""

from kinemill.register.rules import RULES, GateInputs, Verdict, number, shown


@RULES.register("stability")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when at most a share of `promote.max_diverged` of long rollouts diverges.

    Refused: longer rollouts in training (learn.horizon), more damping, or limits on the channels.
    """
    bound = contest.task.promote.max_diverged
    if bound is None:
        return []
    found = number((contest.verification.get("stability") or {}).get("diverged"))
    wanted = f"share that diverges <= {bound:g}"
    return [Verdict("stability", 0.0 <= found <= bound, shown(found), wanted)]
