"""The gate on pairs of models of known quality, with few pairs."""

from benchmarks import EXAMPLES, prove_gate
from benchmarks._gate_pairs import Size
from kinemill.task import load_task


def test_pairs_of_models_are_decided_under_every_truth():
    task = load_task(EXAMPLES / "pendulum.yaml")
    cell = prove_gate.simulate(task, "plain", Size(20, 60), pairs=3)
    assert all(decisions.total() == 3 for decisions in cell.decided.values())
    assert cell.share("50 % better") == 1.0
    assert cell.share(prove_gate.WORSE) == 0.0
