"""V-trace (Espeholt et al., 2018): values and advantages from actions of an older policy.

Symbols: T steps, B environments.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class TraceSettings(NamedTuple):
    """Settings of V-trace.

    Attributes:
        gamma: discount of a step.
        rho_bar: largest ratio in temporal differences and in the policy gradient.
        c_bar: largest ratio in traces.
        trace_lambda: discount of traces per step.
    """

    gamma: float
    rho_bar: float = 1.0
    c_bar: float = 1.0
    trace_lambda: float = 1.0


class VTrace(NamedTuple):
    """Targets of an actor-critic update.

    Attributes:
        values: targets of the critic, (T, B).
        advantages: weights of the policy gradient, with the clipped ratio, (T, B).
    """

    values: Tensor
    advantages: Tensor


@torch.no_grad()
def v_trace(
    log_ratios: Tensor,
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    dones: Tensor,
    settings: TraceSettings,
) -> VTrace:
    """Return the V-trace targets of trajectories, eq. (1) of the paper.

    With delta_t = rho_t (r_t + gamma V(x_t+1) - V(x_t)), rho_t = min(rho_bar, ratio_t) and
    c_t = lambda min(c_bar, ratio_t):

        v_s = V(x_s) + delta_s + gamma c_s (v_s+1 - V(x_s+1))
        advantage_s = rho_s (r_s + gamma v_s+1 - V(x_s))

    After the last step of a trajectory or of an episode, v is `next_values`.

    Args:
        log_ratios: log pi(a|x) - log mu(a|x), learner's policy pi and worker's policy mu, (T, B).
        rewards: rewards, (T, B).
        values: V(x_t), (T, B).
        next_values: V of the observation after each step, (T, B): 0 where an episode terminated,
            the value of its last observation where it was truncated.
        dones: whether an episode is over after each step, (T, B).
        settings: discounts and bounds.
    """
    gamma, rho_bar, c_bar, trace_lambda = settings
    ratios = log_ratios.exp()
    # Lambda scales the traces alone, Espeholt et al. 2018, remark 2.
    rho, c = ratios.clamp(max=rho_bar), trace_lambda * ratios.clamp(max=c_bar)
    deltas = rho * (rewards + gamma * next_values - values)
    later = torch.zeros_like(values[0])  # v - V of the next step
    corrections = list[Tensor]()
    for step in reversed(range(len(values))):
        # An episode end stops the recursion: the next row belongs to another episode.
        continues = 1.0 - dones[step].to(values.dtype)
        later = deltas[step] + gamma * c[step] * continues * later
        corrections.append(later)
    difference = torch.stack(corrections[::-1])
    # v - V of the next step; 0 after the last one, where v is `next_values`.
    after = torch.cat([difference[1:], torch.zeros_like(difference[:1])])
    next_targets = next_values + after * (1.0 - dones.to(values.dtype))
    return VTrace(values + difference, rho * (rewards + gamma * next_targets - values))
