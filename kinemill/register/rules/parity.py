"""The exported files give the numbers of the trained model."""

from typing import Any

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("parity")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when verification found the files in parity with the trained model.

    Refused: beyond what rounding explains, what robots would run is not what was trained: a fault
    of the export that no setting helps; the table of parity in the report names probe and channel.
    Where the trained model itself is not finite it has diverged in training: a longer
    learn.horizon, a lower rate or a smaller model. What rounding costs is the rule precision.
    """
    held = contest.verification.get("verification", {}).get("parity") is True
    lines = [one for one in contest.verification.get("gates", []) if _is_of_parity(one)]
    failed = "; ".join(f"{one['name']}: {one['found']}" for one in lines if not one["passed"])
    found = "in parity" if held else f"out of parity: {failed or 'not compared'}"
    return [Verdict("parity", held, found, "in parity")]


def _is_of_parity(line: dict[str, Any]) -> bool:
    return str(line.get("name", "")).endswith("parity")
