"""The table of `make prove-imitation`, from finished results."""

import json
from collections import Counter

from benchmarks import prove_imitation


def closed_loop(success, **others):
    return {"success": success, "expert": 1.0, "return": -1.0, "seconds": 1.0, **others}


def test_the_table_shows_every_seed_of_every_case(tmp_path, monkeypatch):
    """The bootstrap mean of 0.9 and 1.0 lies between them; seeds keep their order."""
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path))
    errors = {"policy": 0.0018, "linear": 0.0019, "own_linear": 0.00185, "repeat": 0.0048}
    figures = {
        "reach": closed_loop(1.0),
        "obstacle_plain": closed_loop(0.11),
        "targets": closed_loop(0.97, shuffled=0.34),
        "g1": errors,
    }
    prove_imitation.results_folder().mkdir(parents=True)
    for case, result in figures.items():
        (prove_imitation.results_folder() / f"{case}-0.json").write_text(json.dumps(result))
    for seed, success in enumerate((0.9, 1.0)):
        path = prove_imitation.results_folder() / f"obstacle-{seed}.json"
        path.write_text(json.dumps(closed_loop(success)))
    rows = prove_imitation.rows(prove_imitation.finished_results())
    reach, obstacle, targets, humanoid = (row[1:] for row in rows)
    assert reach == [1, "**1.000**", "1.000 to 1.000", "expert 1.000"]
    assert obstacle[:3] == [2, "**0.900, 1.000**", "0.900 to 1.000"]
    assert "plain behavior cloning 0.110" in obstacle[3]
    assert "instruction of another episode 0.340" in targets[3]
    assert humanoid[1] == "**0.00180**"
    linear = "0.00190; linear, one joint per model, 8 rows 0.00185; last action repeated"
    assert linear in humanoid[3]


def test_a_policy_receives_the_instruction_of_another_episode():
    """Each of three instructions appears in about a third of the episodes."""

    class RecordingPolicy:
        interface = "of the policy"
        messages = []

        def reset(self, seed):
            self.seed = seed

        def act(self, observation):
            self.messages.append(observation["instruction"])
            return observation["camera"]

    policy = prove_imitation.WrongInstruction(RecordingPolicy(), ["red", "green", "blue"])
    assert policy.interface == "of the policy"
    for seed in range(300):
        policy.reset(seed)
        assert policy.act({"camera": seed, "instruction": "its own"}) == seed
    counts = Counter(RecordingPolicy.messages)
    assert set(counts) == {"red", "green", "blue"}
    assert min(counts.values()) > 70
