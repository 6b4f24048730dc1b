"""The trained policy: the wrappers of the policy, a network, action limits.

It does not depend on the library that trained it.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinemill.policies.environments.graph import Adapter, Stacked, clipped, pass_through
from kinemill.policies.rl.networks import Core, native_parts
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.task.blocks import ObservedPart
from kinemill.task.environment import Wrapper
from kinemill.task.reinforcement import Head, ImageInput, NetworkInputs
from kinemill.train.policy import PolicyModule

_NEVER = -1e8  # score of a masked choice, as in sb3-contrib


class RestartWeights(nn.Module):
    """Tensors from which another training can start, critics included; inference ignores them."""

    PREFIX: ClassVar[str] = "restart."  # in the names of an actor's weights

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            plain = name.removeprefix(self.PREFIX).replace(".", "/")  # torch reserves dots
            self.register_buffer(plain, value.detach().clone())

    def named(self) -> dict[str, Tensor]:
        """Return the tensors by name, in the shapes that were passed."""
        return {name.replace("/", "."): value for name, value in self.named_buffers()}


class Actor(PolicyModule):
    """A network between the wrappers of the policy.

    The first carry number is 0 at the first step of an episode, then 1.

    Args:
        layout: observations and actions of the policy.
        adapters: wrappers as torch modules, from the innermost to the outermost.
        core: the network, (B, E), carry -> (B, outputs), carry.
        head: how outputs become continuous actions.
        restart: weights from which another training can start, critics included.
        image_adapters: wrappers of each image of the layout, in order.
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
        image_adapters: Sequence[Sequence[Adapter]] = (),
    ) -> None:
        super().__init__(layout)
        self.image_adapters = nn.ModuleList(nn.ModuleList(adapter) for adapter in image_adapters)
        self.adapters = nn.ModuleList(adapters)
        self.core = core
        self._head = head
        ends = torch.tensor(
            [layout.limits.get(name, (-torch.inf, torch.inf)) for name in layout.actions]
        )
        self.register_buffer("low", ends[:, 0].clone(), persistent=False)
        self.register_buffer("high", ends[:, 1].clone(), persistent=False)
        self.restart = RestartWeights(restart or {})
        scaled = any(type(adapter).act is not Adapter.act for adapter in adapters)
        inner = torch.tensor([[-1.0, 1.0]] * len(layout.actions)) if scaled else ends
        self.register_buffer("inner_low", inner[:, 0].clone(), persistent=False)
        self.register_buffer("inner_high", inner[:, 1].clone(), persistent=False)

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the episode flag, the carry of the adapters and the carry of the network."""
        inside = [
            shape for chain in self._chains() for adapter in chain for shape in adapter.carry_shapes
        ]
        core = self.core.carry_shapes
        return ((1,), *inside, *core) if inside or core else ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the action (B, A) in task units, and the carry; arguments as in `PolicyModule`."""
        named = dict(zip(self.layout.inputs, tensors, strict=False))
        row, after, carry = self.encode(*tensors)
        raw, *core_carry = self.core(row, *carry)
        return self._act(raw, named.get(MASK)), *after, *core_carry

    def encode(self, *tensors: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the row of the network (B, E), the wrappers' next carry, the network's carry."""
        layout = self.layout
        named = dict(zip(layout.inputs, tensors, strict=False))
        parts = [named[OBSERVATION]] if layout.observation else []
        parts += [named[name].flatten(1).float() for name in layout.images]
        carry = list(tensors[len(layout.inputs) :])
        # A carry starts as zeros, so the flag is 0 at the first step; without a carry it is unused.
        going = carry.pop(0) if carry else torch.ones_like(parts[0][:, :1])
        after: list[Tensor] = [torch.ones_like(going)] if self.carry_shapes else []
        count = len(carry) - len(self.core.carry_shapes)
        row, states = pass_through(self._chains(), parts, 1.0 - going, carry[:count])
        return row, [*after, *states], carry[count:]

    def _chains(self) -> list[list[Adapter]]:
        """Return the adapters of the numbers, if there are any, then of each image."""
        numbers = [list(self.adapters)] if self.layout.observation else []
        return [*numbers, *([*chain] for chain in self.image_adapters)]  # pyright: ignore

    def _act(self, raw: Tensor, mask: Tensor | None) -> Tensor:
        if any(self.layout.choices):
            return self._choose(raw, mask)
        if self._head == "squashed":
            raw = self.inner_low + 0.5 * (torch.tanh(raw) + 1.0) * (
                self.inner_high - self.inner_low
            )
        action = clipped(raw, self.inner_low, self.inner_high)
        # The network acts outside of all wrappers: the outermost one converts first.
        for adapter in reversed(self.adapters):
            action = adapter.act(action)  # pyright: ignore[reportCallIssue]
        return clipped(action, self.low, self.high)

    def _choose(self, raw: Tensor, mask: Tensor | None) -> Tensor:
        """Return the best choice of each action (B, A), and numbers within limits."""
        raw = forbid_choices(raw, self.layout.choices, mask)
        # argmax hides NaN; adding 0 times the scores keeps it.
        action = best_choices(raw, self.layout.choices) + 0.0 * raw.sum(dim=1, keepdim=True)
        return clipped(action, self.low, self.high) if self.layout.is_mixed else action


def best_choices(raw: Tensor, choices: Sequence[int]) -> Tensor:
    """Return the choice with the highest score of each action (B, A); numbers as they are."""
    parts = raw.split([count or 1 for count in choices], dim=1)
    columns = [
        part.argmax(dim=1, keepdim=True).to(raw.dtype) if count else part
        for count, part in zip(choices, parts, strict=True)
    ]
    return torch.cat(columns, dim=1)


def forbid_choices(raw: Tensor, choices: Sequence[int], mask: Tensor | None) -> Tensor:
    """Return outputs (B, O) with a low score for each choice that a mask (B, M) forbids.

    An action with 0 choices is a number, and has no column in the mask.
    """
    if mask is None:
        return raw
    if not all(choices):
        parts = list[Tensor]()
        first = 0
        for count in choices:
            allowed = mask[:, first : first + count] if count else torch.ones_like(mask[:, :1])
            parts.append(allowed)
            first += count
        mask = torch.cat(parts, dim=1)
    return torch.where(mask > 0.5, raw, torch.full_like(raw, _NEVER))


def outputs_of(layout: PolicyLayout) -> int:
    """Return the output size of a network: one per continuous action, one per choice."""
    return sum(count or 1 for count in layout.choices or (0,) * len(layout.actions))


def adapters_of(wrappers: Sequence[Wrapper], layout: PolicyLayout) -> list[Adapter]:
    """Return the wrappers of the policy as torch modules, the innermost first."""
    adapters = list[Adapter]()
    inputs = len(layout.observation)
    for wrapper in wrappers:
        if wrapper.scope == "policy":
            adapters.append(wrapper.module(layout, inputs))
            inputs = adapters[-1].outputs
    return adapters


def load_estimates(
    adapters: Iterable[Adapter],
    wrappers: Sequence[Wrapper],
    estimates: Sequence[Mapping[str, object]],
) -> None:
    """Load the estimates of wrappers into the adapters of those that are part of the policy."""
    pairs = zip(wrappers, estimates, strict=True)
    loaded = [values for wrapper, values in pairs if wrapper.scope == "policy"]
    for adapter, values in zip(adapters, loaded, strict=True):
        adapter.load(values)


def image_adapters_of(wrappers: Sequence[Wrapper], layout: PolicyLayout) -> list[list[Adapter]]:
    """Return for each image the wrappers of the policy that change images, the innermost first."""
    chains = list[list[Adapter]]()
    for shape in layout.images.values():
        chain = list[Adapter]()
        pixels = prod(shape)
        for wrapper in wrappers:
            module = wrapper.image_module(pixels) if wrapper.scope == "policy" else None
            if isinstance(module, Adapter):
                chain.append(module)
                pixels = module.outputs
        chains.append(chain)
    return chains


def image_inputs(wrappers: Sequence[Wrapper], layout: PolicyLayout) -> list[ImageInput]:
    """Return the images at the end of a network's input row."""
    pairs = zip(layout.images.values(), image_adapters_of(wrappers, layout), strict=True)
    return [
        ImageInput(shape, chain[-1].outputs // prod(shape) if chain else 1)
        for shape, chain in pairs
    ]


def observed_parts(
    wrappers: Sequence[Wrapper], layout: PolicyLayout
) -> tuple[list[ObservedPart], int]:
    """Return the named parts of a network's input row, and the number of frames of its numbers.

    The parts are all numbers as `observation`, each number, the parts of the environment's space,
    and images. Numbers that a wrapper changes, such as `angle_features`, have no separate parts.
    """
    count = len(layout.observation)
    frames = 1
    size = len(layout.observation)
    for adapter in adapters_of(wrappers, layout) if size else []:
        frames = frames * adapter.outputs // size if isinstance(adapter, Stacked) else frames
        is_same = isinstance(adapter, Stacked) or adapter.outputs == size
        count = count if is_same else adapter.outputs // frames
        size = adapter.outputs
    parts = {OBSERVATION: ObservedPart(OBSERVATION, (0, count), (count,))} if count else {}
    if count == len(layout.observation):
        parts |= {
            name: ObservedPart(name, (k, k + 1), (1,)) for k, name in enumerate(layout.observation)
        }
        native = layout.native
        if native.observation is not None:
            parts |= native_parts(native.observation, native.keys)
    start = size
    for name, image in zip(layout.images, image_inputs(wrappers, layout), strict=True):
        columns = (start, start + image.pixels)
        parts[name] = ObservedPart(name, columns, image.shape, is_image=True)
        start = columns[1]
    return list(parts.values()), frames


def with_inputs_of(learn: Any, wrappers: Sequence[Wrapper], layout: PolicyLayout) -> Any:
    """Return a `learn` part with the inputs of its networks."""
    images = image_inputs(wrappers, layout)
    inputs = NetworkInputs(*observed_parts(wrappers, layout), images, layout.agents)
    return learn.with_inputs(inputs)


def actor_of(
    learn: Any,
    layout: PolicyLayout,
    wrappers: Sequence[Wrapper],
    restart: Mapping[str, Tensor],
    core: Core | None = None,
) -> Actor:
    """Return the policy of a `learn` part, in evaluation mode.

    Args:
        learn: settings of type reinforcement.
        layout: observations and actions of the policy.
        wrappers: wrappers of the environment; only those with scope policy are used.
        restart: weights from which another training can start, critics included.
        core: the network; default: a network with initial weights.
    """
    adapters = adapters_of(wrappers, layout)
    images = image_inputs(wrappers, layout)
    numbers = adapters[-1].outputs if adapters else len(layout.observation)
    inputs = numbers + sum(image.pixels for image in images)
    full = with_inputs_of(learn, wrappers, layout)
    network = core if core is not None else full.algorithm.core(full, inputs, outputs_of(layout))
    chains = image_adapters_of(wrappers, layout)
    return Actor(layout, adapters, network, learn.algorithm.head, restart, chains).eval()
