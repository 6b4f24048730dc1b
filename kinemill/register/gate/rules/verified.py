"""The exported file passed verification: complete, in parity, finite, with its metadata."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("verified")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if verification passed with all of its checks.

    Refused: the report names the failed check, with numbers; kinemill model verify FOLDER repeats
    it.
    """
    passed = inputs.verification.passed is True
    failed = [gate.name for gate in inputs.verification.gates if not gate.passed]
    value = "passed" if passed else f"failed: {', '.join(failed)}"
    return [Verdict("verified", passed, value, "passed")]
