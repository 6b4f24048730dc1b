"""The exported file passed its verification: whole, in parity, finite, with its metadata."""

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("verified")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when verification did, with every one of its checks.

    Refused: the report says which check failed, with numbers; kinemill verify FOLDER repeats it.
    """
    passed = contest.verification.get("passed") is True
    failed = [item["name"] for item in contest.verification.get("gates", []) if not item["passed"]]
    found = "passed" if passed else f"failed: {', '.join(failed)}"
    return [Verdict("verified", passed, found, "passed")]
