"""The dataset is recent enough, if the task sets a maximum age."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict

DAY = 86400.0  # s


@RULES.register("freshness")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the dataset version is at most `promote.max_data_age` old at the decision.

    Refused: add new logs (kinemill data ingest, kinemill run), or increase promote.max_data_age.
    """
    bound = inputs.task.promote.max_data_age
    if bound is None:
        return []
    passed = 0.0 <= inputs.age <= bound
    value = f"dataset of {inputs.age / DAY:.3g} days"
    return [Verdict("freshness", passed, value, f"<= {bound / DAY:.3g} days")]
