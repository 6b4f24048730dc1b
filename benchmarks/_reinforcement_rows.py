"""Targets of `make prove-reinforcement`, and the settings for them.

Those of stable-baselines3 are the tuned ones of its "zoo"; `learning_rate` is per update, and
`falling` names the settings that decrease linearly to zero.
"""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Row:
    """What is to be reached.

    Attributes:
        task: of kinemill.
        target: mean return; None: none is known.
        within: s that the issue allows; None: no bound.
        overrides: of the task.
        library: settings of stable-baselines3; None: it has no such algorithm.
        learned: whether it learns in what the task `pendulum` learned, which is made first.
    """

    task: str
    target: float | None
    within: float | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    library: dict[str, Any] | None = None
    learned: bool = False


_Q_LEARNING = {  # names that both sides share
    "buffer_size": 100_000,
    "learning_starts": 1000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
}
_CART = {"id": "CartPole-v1", "copies": 8}
_PENDULUM = {"id": "Pendulum-v1", "copies": 1, "steps": 20_000, "every": 1000}
CART = "CartPole-v1, PPO"
ORDINARY_CART = "CartPole-v1, PPO, ordinary environment"
ROWS = {
    CART: Row(
        "cartpole_rl",
        475,
        30,
        {"learn.target": 475},
        {
            **_CART,
            "class": "PPO",
            "steps": 100_000,
            "every": 5120,
            "settings": {
                "n_steps": 32,
                "batch_size": 256,
                "gae_lambda": 0.8,
                "gamma": 0.98,
                "n_epochs": 20,
                "ent_coef": 0.0,
                "learning_rate": 1e-3,
                "clip_range": 0.2,
            },
            "falling": ["learning_rate", "clip_range"],
        },
    ),
    "CartPole-v1, evolution strategies": Row(
        "cartpole_rl",
        475,
        120,
        {
            "learn.target": 475,
            "learn.algorithm": {"type": "evolution"},
            "learn.model.hidden_sizes": [16],
            "learn.optimizer.lr": 0.05,
            "learn.num_envs": 32,
            "learn.steps": 3_000_000,
            "learn.eval_every": 20_000,
        },
    ),
    "CartPole-v1, DQN": Row(
        "cartpole_rl",
        475,
        None,
        {
            "learn.target": 475,
            "learn.algorithm": {"type": "dqn", **_Q_LEARNING},
            "learn.model": {"type": "mlp", "hidden_sizes": [256, 256], "activation": "relu"},
            "learn.optimizer": {"type": "adam", "lr": 2.3e-3},
            "learn.num_envs": 1,
            "learn.batch_size": 64,
            "learn.steps": 100_000,
            "learn.eval_every": 2560,
            "learn.save_every": 5120,
        },
        {
            **_CART,
            "class": "DQN",
            "copies": 1,
            "steps": 100_000,
            "every": 2560,
            "settings": {
                **_Q_LEARNING,
                "learning_rate": 2.3e-3,
                "batch_size": 64,
                "policy_kwargs": {"net_arch": [256, 256]},
            },
        },
    ),
    "CartPole-v1, A2C": Row(
        "cartpole_rl",
        475,
        None,
        {
            "learn.target": 475,
            "learn.algorithm": {"type": "a2c"},
            "learn.optimizer": {"type": "adam", "lr": 2e-3},
            "learn.num_envs": 8,
            "learn.batch_size": 128,
            "learn.steps": 500_000,
            "learn.eval_every": 10_240,
            "learn.save_every": 51_200,
        },
        {
            **_CART,
            "class": "A2C",
            "steps": 500_000,
            "every": 10_240,
            "settings": {"ent_coef": 0.0},
        },
    ),
    "stock cutting, PPO with masks": Row(
        "examples/reinforcement/stock_cutting.yaml", 0.3, None, {"learn.target": 0.3}
    ),
    "Pendulum-v1, SAC": Row(
        "pendulum_rl",
        -200,
        None,
        {"learn.target": -200},
        {
            "class": "SAC",
            **_PENDULUM,
            "settings": {"learning_rate": 1e-3},
        },
    ),
    "Pendulum-v1, TD3": Row(
        "pendulum_rl",
        -200,
        None,
        {
            "learn.target": -200,
            "learn.algorithm": {"type": "td3", "gamma": 0.98, "learning_starts": 1000},
            "learn.optimizer.lr": 1e-3,
        },
        {
            "class": "TD3",
            **_PENDULUM,
            "action_noise": 0.1,
            "settings": {
                "gamma": 0.98,
                "buffer_size": 200_000,
                "learning_starts": 10_000,
                "learning_rate": 1e-3,
                "train_freq": 1,
                "gradient_steps": 1,
                "policy_kwargs": {"net_arch": [400, 300]},
            },
        },
    ),
    "Pendulum-v1, TQC": Row(
        "pendulum_rl",
        -200,
        None,
        {"learn.target": -200, "learn.algorithm": {"type": "tqc"}},
        {
            "package": "sb3_contrib",
            "class": "TQC",
            **_PENDULUM,
            "settings": {"learning_rate": 1e-3},
        },
    ),
    "pendulum swing-up, PPO in the learned model, tested in true physics": Row(
        "pendulum_swing_up", None, None, {"environment.trials.episodes": 100}, learned=True
    ),
    "LunarLander-v3, PPO": Row(
        "lunar_lander",
        200,
        None,
        {},  # the task's own target lies above: where 40 episodes say 200, fresh ones say less
        {
            "class": "PPO",
            "id": "LunarLander-v3",
            "copies": 16,
            "steps": 1_000_000,
            "every": 32_768,
            "settings": {
                "n_steps": 1024,
                "batch_size": 64,
                "gae_lambda": 0.98,
                "gamma": 0.999,
                "n_epochs": 4,
                "ent_coef": 0.01,
            },
        },
    ),
}
ROWS[ORDINARY_CART] = replace(
    ROWS[CART], overrides={**ROWS[CART].overrides, "learn.runner": "in_process"}
)
