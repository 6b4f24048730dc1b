"""Transfer between two robots, on hardware logs: `make prove-transfer`.

The training of a model of robot C.0 (two runs, other link lengths) starts from a model of robot A.0
(six runs), or from scratch. Errors are RMSE at 25 steps on a third run of C.0 that neither model
used. Each seed has a separate home under `prove/transfer/` of KINEMILL_HOME.
"""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks import EXAMPLES, _proof
from kinemill.task.yaml import read_yaml

SEEDS = range(int(os.environ.get("SEEDS", "1")))
OLD, NEW = "double_pendulum", "double_pendulum_c0"
SPLIT = {"validation": {"tail": 0.1}, "test": ["*traj03*"], "unused": ["*traj02*"]}
# The task's own model of rigid bodies, and a network that has to find the physics itself.
NETWORK = {
    "learn.model.type": "mlp",
    "learn.model.hidden_sizes": [128, 128],
    "learn.model.activation": "silu",
    "learn.gauss_newton": None,
    "learn.optimizer.lr": 2e-3,
    "learn.steps": 1500,
    "learn.schedule.warmup_steps": 100,
}
MODELS: dict[str, dict[str, Any]] = {"as shipped": {}, "mlp": NETWORK}
SMALLER = 0.25  # times the rate, for weights that are good already


def new_task(folder: Path) -> Path:
    """Write the task of robot C.0: that of A.0, on its own runs."""
    task = read_yaml(EXAMPLES / f"{OLD}.yaml").value
    task |= {"task": NEW, "dataset": SPLIT, "description": "The same drives, other links (C.0)"}
    path = folder / f"{NEW}.yaml"
    path.write_text(yaml.safe_dump(task, sort_keys=False))
    return path


def prove(name: str, seed: int) -> dict[str, dict[str, Any]]:
    """Train on A.0, then on C.0 anew and from there; return the documents of the latter two."""
    home = _proof.results_folder("transfer") / f"{name.replace(' ', '-')}-{seed}"
    home.mkdir(parents=True, exist_ok=True)

    def run(result: str, task: str, logs: str, settings: dict[str, Any]) -> dict[str, Any]:
        options = ["--logs", str(_proof.DATA / logs), *_proof.overridden(settings)]
        return _proof.cached(
            home / f"{result}.json", lambda: _proof.kinemill(home, "run", task, *options)
        )

    own = MODELS[name] | {"learn.seed": seed}
    old = run("old", OLD, "double_pendulum_sysid", own)
    rate = own.get("learn.optimizer.lr") or _rate(home)
    start = {
        "learn.start_from": f"models:/{OLD}/{old['version']}",
        "learn.optimizer.lr": SMALLER * rate,
    }
    task = str(new_task(home))
    data = "double_pendulum_c0"
    return {
        "anew": run("anew", task, data, own),
        "from A.0": run("started", task, data, own | start),
    }


def _rate(home: Path) -> float:
    return read_yaml(new_task(home)).value["learn"]["optimizer"]["lr"]


def rows(name: str, results: list[dict[str, dict[str, Any]]]) -> Iterator[list[str]]:
    """Yield the table rows of one model: each channel, then the mean over channels."""
    first = results[0]["anew"]["metrics"]
    for channel, errors in first["test"].items():
        pair = [
            _cell([result[who]["metrics"]["test"][channel]["rmse"]["model"] for result in results])
            for who in ("anew", "from A.0")
        ]
        yield [name, channel, errors["unit"], *pair, *_linear(errors["rmse"])]
    pair = [
        _cell([result[who]["metrics"]["nrmse"]["model"] for result in results])
        for who in ("anew", "from A.0")
    ]
    yield [name, "nrmse", "1", *pair, *_linear(first["nrmse"])]


def _linear(errors: dict[str, float]) -> list[str]:
    return [f"{errors[name]:.3g}" for name in ("linear", "linear_sincos")]


def _cell(values: list[float]) -> str:
    if len(values) == 1:
        return f"**{values[0]:.3g}**"
    return f"**{statistics.median(values):.3g}** ({', '.join(f'{value:.3g}' for value in values)})"


def main() -> None:
    """Prove every model and rewrite the section `transfer` of docs/results-*.md."""
    _proof.require(_proof.DATA)
    head = ["model", "channel", "unit", "from scratch", "from A.0", "linear", "linear_sincos"]
    proven = {name: [prove(name, seed) for seed in SEEDS] for name in MODELS}
    lines = [line for name, results in proven.items() for line in rows(name, results)]
    _proof.write("transfer", _proof.table(head, lines))


if __name__ == "__main__":
    main()
