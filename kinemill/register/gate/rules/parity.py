"""The exported files reproduce the outputs of the trained model."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("parity")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if verification found the files in parity with the trained model.

    Refused: the exported files differ from the trained model by more than rounding. This is a bug
    in the export; the parity table of the report names the test input and channel. If the trained
    model itself is not finite, training diverged: use a longer learn.horizon, a lower learning
    rate or a smaller model. The rule precision checks rounding.
    """
    is_in_parity = inputs.verification.summary.parity
    lines = [gate for gate in inputs.verification.gates if gate.name.endswith("parity")]
    failed = "; ".join(f"{line.name}: {line.value}" for line in lines if not line.passed)
    expected = "the same outputs as the trained model"
    value = expected if is_in_parity else f"other outputs: {failed or 'not compared'}"
    return [Verdict("parity", is_in_parity, value, expected)]
