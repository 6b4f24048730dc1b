"""Learn the dynamics of a robot, measure them step by step, and plan: `plan.py MODEL.xml LOGS`.

The logs have a column for each joint, its velocity, and the actuator `slide` of the model.
"""

import sys

import kinemill.api as km

JOINTS = {"cart": "m", "inner": "rad", "outer": "rad"}


def main(model: str, logs: str, steps: int = 20_000, seconds: float = 4.0) -> tuple[object, ...]:
    """Return errors by step on the logs, and an episode in the model's physics."""
    positions = {name: km.Channel(role="state", unit=unit) for name, unit in JOINTS.items()}
    velocities = {
        f"{name}_velocity": km.Channel(role="state", unit=f"{unit}/s", derivative_of=name)
        for name, unit in JOINTS.items()
    }
    force = {"slide": km.Channel(role="action", unit="N", limits=(-1.0, 1.0))}
    task = km.make_task(
        task="double_pole",
        dt=0.02,
        channels=positions | velocities | force,
        learn={
            "type": "dynamics",
            "history": 11,
            "horizon": 9,
            "model": {"type": "gru", "hidden_size": 128},
            "steps": steps,
        },
        control={
            "plant": model,
            "seconds": seconds,
            "cost": [
                {"of": "site_tip_z", "target": 1.2, "terminal": 10},
                {"of": "cart"},
                {"of": "inner_velocity", "weight": 0.1},
                {"of": "outer_velocity", "weight": 0.1},
                {"of": "slide", "weight": 0.01},
            ],
            "controller": {"type": "mppi", "samples": 256, "horizon": 50, "knots": 10},
        },
    )
    training = km.train(task, logs, progress=False)
    return km.evaluate(training, logs, horizon=9), km.rollout(task, model=training, progress=False)


if __name__ == "__main__":
    print(*main(sys.argv[1], sys.argv[2]), sep="\n")
