"""The test split holds enough episodes, and enough independent rows, to decide by."""

from kinemill.register.rules import RULES, GateInputs, Verdict
from kinemill.register.test_size import amount_of


@RULES.register("evidence")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass with `promote.min_test_episodes` test episodes, `promote.min_independent` blocks.

    A block is a stretch of test rows that is independent of the others; one in which the robot
    rests counts for nothing. Where whole episodes carry the comparison, blocks are not counted.
    With less, a model that passes all else becomes a provisional champion if there is no champion,
    or a provisional one. An established champion stays.

    Refused: record more test episodes, or give `dataset.test` a larger share; episodes shorter than
    history + verify.horizon do not count. Lower promote.min_test_episodes and
    promote.min_independent if that is all there ever will be.
    """
    wanted, amount = contest.task.promote, amount_of(contest)
    asked = f">= {wanted.min_test_episodes} test episodes, >= {wanted.min_independent} blocks"
    passed = contest.measured is not None and not amount.lacks(contest)
    undecided = contest.measured is not None and amount.episodes > 0 and not passed
    return [Verdict("evidence", passed, str(amount), asked, undecided)]
