"""The registered copy loads and predicts in the serving runtime, in a fresh process."""

from kinemill.register.gate.rules import RULES, GateInputs, Verdict


@RULES.register("serves")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the registered copy reproduces its stored cases, as robots check it on a pull.

    Refused: a robot cannot run it; `message` is the error of the runtime. If the upload is damaged,
    repeat kinemill run with the same logs.
    """
    passed, message = inputs.served
    return [Verdict("serves", passed, message, "loads and predicts in a separate process")]
