"""The exported file passed verification: complete, in parity, finite, with its metadata."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("verified")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if verification passed with all of its checks.

    Refused: the report names the failed check, with numbers; kinemill model verify FOLDER repeats
    it.
    """
    passed = inputs.verification.get("passed") is True
    failed = [item["name"] for item in inputs.verification.get("gates", []) if not item["passed"]]
    value = "passed" if passed else f"failed: {', '.join(failed)}"
    return [Verdict("verified", passed, value, "passed")]
