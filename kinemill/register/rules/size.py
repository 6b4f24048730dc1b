"""The files are small enough for the robot, when the task says how small that is."""

from kinemill.register.rules import RULES, GateInputs, Verdict, shown

MB = 1e6  # bytes


@RULES.register("size")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the ONNX files together have at most `promote.max_size` MB.

    Refused: fewer or narrower layers (learn.model), or a larger promote.max_size.
    """
    bound = contest.task.promote.max_size
    if bound is None:
        return []
    found = contest.size / MB
    return [Verdict("size", 0.0 < found <= bound, shown(found), f"<= {bound:g} MB")]
