"""Transfer between two robots, on hardware logs: `make prove-transfer`.

The training of a model of robot C.0 (two runs, other link lengths) starts from a model of robot A.0
(six runs), or from scratch. Errors are RMSE at 25 steps on a third run of C.0 that neither model
used. Each seed has a separate home under `var/prove/`, or PROVE_HOME; finished results are kept.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks import EXAMPLES, ROOT, replace_section
from kinemill.task.yaml import read_yaml

DATA = ROOT.parent / "shared" / "data"
HOMES = Path(os.environ.get("PROVE_HOME", ROOT / "var" / "prove"))
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


def run(
    result_file: Path, home: Path, task: str, logs: str, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Run the chain once, or return what it printed the last time."""
    if result_file.is_file():
        return json.loads(result_file.read_text())
    command = [str(Path(sys.executable).with_name("kinemill")), "run", task, "--json"]
    command += ["--logs", str(DATA / logs)]
    for key, value in overrides.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    done = subprocess.run(
        command,
        env={**os.environ, "KINEMILL_HOME": str(home)},
        check=False,  # a model that the gate refuses is measured, too
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, 1):
        sys.exit(done.returncode)
    result_file.write_text(done.stdout)
    return json.loads(done.stdout)


def prove(name: str, seed: int) -> dict[str, dict[str, Any]]:
    """Train on A.0, then on C.0 anew and from there; return the documents of the latter two."""
    home = HOMES / f"transfer-{name.replace(' ', '-')}-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    own = MODELS[name] | {"learn.seed": seed}
    old = run(home / "old.json", home, OLD, "double_pendulum_sysid", own)
    rate = own.get("learn.optimizer.lr") or _rate(home)
    start = {
        "learn.start_from": f"models:/{OLD}/{old['version']}",
        "learn.optimizer.lr": SMALLER * rate,
    }
    task = str(new_task(home))
    data = "double_pendulum_c0"
    return {
        "anew": run(home / "anew.json", home, task, data, own),
        "from A.0": run(home / "started.json", home, task, data, own | start),
    }


def _rate(home: Path) -> float:
    return read_yaml(new_task(home)).value["learn"]["optimizer"]["lr"]


def lines(name: str, results: list[dict[str, dict[str, Any]]]) -> list[str]:
    """Return the table rows of one model: each channel, then the mean over channels."""
    rows: list[str] = []
    test = results[0]["anew"]["metrics"]["test"]
    for channel, errors in test.items():
        pair = [
            _cell([one[who]["metrics"]["test"][channel]["rmse"]["model"] for one in results])
            for who in ("anew", "from A.0")
        ]
        rows.append(
            f"| {name} | {channel} | {errors['unit']} | {pair[0]} | {pair[1]} | "
            f"{errors['rmse']['linear']:.3g} | {errors['rmse']['linear_sincos']:.3g} |"
        )
    pair = [
        _cell([one[who]["metrics"]["nrmse"]["model"] for one in results])
        for who in ("anew", "from A.0")
    ]
    nrmse = results[0]["anew"]["metrics"]["nrmse"]
    tail = f"{nrmse['linear']:.3g} | {nrmse['linear_sincos']:.3g} |"
    return [*rows, f"| {name} | nrmse | 1 | {pair[0]} | {pair[1]} | {tail}"]


def _cell(values: list[float]) -> str:
    if len(values) == 1:
        return f"**{values[0]:.3g}**"
    return f"**{statistics.median(values):.3g}** ({', '.join(f'{one:.3g}' for one in values)})"


def main() -> None:
    """Prove every model and rewrite the section `transfer` of docs/results-*.md."""
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not here: the proof reads real logs kept beside the checkout")
    rows = [
        "| model | channel | unit | from scratch | from A.0 | linear | linear_sincos |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in MODELS:
        rows += lines(name, [prove(name, seed) for seed in SEEDS])
    text = "\n".join(rows) + "\n"
    replace_section("transfer", text)
    print(text)


if __name__ == "__main__":
    main()
