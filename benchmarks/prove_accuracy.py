"""Accuracy on real hardware logs, over seeds: `make prove-accuracy`.

Each seed runs the whole chain in a home of its own, `var/prove/`; finished seeds are kept, so a
stopped proof goes on where it was. Errors are RMSE at 25 steps on the held-out recording.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import ROOT, replace_section

DATA = ROOT.parent / "shared" / "data"
SETS = {"double_pendulum": "double_pendulum_sysid", "simple_pendulum": "simple_pendulum"}
CONTESTANTS = ("persistence", "linear", "linear_sincos")
SEEDS = range(int(os.environ.get("SEEDS", "3")))


def prove(task: str, folder: str, seed: int) -> dict[str, Any]:
    """Run the chain once for `seed`, or return what it printed the last time."""
    kept = ROOT / "var" / "prove" / f"{task}-{seed}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    home = kept.with_suffix("")
    command = [str(Path(sys.executable).with_name("kinemill")), "run", task]
    command += ["--logs", str(DATA / folder), "--set", f"learn.seed={seed}", "--json"]
    done = subprocess.run(
        command,
        env={**os.environ, "KINEMILL_HOME": str(home)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    kept.write_text(done.stdout)
    return json.loads(done.stdout)


def lines(task: str, documents: list[dict[str, Any]]) -> list[str]:
    """Return the table rows of one task: each channel, then the mean over channels."""
    rows: list[str] = []
    for channel, errors in documents[0]["metrics"]["test"].items():
        found = [document["metrics"]["test"][channel]["model"] for document in documents]
        references = " | ".join(f"{errors[name]:.3g}" for name in CONTESTANTS)
        rows.append(f"| {task} | {channel} | {errors['unit']} | {_spread(found)} | {references} |")
    found = [document["metrics"]["nrmse"]["model"] for document in documents]
    nrmse = documents[0]["metrics"]["nrmse"]
    references = " | ".join(f"{nrmse[name]:.3g}" for name in CONTESTANTS)
    return [*rows, f"| {task} | nrmse | 1 | {_spread(found)} | {references} |"]


def _spread(found: list[float]) -> str:
    seeds = ", ".join(f"{value:.3g}" for value in found)
    return f"**{statistics.median(found):.3g}** ({seeds})"


def main() -> None:
    """Prove both tasks and rewrite the section `accuracy` of docs/results.md."""
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not here: the proof reads real logs kept beside the checkout")
    rows = [
        "| task | channel | unit | kinemill (seeds) | persistence | linear | linear_sincos |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, folder in SETS.items():
        rows += lines(task, [prove(task, folder, seed) for seed in SEEDS])
    text = "\n".join(rows) + "\n"
    replace_section("accuracy", text)
    print(text)


if __name__ == "__main__":
    main()
