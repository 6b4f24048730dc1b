"""Environments of policies: built from a task, wrapped, evaluated and logged.

`make_environment` returns the environment of a policy, in the robot's units: a `gymnasium.Env`
whose observation is a vector, or a dict of the policy's inputs. Modules that a policy has inside
(stacked frames, scaled actions, normalized observations) are no part of it.

Symbols: N steps, D numbers observed, A actions, M choices.
"""

from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.layout import layout_of

__all__ = ["environment_of", "layout_of", "make_environment"]
