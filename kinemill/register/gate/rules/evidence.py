"""The test split has enough episodes and enough independent rows for a decision."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict
from kinemill.register.gate.sample_size import sample_size_of


@RULES.register("evidence")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass with `promote.min_test_episodes` episodes and `promote.min_independent` blocks.

    A block is a stretch of test rows that is independent of the others; blocks in which the robot
    rests are not counted. Blocks are not counted either where whole episodes are compared. With
    less data, a model that passes all other rules becomes provisional champion, unless there is an
    established champion.

    Refused: record more test episodes, or increase `dataset.test`; if it lists names, add those of
    the new episodes. Episodes shorter than history + verify.horizon do not count. If no more data
    will be recorded, lower promote.min_test_episodes and promote.min_independent.
    """
    promote = inputs.task.promote
    amount = sample_size_of(inputs)
    stretches = f"{promote.min_independent} separate stretches"
    required = f">= {promote.min_test_episodes} test episodes, >= {stretches}"
    passed = inputs.measured is not None and not amount.lacks(inputs)
    undecided = inputs.measured is not None and amount.episodes > 0 and not passed
    return [Verdict("evidence", passed, str(amount), required, undecided)]
