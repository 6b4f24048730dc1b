"""Values of logged actions, from the critic that was trained with a policy.

Symbols: N rows, B episodes.
"""

import numpy as np
import torch

from kinemill.environments.evaluation import bootstrap
from kinemill.rl.critic import ActionCritic
from kinemill.runtime import Floats, Policy
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.verify.accuracy import episodes_of
from kinemill.verify.document import ActionValues
from kinemill.verify.logs import SPLIT
from kinemill.verify.policies.action_errors import HeldOut, policy_inputs, scored_rows


def action_values(
    policy: Policy, critic: ActionCritic, data: Demonstrations, measured: HeldOut
) -> ActionValues:
    """Return the values of the logged actions and of the policy's actions in the logged states.

    Args:
        policy: the policy.
        critic: critic that was trained with this version of the policy.
        data: data with a test split.
        measured: actions of the policy on the test split, (N, A).
    """
    logged, own = _values(policy, critic, data, measured)
    rows = scored_rows(data)
    logged, own = logged[rows], own[rows]
    episode = episodes_of(data.packed, SPLIT, rows)
    difference = logged - own
    by_episode = [float(difference[episode == one].mean()) for one in np.unique(episode)]
    return ActionValues(
        critic=critic.algorithm.type,
        discount=critic.algorithm.gamma,
        rows=len(rows),
        logged=float(logged.mean()),
        policy=float(own.mean()),
        difference=float(difference.mean()),
        interval=bootstrap(by_episode),
        better=float((difference > 0.0).mean()),
    )


def _values(
    policy: Policy, critic: ActionCritic, data: Demonstrations, measured: HeldOut
) -> tuple[Floats, Floats]:
    """Return the values of logged and own actions, (N,) each; NaN outside the test split."""
    episodes, layout = data.packed.of(SPLIT), policy.interface.layout
    feed = Feed(data, layout, torch.device("cpu"))
    carry = list(critic.actor.initial_carry(len(episodes)))
    logged, own = (np.full(len(data.actions), np.nan) for _ in range(2))
    for step in range(max(one.rows for one in episodes)):
        rows = np.array([min(one.start + step, one.stop - 1) for one in episodes])
        inputs = policy_inputs(policy, feed, rows, step)
        tensors = [torch.from_numpy(inputs[name]) for name in layout.inputs]
        encoded, carry = critic.encode(tensors, carry)
        is_running = np.array([step < one.rows for one in episodes])
        for values, actions in ((logged, measured.logged), (own, measured.actions)):
            acted = torch.from_numpy(np.nan_to_num(actions[rows]))
            values[rows[is_running]] = critic.values(encoded, acted).numpy()[is_running]
    return logged, own
