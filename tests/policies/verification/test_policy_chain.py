"""All stages of a policy, from its environment to the address that robots load."""

import pytest
import yaml

from benchmarks._balance import DT
from benchmarks._policies import Gains
from kinemill import runtime
from kinemill.augment import stage as augment
from kinemill.dataset import stage as dataset_stage
from kinemill.export import stage as export
from kinemill.ingest import stage as ingest
from kinemill.policies.environments.rollout_logs import roll_out
from kinemill.register import Produced
from kinemill.register import stage as register
from kinemill.task import Task, load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from kinemill.validate import stage as validate
from kinemill.verify import stage
from kinemill.verify.document import open_verification

TASK = Task.model_validate(
    {
        "task": "cart",
        "dt": DT,
        "learn": {"type": "reinforcement", "algorithm": {"type": "ppo"}},
        "environment": {"type": "python", "path": "benchmarks._balance:Balance", "steps": 40},
    }
)
LEARNER = {
    "task": "balancing",
    "dt": DT,
    "channels": {
        "angle": {"role": "state", "unit": "rad"},
        "velocity": {"role": "observation", "unit": "m/s"},
        "force": {"role": "action", "unit": "N", "limits": [-10, 10]},
    },
    "ingest": {"min_file_age": 0},
    "validate": {"min_steps": 5},
    "dataset": {"validation": 0.2, "test": 0.3, "near_duplicates": "apart"},
    "learn": {
        "type": "imitation",
        "model": {"type": "mlp", "hidden_sizes": [16]},
        "seq_len": 2,
        "steps": 300,
        "eval_every": 100,
        "optimizer": {"type": "adam", "lr": 1e-2},
    },
}


@pytest.mark.slow
def test_a_policy_goes_from_logs_to_its_address(tracked_home, tmp_path, policy_folders):
    home, no_user = tracked_home, (NullReporter(), NullReporter())
    path = tmp_path / "balancing.yaml"
    path.write_text(yaml.safe_dump(LEARNER))
    task = load_task(path)
    expert = runtime.load(policy_folders[Gains])
    # With 20, fewer than five independent test episodes remain, which is too little for the gate.
    assert len(list(roll_out(TASK, expert, range(80), home.logs(task.name)))) == 80
    snapshot = ingest.run(task, home, home.logs(task.name)).artifact
    episodes = validate.run(task, home, snapshot.ref).ref
    dataset = dataset_stage.run(task, home, episodes).ref
    training_set = augment.run(task, home, dataset).ref
    model = train.run(task, home, dataset, training_set, no_user).ref
    exported = export.run(task, home, model, dataset).ref
    verdict = stage.run(task, home, exported, model, dataset)
    document = open_verification(home, verdict.ref)
    assert document.passed, [line for line in document.gates if not line.passed]
    errors = document.metrics.nrmse
    # The expert is linear in what it observes now and at the row before.
    assert errors["linear"] < 1e-4 < errors["model"] < 0.1 < errors["mean"]
    assert errors["nearest"] < 0.1  # there are many demonstrations of two numbers
    assert "repeat" not in errors  # it does not observe the force
    assert {"held-out logs", "limits"} <= {row.probe for row in document.parity}
    produced = Produced(verdict.ref, exported, model, dataset)
    result = register.run(task, home, produced)
    lines = {line.rule: line for line in result.gate}
    assert {"beats_linear", "interval_linear"} <= {
        name for name, line in lines.items() if not line.passed
    }
    expected = (True, "no reference on this data: the policy does not observe its actions")
    assert (lines["beats_mean"].passed, lines["beats_repeat"].value) == expected
    requests = load_task(path, {"promote.beats": ["mean", "champion"]})
    result = register.run(requests, home, produced)
    assert (result.status, [line for line in result.gate if not line.passed]) == ("done", [])
    measured = next(line for line in result.gate if line.rule == "measured")
    assert measured.value == measured.expected.removeprefix("as verified: ")
    policy = runtime.load("models:/balancing@champion")
    assert policy.act({"angle": 0.02, "velocity": 0.0}) == pytest.approx([1.2], abs=0.5)
