"""The challenger has the champion's interface: channels, units, time step and history.

The history may differ where one of the two is a reference.
"""

from kinemill.register.gate.rules import NO_CHAMPION, RULES, Champion, GateInputs, Verdict

_OF_REFERENCES = "the history of a reference may differ"


@RULES.register("interface")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if channels, units, dt and history are the champion's, or approved as breaking.

    Refused: change the programs on the robots first, then run
    kinemill model approve TASK:VERSION --breaking.
    """
    champion = inputs.champion
    if not inputs.task.promote.same_interface:
        return []
    if champion is None:
        return [Verdict("interface", True, NO_CHAMPION, f"{NO_CHAMPION}, or the same interface")]
    expected = f"as champion version {champion.version}"
    differs = _counted(inputs, champion)
    if differs == ():
        text = "; ".join((*(champion.differs or ()), _OF_REFERENCES) if champion.differs else ())
        return [Verdict("interface", passed=True, value=text or "the same", expected=expected)]
    value = "; ".join(differs) if differs else str(champion.problem)
    if inputs.approval is not None and inputs.approval.breaking and champion.differs:
        return [Verdict("interface", True, f"{value}; approved by {inputs.approval.who}", expected)]
    return [Verdict("interface", False, value, expected)]


def _counted(inputs: GateInputs, champion: Champion) -> tuple[str, ...] | None:
    """Return the differences that count; None if they are unknown."""
    model = inputs.verification.model
    reference = champion.reference or (model is not None and model.reference is not None)
    if champion.differs is None or not reference:
        return champion.differs
    # A task that allows references has no fixed history: a linear model selects its own.
    return tuple(line for line in champion.differs if not line.startswith("history "))
