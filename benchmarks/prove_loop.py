"""Learning loops without initial data: `make prove-loop`.

For each row and each of 5 seeds, in a separate home under `prove/loop/` of KINEMILL_HOME: the
learning loop until its target or its budget of steps, then 16 starts that neither the loop nor its
verification used, without exploration noise. Settings were chosen with seed 0, which is not among
these. `--row NAME` runs one row,
`--seeds N` fewer seeds; rows that did not run are marked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _proof
from kinemill.task import load_task

STARTS, FIRST_START = 16, 90_000_000
REACHED = 15  # of 16
_RIGID = (  # equations of motion in place of the network of the task
    "learn.integrator=rk4",
    "learn.model={type: rigid_body, delay: 0}",
    "learn.horizon=10",
    "learn.horizon_schedule=null",
    "learn.gauss_newton={windows: 1024}",
    "learn.steps=100",
    "learn.eval_every=50",
)
_LOOP = (
    "loop.target=0.93",
    "verify.closed_loop=16",
    "dataset.validation=0.2",
    "dataset.test=0.2",
    "promote.allow_reference=false",
)


@dataclass(frozen=True)
class Row:
    """One row of the proof: a task, its overrides, and its budget in steps of the plant."""

    task: str
    model: str
    budget: int
    settings: tuple[str, ...]


ROWS = {
    "cart_pole_swing_up": Row("cart_pole_swing_up_loop", "rigid body", 10_000, ()),
    "pendulum": Row(
        "pendulum",
        "rigid body",
        2_000,
        (
            *_RIGID,
            *_LOOP,
            "learn.outputs={acceleration: {relation: derivative, of: velocity}}",
            "loop.rounds=3",
            "loop.random_episodes=4",
            "loop.random_seconds=4",
            "loop.episodes=1",
        ),
    ),
    "double_cart_pole": Row(
        "double_cart_pole",
        "rigid body",
        30_000,
        (
            *_LOOP,
            "loop.rounds=12",
            "loop.random_episodes=6",
            "loop.random_seconds=5",
            # The end stops are at 2 m, and the equations have no contacts: such rows are cut out.
            "channels.cart_position.limits=[-1.9, 1.9]",
            "loop.limits={cart_position: [-2.1, 2.1]}",
        ),
    ),
    "cart_pole_swing_up, network": Row(
        "cart_pole_swing_up_loop",
        "MLP, 818 parameters",
        10_000,
        (
            "learn.integrator=trapezoidal",
            "learn.model={type: mlp, hidden_sizes: [24, 24], activation: tanh}",
            "learn.horizon=2",
            "learn.gauss_newton={windows: 2048, iterations: 60}",
            "learn.steps=50",
            "loop.warm_start=false",
            "loop.rounds=10",
            # The end stops are at 1.5 m: no smooth function fits a contact.
            "channels.cart_position.limits=[-1.45, 1.45]",
            "loop.limits={cart_position: [-1.6, 1.6]}",
        ),
    ),
}


def measure(name: str, seed: int, home: Path) -> dict[str, Any]:
    """Run one loop, and the version that it ended with from new starts."""
    row = ROWS[name]
    settings = (*row.settings, f"loop.seed={seed}", f"learn.seed={seed}")
    looped = _proof.kinemill(
        home, "run", row.task, *(word for key in settings for word in ("--set", key))
    )
    starts = ["--episodes", str(STARTS), "--seed", str(FIRST_START + STARTS * seed)]
    model = ["--model", f"models:/{row.task}/{looped['version']}"]
    rolled = _proof.kinemill(
        home, "model", "rollout", row.task, *model, *starts, "--to", str(home / "starts")
    )
    rounds = looped["rounds"]
    return {
        "steps": looped["steps"],
        "successes": rolled["successes"],
        "wall": sum(one["wall"] for one in rounds),
        "cpu": sum(one["cpu"] for one in rounds),
    }


LOOPS = _proof.SeededRows("loop", ROWS, range(1, 6), measure)


def table_row(name: str) -> list[object]:
    """Return the line of a row in docs/results-*.md, from the seeds that ran."""
    row = ROWS[name]
    results = list(LOOPS.finished(name).values())
    cells = [name, row.model, f"{row.budget:,}"]
    if not results:
        return [*cells, "not run"]
    dt = load_task(row.task).dt
    reached = sum(
        result["successes"] >= REACHED and result["steps"] <= row.budget for result in results
    )
    steps = sorted(result["steps"] for result in results)
    low, high = steps[0], steps[-1]
    needed = f"{low:,} ({low * dt:.0f} s)"
    if high > low:
        needed = f"{low:,} to {high:,} ({low * dt:.0f} to {high * dt:.0f} s)"
    each = ", ".join(str(result["successes"]) for result in results)
    wall, cpu = (
        sorted(result[key] for result in results)[len(results) // 2] for key in ("wall", "cpu")
    )
    counts = [f"{reached} of {len(results)}", f"{each} of {STARTS}"]
    return [*cells, *counts, needed, f"{wall:.0f}", f"{cpu:.0f}"]


def main() -> None:
    """Run the selected rows, and rewrite the section with all finished ones."""
    LOOPS.prove(__doc__)
    head = ["task", "model", "budget, steps", "seeds that reach 15 of 16"]
    head += ["successes from new starts", "steps of the plant (time)", "wall, s", "CPU, s"]
    _proof.write("loop", _proof.table(head, map(table_row, ROWS)))


if __name__ == "__main__":
    main()
