"""One rollout is fast enough, if the task sets a limit."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict, to_json_number


@RULES.register("latency")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the 99th percentile, in ms, is at most `verify.latency_p99_ms`.

    Refused: use a smaller model or a shorter verify.horizon. If the report shows jitter, the
    machine was busy during the measurement; repeat it.
    """
    bound = inputs.task.verify.latency_p99_ms
    if bound is None:
        return []
    p99 = inputs.verification.summary.latency_ms.p99
    return [Verdict("latency", 0.0 <= p99 <= bound, to_json_number(p99), f"<= {bound:g} ms")]
