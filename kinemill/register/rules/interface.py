"""Whoever runs the champion can run the challenger: same channels, units, time step, history.

Where one of the two is a reference the history may differ: it follows from which model won.
"""

from kinemill.register.rules import NOBODY, RULES, Champion, GateInputs, Verdict

_OF_REFERENCES = "a reference has a history of its own"


@RULES.register("interface")
def judge(contest: GateInputs) -> list[Verdict]:
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
    differs = _counted(contest, champion)
    if differs == ():
        told = "; ".join((*(champion.differs or ()), _OF_REFERENCES) if champion.differs else ())
        return [Verdict("interface", passed=True, found=told or "the same", wanted=wanted)]
    found = "; ".join(differs) if differs else str(champion.problem)
    if contest.approval is not None and contest.approval.breaking and champion.differs:
        return [Verdict("interface", True, f"{found}; approved by {contest.approval.who}", wanted)]
    return [Verdict("interface", False, found, wanted)]


def _counted(contest: GateInputs, champion: Champion) -> tuple[str, ...] | None:
    """Return the differences that count; None where they cannot be told."""
    about = contest.verification.get("model") or {}
    if champion.differs is None or not (champion.reference or about.get("reference")):
        return champion.differs
    # A task that allows references cannot promise a history: that of a linear model is its own.
    return tuple(line for line in champion.differs if not line.startswith("history "))
