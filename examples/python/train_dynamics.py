"""Train a network that predicts an acceleration, and simulate with it: `train_dynamics.py LOGS`."""

import sys

import kinemill.api as km


def main(logs: str, steps: int = 3000) -> km.Simulation:
    """Train on the logs, whose columns are the channels; return a simulation from rest."""
    task = km.make_task(
        task="mass",
        dt=0.0025,
        channels={
            "position": km.Channel(role="state", unit="m"),
            "velocity": km.Channel(role="state", unit="m/s", derivative_of="position"),
            "force": km.Channel(role="action", unit="N"),
        },
        learn={
            "type": "dynamics",
            "outputs": {"acceleration": {"relation": "derivative", "of": "velocity"}},
            "history": 8,
            "model": {
                "type": "mlp",
                "hidden_sizes": [64] * 3,
                "activation": "relu",
                "dropout": 0.2,
            },
            "optimizer": {"type": "adamw", "lr": 3e-4, "weight_decay": 1e-2},
            "batch_size": 1024,
            "steps": steps,
        },
    )
    training = km.train(task, logs, progress=False)
    return km.simulate(training, actions={"force": [1.0] * 100}, states={"velocity": 0.0})


if __name__ == "__main__":
    print(main(sys.argv[1]))
