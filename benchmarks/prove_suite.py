"""DeepMind Control Suite through the whole pipeline: `make prove-suite`.

For each task and seed: `kinemill run gym:dm_control/TASK-v0` in a separate home under
`prove/suite/` of KINEMILL_HOME. SAC trains for 100,000 steps of the environment: 50,000 actions,
each held for two steps, and 45,000 updates; in finger-spin 100,000 actions and 96,000 updates.
Verification runs the exported ONNX file for 100 episodes from unseen starts. `--row NAME` proves
one task, `--seeds N` other than 3 seeds. Needs the extra `dm-control`.
"""

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import _proof, cpu_clock
from kinemill.policies.environments.dm_control import register_suite

STEPS, REPEAT, EPISODES = 100_000, 2, 100
TARGETS = {  # of the return; None: reported
    "cartpole-swingup": 839,
    "pendulum-swingup": 724,
    "reacher-easy": 937,
    "ball_in_cup-catch": 958,
    "finger-spin": 762,
    "walker-walk": None,
    "cheetah-run": None,
}
SETTINGS: dict[str, Any] = {
    "learn.algorithm": {"type": "sac", "learning_starts": 5000, "tau": 0.01},
    "learn.model": {"type": "mlp", "hidden_sizes": [128, 128], "activation": "relu"},
    "learn.critic": {
        "type": "mlp",
        "hidden_sizes": [128, 128],
        "activation": "relu",
        "layer_norm": True,
    },
    "learn.optimizer": {"type": "adam", "lr": 1e-3},
    "learn.batch_size": 128,
    "learn.eval_every": 10_000,
    "learn.evals_per_round": 1,  # a checkpoint after each
    "learn.save_every": 10_000,
    "learn.patience": None,
    "environment.trials": {"episodes": EPISODES, "n_eval_episodes": 10},
}
# The shoulder of reacher turns without limits and starts anywhere: +pi and -pi are one state.
ANGLES = {"reacher-easy": [{"type": "angle_features", "of": [0]}]}
# Most policies that hold each action for two steps bat the spinner to and fro, and do not turn it.
# The discount per second stays the same as with two.
REPEATS = {"finger-spin": 1}
OWN: dict[str, dict[str, Any]] = {
    "finger-spin": {
        "learn.algorithm": {
            "type": "sac",
            "learning_starts": 4000,
            "tau": 0.01,
            "gamma": 0.985,
        }
    }
}


def measure(name: str, seed: int, home: Path) -> dict[str, Any]:
    """Train, evaluate, and measure the time; the pipeline also exports and registers."""
    began, cpu = time.perf_counter(), cpu_clock()
    result = _pipeline(name, seed, home)
    return {**result, "wall": time.perf_counter() - began, "cpu": cpu_clock() - cpu}


def _pipeline(name: str, seed: int, home: Path) -> dict[str, Any]:
    """Train, export, verify and register one policy."""
    address = f"gym:dm_control/{name}-v0"
    repeat = REPEATS.get(name, REPEAT)
    changed = {**SETTINGS, **OWN.get(name, {}), "learn.steps": STEPS // repeat, "learn.seed": seed}
    changed["dt"] = repeat * _time_step(name)
    wrapper = {"type": "gymnasium", "name": "RepeatAction", "arguments": {"num_repeats": repeat}}
    wrappers = [wrapper] if repeat > 1 else []
    changed["environment.wrappers"] = [*wrappers, *ANGLES.get(name, [])]
    done = _proof.kinemill(home, "run", address, *_proof.overridden(changed))
    return {"return": done["metrics"]["return"]["model"], "alias": done["alias"]}


def _time_step(name: str) -> float:
    """Return the time step of a task, s."""
    import gymnasium

    register_suite()
    return float(gymnasium.make(f"dm_control/{name}-v0").get_wrapper_attr("dt"))


ROWS = _proof.SeededRows("suite", TARGETS, range(1, 4), measure)


def table_row(name: str) -> list[object]:
    """Return the line of a task in docs/results-*.md, from the seeds that ran."""
    by_seed = ROWS.finished(name)
    results = list(by_seed.values())
    cells: list[object] = [name, TARGETS[name] or "none"]
    if not results:
        return [*cells, "not run"]
    returns = [result["return"] for result in results]
    each = ", ".join(f"{one:.0f}" for one in returns)
    wall, cpu = (statistics.median(result[key] for result in results) for key in ("wall", "cpu"))
    cells += [f"{statistics.mean(returns):.0f}", each, ", ".join(map(str, by_seed))]
    return [*cells, f"{wall:.0f}", f"{cpu:.0f}"]


def main() -> None:
    """Run the selected tasks, and rewrite the section with all finished ones."""
    ROWS.prove(__doc__)
    head = ["task", "target", "mean return", "return of each seed", "seeds", "wall, s", "CPU, s"]
    _proof.write("suite", _proof.table(head, map(table_row, TARGETS)))


if __name__ == "__main__":
    main()
