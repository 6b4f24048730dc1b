"""Behavior cloning: fit the actor to demonstrated actions before reinforcement learning.

Symbols: N steps of all episodes, T steps of one, E inputs of a network, A actions, M choices.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from kinemill.errors import Diverged
from kinemill.policies.environments.graph import Adapter
from kinemill.policies.environments.wrappers.reward_scaling import RewardScaling
from kinemill.policies.rl.actor import Actor
from kinemill.policies.rl.demonstrations import Episode, masks_of
from kinemill.runtime.policy_layout import OBSERVATION
from kinemill.task.environment import Wrapper
from kinemill.task.reinforcement import Pretrain

ActorLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Transitions:
    """Demonstrated steps as a replay buffer stores them.

    Attributes:
        next_rows: observations after each step, (N, E).
        rewards: rewards after the wrappers, (N,).
        ended: whether an episode is over after each step, (N,).
        truncated: whether the episode was truncated there, (N,).
    """

    next_rows: NDArray[np.generic]
    rewards: NDArray[np.float32]
    ended: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class ClonedSteps:
    """Demonstrated steps, input of `Cloner.clone`.

    Attributes:
        rows: observations after the wrappers, (N, E).
        actions: targets of the network, (N, A), before the wrappers.
        masks: allowed choices (N, M); None: all.
        transitions: steps for a replay buffer; None: rewards are unknown.
    """

    rows: NDArray[np.generic]
    actions: NDArray[np.float32]
    masks: NDArray[np.float32] | None = None
    transitions: Transitions | None = None


@torch.no_grad()
def adapt_episode(adapters: Iterable[Adapter], values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Apply wrappers to the observations of an episode: (T, D) -> (T, E)."""
    rows = torch.from_numpy(np.asarray(values, np.float32))
    first = torch.zeros(len(rows), 1)
    first[0] = 1.0
    for adapter in adapters:
        # Without a carry, rows are independent and pass as one batch.
        if not adapter.carry_shapes:
            rows = adapter.observe(rows, first, ())[0]
            continue
        carry = tuple(torch.zeros(1, *shape) for shape in adapter.carry_shapes)
        outputs = list[Tensor]()
        for row, begins in zip(rows.split(1), first.split(1), strict=True):
            output, carry = adapter.observe(row, begins, carry)
            outputs.append(output)
        rows = torch.cat(outputs)
    return rows.numpy()


def cloned_steps(
    actor: Actor, episodes: Sequence[Episode], kind: DTypeLike, wrappers: Sequence[Wrapper] = ()
) -> ClonedSteps:
    """Return the steps of demonstrations after the wrappers of a policy.

    Episodes are in task units; the wrappers scale rewards.
    """
    rows = [_rows(actor, episode).astype(kind) for episode in episodes]
    actions = torch.from_numpy(np.concatenate([episode.actions for episode in episodes]))
    for adapter in actor.adapters:
        actions = adapter.inner_action(actions)  # pyright: ignore[reportCallIssue]
    counts = [len(episode.actions) for episode in episodes]
    # With rewards there are T + 1 observations; the last one is only a next observation.
    now = np.concatenate([row[:count] for row, count in zip(rows, counts, strict=True)])
    transitions = None
    if all(episode.rewards is not None for episode in episodes):
        ended = np.concatenate([np.arange(count) == count - 1 for count in counts])
        is_terminal = np.repeat([episode.terminated for episode in episodes], counts)
        transitions = Transitions(
            np.concatenate([row[1 : count + 1] for row, count in zip(rows, counts, strict=True)]),
            np.concatenate([_scaled(wrappers, episode.rewards) for episode in episodes]),
            ended,
            ended & ~is_terminal,
        )
    return ClonedSteps(now, actions.numpy(), masks_of(episodes), transitions)


def _scaled(wrappers: Sequence[Wrapper], rewards: object) -> NDArray[np.float32]:
    """Return rewards (T,) after the wrappers."""
    values = np.asarray(rewards, np.float32)
    for wrapper in wrappers:
        if isinstance(wrapper, RewardScaling):
            values = np.float32(wrapper.factor) * values + np.float32(wrapper.offset)
    return values


def _rows(actor: Actor, episode: Episode) -> NDArray[np.float32]:
    """Return the network's input at each observation of an episode, (T, E) or (T+1, E)."""
    parts = list[NDArray[np.float32]]()
    if actor.layout.observation:
        parts.append(adapt_episode(actor.adapters, episode.inputs[OBSERVATION]))  # pyright: ignore[reportArgumentType]
    for name, chain in zip(actor.layout.images, actor.image_adapters, strict=True):
        pixels = episode.inputs[name]
        parts.append(adapt_episode(chain, pixels.reshape(len(pixels), -1)))  # pyright: ignore[reportArgumentType]
    return np.concatenate(parts, axis=1)


def fit_actor(
    loss: ActorLoss,
    parameters: Iterable[Tensor],
    steps: ClonedSteps,
    settings: Pretrain,
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """Fit an actor to demonstrated actions, in shuffled batches.

    Args:
        loss: function of rows (B, E), actions (B, A) and masks (B, M) or None.
        parameters: parameters of all networks; without a gradient they do not change.
        steps: demonstrated steps.
        settings: number of optimizer steps, batch size and learning rate.
        seed: seed of the order.
        device: device of the networks.

    Returns:
        The loss of the first step, and the mean over the last tenth of the steps.

    Raises:
        Diverged: The loss is not finite.
    """
    optimizer = torch.optim.Adam(list(parameters), lr=settings.lr)
    torch.manual_seed(seed)
    losses = list[float]()
    for batch in _batches(len(steps.rows), settings, seed):
        rows, actions = (
            torch.as_tensor(part[batch], device=device) for part in (steps.rows, steps.actions)
        )
        masks = None if steps.masks is None else torch.as_tensor(steps.masks[batch]).to(device)
        value = loss(rows, actions, masks)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        if not np.isfinite(losses[-1]):
            where = "learn.pretrain"
            fix = "lower learn.pretrain.lr"
            raise Diverged(where, f"the loss of cloning is {losses[-1]}", fix=fix)
    last = max(1, len(losses) // 10)
    return {"first_loss": losses[0], "loss": float(np.mean(losses[-last:]))}


def _batches(count: int, settings: Pretrain, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield the row numbers (B,) of each optimizer step; each pass has a new order."""
    random = np.random.default_rng(seed)
    size = min(settings.batch_size, count)
    order = random.permutation(count)
    for _ in range(settings.steps):
        # The rest of a pass is dropped, so that all batches have the same size.
        if len(order) < size:
            order = random.permutation(count)
        yield order[:size]
        order = order[size:]
