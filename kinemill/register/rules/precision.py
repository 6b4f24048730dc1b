"""What the exported files lose to rounding is small beside the model's own error."""

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("precision")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when verification found that rounding costs less than what matters, on every channel.

    Refused: the trained model is better than what float32 makes of it, and the export is not at
    fault: use `export.precision: float64`, or fewer lags (`learn.history`), whose sums cancel less;
    for a coordinate far from zero, `kind: coordinate`.
    """
    if contest.task.learn.gives == "policy":
        return []  # what a policy loses shows in its return
    held = contest.verification.get("verification", {}).get("precision") is True
    gates = contest.verification.get("gates", [])
    line = next((one for one in gates if one.get("name") == "precision"), {})
    found = line.get("found", "small" if held else "was not measured")
    return [Verdict("precision", held, found, line.get("wanted", "a loss that does not matter"))]
