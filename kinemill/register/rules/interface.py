"""Whoever runs the champion can run the challenger: same channels, units, time step, history."""

from kinemill.register.rules import NOBODY, RULES, Contest, Verdict


@RULES.register("interface")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when channels, units, dt and history are the champion's, or approved as breaking.

    Refused: programs on robots would have to be changed first; when they are,
    kinemill approve TASK:VERSION --breaking lets it through.
    """
    champion = contest.champion
    if not contest.task.promote.same_interface:
        return []
    if champion is None:
        return [Verdict("interface", passed=True, found=NOBODY, wanted=f"{NOBODY}, or as it")]
    wanted = f"as champion version {champion.version}"
    if champion.differs == ():
        return [Verdict("interface", passed=True, found="the same", wanted=wanted)]
    found = "; ".join(champion.differs) if champion.differs else str(champion.problem)
    if contest.approval is not None and contest.approval.breaking and champion.differs:
        return [Verdict("interface", True, f"{found}; approved by {contest.approval.who}", wanted)]
    return [Verdict("interface", False, found, wanted)]
