"""The registry's own copy loads and answers in the serving runtime, in a fresh process."""

from kinemill.register.rules import RULES, GateInputs, Verdict


@RULES.register("serves")
def judge(contest: GateInputs) -> list[Verdict]:
    """Pass when the registered copy, loaded as robots load it, answers a real window.

    Refused: a robot could not run it; found is what its runtime said. A damaged upload is made
    again by kinemill run with the same logs.
    """
    passed, found = contest.served
    return [Verdict("serves", passed, found, "loads and answers in a process of its own")]
