"""Time of a control step of PETS, as mbrl-lib implements it.

With the library's settings for its cart-pole (`conf/overrides/pets_cartpole.yaml`): an ensemble of
7 networks of 4 x 200, CEM with 5 iterations of 350 plans, 20 particles. The weights are untrained,
which does not change the time. The library needs a separate environment, and newer versions of
two packages than it pins: hydra-core 1.0.3 cannot be imported in Python 3.11.

    python -m venv .venv/mbrl
    .venv/mbrl/bin/pip install torch==2.13.0 mbrl==0.2.0
    .venv/mbrl/bin/pip install --no-deps hydra-core==1.3.2 omegaconf==2.3.0 \
        antlr4-python3-runtime==4.9.3
    .venv/mbrl/bin/python benchmarks/_loop_peer.py
"""

import time
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
import torch

HORIZONS, REPEATS = (15, 50), 4  # steps: the library's, and 1 s as in kinemill's task
_STATES, _ACTIONS = 4, 1
_PLAIN = {"_recursive_": False}  # hydra 1.3 would create the objects inside, too
_MODEL = {
    "dynamics_model": {
        **_PLAIN,
        "_target_": "mbrl.models.GaussianMLP",
        "device": "cpu",
        "num_layers": 4,
        "in_size": _STATES + _ACTIONS,
        "out_size": _STATES,
        "ensemble_size": 7,
        "hid_size": 200,
        "deterministic": False,
        "propagation_method": "random_model",
        "learn_logvar_bounds": False,
        "activation_fn_cfg": {"_target_": "torch.nn.SiLU"},
    },
    "algorithm": {
        "learned_rewards": False,
        "target_is_delta": True,
        "normalize": True,
        "normalize_double_precision": True,
    },
    "overrides": {"learned_rewards": False},
}


class _Spaces(gymnasium.Env[Any, Any]):
    """The shapes of a cart-pole; it is never stepped."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (_STATES,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (_ACTIONS,), np.float32)


def seconds_per_step(horizon: int) -> float:
    """Return the time of one control step, s, on one thread."""
    names = "omegaconf", "mbrl.models", "mbrl.planning", "mbrl.util.common"
    omegaconf, models, planning, common = (import_module(name) for name in names)
    ends, rewards = (import_module(f"mbrl.env.{name}_fns") for name in ("termination", "reward"))
    torch.set_num_threads(1)
    config, env = omegaconf.OmegaConf.create, _Spaces()
    model = common.create_one_dim_tr_model(config(_MODEL), (_STATES,), (_ACTIONS,))
    generator = torch.Generator().manual_seed(0)
    simulated = models.ModelEnv(
        env, model, ends.no_termination, rewards.cartpole_pets, generator=generator
    )
    optimizer = {
        "_target_": "mbrl.planning.CEMOptimizer",
        "num_iterations": 5,
        "elite_ratio": 0.1,
        "population_size": 350,
        "alpha": 0.1,
        "lower_bound": [-1.0],
        "upper_bound": [1.0],
        "return_mean_elites": True,
        "device": "cpu",
        "clipped_normal": False,
    }
    settings = {
        **_PLAIN,
        "_target_": "mbrl.planning.TrajectoryOptimizerAgent",
        "action_lb": [-1.0],
        "action_ub": [1.0],
        "planning_horizon": horizon,
        "replan_freq": 1,
        "verbose": False,
        "optimizer_cfg": optimizer,
    }
    agent = planning.create_trajectory_optim_agent_for_model(
        simulated, config(settings), num_particles=20
    )
    agent.reset()
    agent.act(np.zeros(_STATES))  # buffers are allocated once
    began = time.perf_counter()
    for _ in range(REPEATS):
        agent.act(np.zeros(_STATES))
    return (time.perf_counter() - began) / REPEATS


if __name__ == "__main__":
    for steps in HORIZONS:
        print(f"horizon of {steps} steps: {seconds_per_step(steps):.1f} s for a control step")
