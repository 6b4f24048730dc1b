"""Runtime: simulators and policies from ONNX files, with numpy and ONNX Runtime only.

    simulator = kinemill.runtime.load("models:/double_pendulum@champion")   # or a folder
    next_states = simulator.rollout(states, past_actions, actions)
    policy = kinemill.runtime.load("models:/reach@champion")
    action = policy.act(observation)

Symbols: B batch, H history, T horizon, S states, A actions, k step index. All tensors are batch
first, float32, in the units of `simulator.units`. Action k acts from state k to k+1.
"""

from kinemill.runtime.interface import Belief, Carry, Conformal, Interface, whole_turns, wrapped
from kinemill.runtime.loader import load, load_policy, load_simulator
from kinemill.runtime.policy import Policy
from kinemill.runtime.policy_interface import PolicyInterface
from kinemill.runtime.simulator import Simulator
from kinemill.runtime.watchdog import Command, Watchdog
from kinemill.runtime.window_metrics import QUIETLY, Floats, Predictor

__all__ = [
    "QUIETLY",
    "Belief",
    "Carry",
    "Command",
    "Conformal",
    "Floats",
    "Interface",
    "Policy",
    "PolicyInterface",
    "Predictor",
    "Simulator",
    "Watchdog",
    "load",
    "load_policy",
    "load_simulator",
    "whole_turns",
    "wrapped",
]
