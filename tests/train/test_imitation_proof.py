"""The table of `make prove-imitation`, from figures that are kept."""

import json

from benchmarks import prove_imitation


def closed_loop(success, **others):
    return {"success": success, "expert": 1.0, "return": -1.0, "seconds": 1.0, **others}


def test_the_table_shows_every_seed_of_every_case(tmp_path, monkeypatch):
    """A mean of 0.9 and 1.0 drawn anew lies between them; seeds stand in their order."""
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path))
    errors = {"policy": 0.0018, "linear": 0.0019, "own_linear": 0.00185, "repeat": 0.0048}
    figures = {
        "reach": closed_loop(1.0),
        "obstacle_plain": closed_loop(0.11),
        "targets": closed_loop(0.97, shuffled=0.34),
        "g1": errors,
    }
    prove_imitation.kept().mkdir(parents=True)
    for case, result in figures.items():
        (prove_imitation.kept() / f"{case}-0.json").write_text(json.dumps(result))
    for seed, success in enumerate((0.9, 1.0)):
        path = prove_imitation.kept() / f"obstacle-{seed}.json"
        path.write_text(json.dumps(closed_loop(success)))
    lines = list(prove_imitation.table(prove_imitation.kept_results()))
    assert len(lines) == 6
    reach, obstacle, targets, humanoid = lines[2:]
    assert "| 1 | **1.000** | 1.000 to 1.000 | expert 1.000 |" in reach
    assert "| 2 | **0.900, 1.000** | 0.900 to 1.000 |" in obstacle
    assert "plain cloning 0.110" in obstacle
    assert "told what another episode was 0.340" in targets
    assert "**0.00180**" in humanoid
    assert "0.00190; linear, each joint on its own 8 rows 0.00185; the last action" in humanoid


def test_a_policy_is_told_what_another_episode_was():
    """Each of three instructions about a third of the time, whatever the own one says."""

    class Listening:
        interface = "of the policy"
        messages = []

        def reset(self, seed):
            self.seed = seed

        def act(self, observation):
            self.messages.append(observation["instruction"])
            return observation["camera"]

    misled = prove_imitation.Misled(Listening(), ["red", "green", "blue"])
    assert misled.interface == "of the policy"
    for seed in range(300):
        misled.reset(seed)
        assert misled.act({"camera": seed, "instruction": "its own"}) == seed
    assert {word: Listening.messages.count(word) > 70 for word in set(Listening.messages)} == {
        "red": True,
        "green": True,
        "blue": True,
    }
