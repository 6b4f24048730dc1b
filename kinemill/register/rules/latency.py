"""One rollout is fast enough, when the task says how fast that is."""

from kinemill.register.rules import RULES, Contest, Verdict, number, shown


@RULES.register("latency")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when the 99th percentile, in ms, is at most `verify.latency_p99_ms`."""
    bound = contest.task.verify.latency_p99_ms
    if bound is None:
        return []
    found = number(contest.verification["verification"]["latency_ms"].get("p99"))
    return [Verdict("latency", found <= bound, shown(found), f"<= {bound:g} ms")]
