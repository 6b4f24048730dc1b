"""The rounding error of the exported files is small compared with the model's error."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("precision")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if verification found the rounding error negligible on every channel.

    Refused: float32 rounding makes the exported model worse than the trained one. Use
    `export.precision: float64`, fewer lags (`learn.history`), which lose fewer digits to
    cancellation, or `kind: coordinate` for a coordinate far from zero.
    """
    if inputs.task.learn.gives == "policy":
        return []  # the return of a policy includes rounding
    is_precise = inputs.verification.summary.precision is True
    line = next((gate for gate in inputs.verification.gates if gate.name == "precision"), None)
    value = line.value if line else "small" if is_precise else "was not measured"
    expected = line.expected if line else "a negligible loss"
    return [Verdict("precision", is_precise, value, expected)]
