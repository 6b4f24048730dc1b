"""The trained policy: the wrappers of the policy, a network, action limits.

It depends on no part of the library that trained it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinemill.environments.graph import Adapter, clipped
from kinemill.rl.networks import Core
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task.environment import Wrapper
from kinemill.task.reinforcement import Head
from kinemill.train.policy import PolicyModule

_NEVER = -1e8  # score of a masked choice, as in sb3-contrib


class RestartWeights(nn.Module):
    """Tensors that another training can start from, critics included; inference ignores them.

    Args:
        tensors: any shapes.
    """

    PREFIX: ClassVar[str] = "restart."  # of the weights of an actor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            own = name.removeprefix(self.PREFIX).replace(".", "/")  # dots are for modules
            self.register_buffer(own, value.detach().clone())

    def named(self) -> dict[str, Tensor]:
        """Return the tensors by name, in the shapes that were passed."""
        return {name.replace("/", "."): value for name, value in self.named_buffers()}


class Actor(PolicyModule):
    """A network between the wrappers of the policy.

    The first carry number is 0 at the first step of an episode, then 1.

    Args:
        layout: observations and actions.
        adapters: from the innermost to the outermost.
        core: the network.
        head: how outputs become continuous actions.
        restart: weights that another training can start from, critics included.
    """

    low: Tensor
    high: Tensor
    inner_low: Tensor
    inner_high: Tensor

    def __init__(
        self,
        layout: PolicyLayout,
        adapters: Sequence[Adapter],
        core: Core,
        head: Head,
        restart: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(layout)
        self.adapters, self.core, self._head = nn.ModuleList(adapters), core, head
        ends = torch.tensor(
            [layout.limits.get(name, (-torch.inf, torch.inf)) for name in layout.actions]
        )
        self.register_buffer("low", ends[:, 0].clone(), persistent=False)
        self.register_buffer("high", ends[:, 1].clone(), persistent=False)
        self.restart = RestartWeights(restart or {})
        scaled = any(type(one).act is not Adapter.act for one in adapters)
        inner = torch.tensor([[-1.0, 1.0]] * len(layout.actions)) if scaled else ends
        self.register_buffer("inner_low", inner[:, 0].clone(), persistent=False)
        self.register_buffer("inner_high", inner[:, 1].clone(), persistent=False)

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the episode flag, the carry of the adapters and the carry of the network."""
        inside = [shape for one in self.adapters for shape in one.carry_shapes]  # pyright: ignore[reportGeneralTypeIssues]
        own = self.core.carry_shapes
        return ((1,), *inside, *own) if inside or own else ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the action (B, A) in task units, and the carry."""
        input_count = len(self.layout.inputs)
        features, mask = tensors[0], tensors[1] if self.layout.mask else None
        carry = list(tensors[input_count:])
        going = carry.pop(0) if carry else torch.ones_like(features[:, :1])
        after: list[Tensor] = [torch.ones_like(going)] if self.carry_shapes else []
        for adapter in self.adapters:
            count = len(adapter.carry_shapes)  # pyright: ignore[reportArgumentType]
            own = tuple(carry[:count])
            del carry[:count]
            features, own = adapter.observe(features, 1.0 - going, own)  # pyright: ignore[reportCallIssue]
            after += own
        raw, *core_carry = self.core(features, *carry)
        return self._act(raw, mask), *after, *core_carry

    def _act(self, raw: Tensor, mask: Tensor | None) -> Tensor:
        if any(self.layout.choices):
            return self._best_choices(raw, mask)
        if self._head == "squashed":
            raw = self.inner_low + 0.5 * (torch.tanh(raw) + 1.0) * (
                self.inner_high - self.inner_low
            )
        action = clipped(raw, self.inner_low, self.inner_high)
        for adapter in reversed(self.adapters):
            action = adapter.act(action)  # pyright: ignore[reportCallIssue]
        return clipped(action, self.low, self.high)

    def _best_choices(self, raw: Tensor, mask: Tensor | None) -> Tensor:
        """Return the choice of each action with the highest score; NaN where a score is NaN."""
        if mask is not None:
            raw = torch.where(mask > 0.5, raw, torch.full_like(raw, _NEVER))
        parts = raw.split(self.layout.choices, dim=1)
        best = torch.stack([part.argmax(dim=1) for part in parts], dim=1).to(raw.dtype)
        return best + 0.0 * raw.sum(dim=1, keepdim=True)


def outputs_of(layout: PolicyLayout) -> int:
    """Return the size of a network's output: one per continuous action, one per choice."""
    return sum(layout.choices) if any(layout.choices) else len(layout.actions)


def adapters_of(wrappers: Sequence[Wrapper], layout: PolicyLayout) -> list[Adapter]:
    """Return the wrappers of the policy as torch modules, from the innermost outwards."""
    adapters, inputs = list[Adapter](), len(layout.observation)
    for wrapper in wrappers:
        if wrapper.scope == "policy":
            adapters.append(wrapper.module(layout, inputs))
            inputs = adapters[-1].outputs
    return adapters


def actor_of(
    learn: Any,
    layout: PolicyLayout,
    wrappers: Sequence[Wrapper],
    restart: Mapping[str, Tensor],
    core: Core | None = None,
) -> Actor:
    """Return the policy of a `learn` part, in evaluation mode.

    Args:
        learn: of type reinforcement.
        layout: observations and actions of the policy.
        wrappers: of the environment; those of the policy count.
        restart: weights that another training can start from, critics included.
        core: the network; default: a network with initial weights.
    """
    adapters = adapters_of(wrappers, layout)
    inputs = adapters[-1].outputs if adapters else len(layout.observation)
    own = core if core is not None else learn.algorithm.core(learn, inputs, outputs_of(layout))
    return Actor(layout, adapters, own, learn.algorithm.head, restart).eval()
