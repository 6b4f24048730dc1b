"""Model-predictive control by sampling, on a learned simulator or on the true physics.

    planner = make_planner(task, [LearnedModel(runtime.load("models:/cart_pole@champion"))])
    action = planner.act(states, past_actions)                      # (H, S), (H-1, A) -> (A,)

Symbols: B plans in a batch, H history, T horizon, K knots of a plan, S states, A actions, M models
that simulate each plan. Tensors are batch first, in task units. Action k acts from state k to k+1.
Each controller is a file of `kinemill.control.controllers`.
"""

from kinemill.control.closed_loop import run_episode
from kinemill.control.controlled_plant import ControlledPlant, EpisodeFailed
from kinemill.control.cost import Cost
from kinemill.control.learned_dynamics import LearnedModel, learned_model
from kinemill.control.physics import Robot, TruePhysics, make_plant, uncertain_physics
from kinemill.control.plan import Plan
from kinemill.control.planner import AsyncPlanner, Online, make_planner
from kinemill.control.policies import Policy, plain_policy

__all__ = [
    "AsyncPlanner",
    "ControlledPlant",
    "Cost",
    "EpisodeFailed",
    "LearnedModel",
    "Online",
    "Plan",
    "Policy",
    "Robot",
    "TruePhysics",
    "learned_model",
    "make_planner",
    "make_plant",
    "plain_policy",
    "run_episode",
    "uncertain_physics",
]
