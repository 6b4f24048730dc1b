"""Distillation: a policy that observes everything shows one on fewer sensors what to do."""

import numpy as np

import kinemill.api as km


class Teacher:
    """Balance with the measured velocity, which the student does not observe."""

    def act(self, observation):
        _, angle, velocity = observation
        return np.clip([30.0 * angle + 4.0 * velocity], -10.0, 10.0).astype(np.float32)


def student():
    """Return the task of the stick with a policy on the angle alone."""
    return km.make_task(
        task="stick",
        dt=0.02,
        channels={
            "position": km.Channel(role="state", unit="m"),
            "angle": km.Channel(role="state", unit="rad"),
            "velocity": km.Channel(role="state", unit="rad/s"),
            "force": km.Channel(role="action", unit="N", limits=(-10.0, 10.0)),
        },
        environment={
            "type": "python",
            "path": "benchmarks._balance:Balance",
            "steps": 150,
            "trials": {"episodes": 10},
        },
        validate={"stuck": {"on_fault": "warn"}},
        learn={
            "type": "imitation",
            "observations": ["angle"],
            "model": {"type": "mlp", "hidden_sizes": [32]},
            "optimizer": {"type": "adam", "lr": 3e-3},
            "seq_len": 4,
            "steps": 600,
        },
    )


def test_policy_on_the_angle_balances_as_the_teacher_that_sees_the_velocity(home, tmp_path):
    logs = tmp_path / "shown"
    task = student()
    shown = km.rollout_policy(
        task, policy=f"{__file__}:Teacher", episodes=20, to=logs, progress=False
    )
    assert shown.success == 1.0
    training = km.train(task, logs, progress=False, track=False)
    assert training.policy.observation == ("angle",)
    assert training.trials(episodes=10).success == 1.0
