"""One rollout is fast enough, when the task says how fast that is."""

from kinemill.register.rules import RULES, GateInputs, Verdict, number, shown


@RULES.register("latency")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the 99th percentile, in ms, is at most `verify.latency_p99_ms`.

    Refused: a smaller model, or a shorter verify.horizon; the machine may have been busy while it
    was measured, which the report shows as jitter.
    """
    bound = contest.task.verify.latency_p99_ms
    if bound is None:
        return []
    times = contest.verification.get("verification", {}).get("latency_ms", {})
    found = number(times.get("p99"))
    return [Verdict("latency", 0.0 <= found <= bound, shown(found), f"<= {bound:g} ms")]
