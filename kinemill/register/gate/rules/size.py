"""The files are small enough for the robot, if the task sets a limit."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number

MB = 1e6  # bytes


@RULES.register("size")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the ONNX files together have at most `promote.max_size` MB.

    Refused: use fewer or narrower layers (learn.model), or increase promote.max_size.
    """
    bound = inputs.task.promote.max_size
    if bound is None:
        return []
    size = inputs.size / MB
    return [Verdict("size", 0.0 < size <= bound, to_json_number(size), f"<= {bound:g} MB")]
