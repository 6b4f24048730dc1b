"""Learn to cut pieces in two sub-steps, by evolution and by PPO: `cut.py TASK.yaml`.

The task is examples/reinforcement/stock_cutting_structured.yaml, or yours.
"""

import sys

import kinemill.api as km


def main(task: str, steps: int = 120_000) -> dict[str, km.Training]:
    """Train by evolution strategies, and by PPO whose policy and critic share their network."""
    presets = {
        "evolution": ["algorithm=evolution"],
        "ppo": ["algorithm=ppo", "model=shared_critic"],
    }
    return {
        name: km.train(task, presets=with_, overrides={"learn.steps": steps}, progress=False)
        for name, with_ in presets.items()
    }


if __name__ == "__main__":
    for name, training in main(sys.argv[1]).items():
        print(name, training.trials(episodes=100))
