"""The test split holds enough episodes to judge by."""

from kinemill.register.rules import RULES, Contest, Verdict


@RULES.register("episodes")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when windows of at least `promote.min_test_episodes` test episodes were judged.

    Refused: more logs, or a larger dataset.test; episodes shorter than history + verify.horizon
    do not count.
    """
    found = contest.measured.episodes if contest.measured else 0
    bound = contest.task.promote.min_test_episodes
    return [Verdict("episodes", found >= bound, found, f">= {bound} of the test split")]
