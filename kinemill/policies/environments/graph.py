"""Wrappers of a policy in torch: their changes to observations and actions, inside the graph.

Symbols: B batch, D numbers observed, E numbers after the adapter, A actions.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

CLIP = 10.0  # of a normalized observation; further out nothing was ever learned


def clipped(value: Tensor, low: object, high: object) -> Tensor:
    """Return a value (...) within limits of the same shape or a number.

    NaN stays NaN, which the clip of ONNX Runtime may lose.
    """
    low = torch.as_tensor(low)
    high = torch.as_tensor(high)
    bounded = torch.where(value > high, high.expand_as(value), value)
    return torch.where(bounded < low, low.expand_as(value), bounded)


class Adapter(nn.Module):
    """A wrapper of the policy; this one does nothing.

    Attributes:
        outputs: numbers that it makes of those it sees, E.
    """

    outputs: int

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.outputs = inputs

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""
        return ()

    def observe(
        self, x: Tensor, first: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the observation of the network.

        Args:
            x: (B, D).
            first: (B, 1), 1.0 at the first step of an episode, else 0.0.
            carry: of the step before.

        Returns:
            (B, E), and the carry for the next step.
        """
        del first
        return x, carry

    def act(self, action: Tensor) -> Tensor:
        """Convert outer actions (B, A) to actions of the wrapped environment."""
        return action

    def inner_action(self, action: Tensor) -> Tensor:
        """Return the action (B, A) of the network that `act` turns into an action: its inverse.

        Raises:
            NotImplementedError: The wrapper changes actions and does not state the inverse.
        """
        if type(self).act is not Adapter.act:
            raise NotImplementedError(f"{type(self).__name__}.inner_action")
        return action

    def load(self, estimates: Mapping[str, object]) -> None:
        """Load the statistics of the wrapper, arrays by name of a buffer."""
        for name, value in estimates.items():
            buffer: Tensor = getattr(self, name)
            buffer.copy_(torch.as_tensor(value, dtype=buffer.dtype))


def pass_through(
    chains: Sequence[Iterable[Adapter]],
    parts: Sequence[Tensor],
    first: Tensor,
    carry: Iterable[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """Pass the parts of an observation through their adapters.

    Args:
        chains: adapters of each part, the innermost first.
        parts: (B, D) each.
        first: (B, 1), see `Adapter.observe`.
        carry: of all adapters, in order.

    Returns:
        The parts side by side, (B, E), and the carry for the next step.
    """
    states = iter(carry)
    rows = list[Tensor]()
    after = list[Tensor]()
    for chain, part in zip(chains, parts, strict=True):
        row = part
        for adapter in chain:
            row, state = adapter.observe(
                row, first, tuple(islice(states, len(adapter.carry_shapes)))
            )
            after += state
        rows.append(row)
    return torch.cat(rows, dim=1) if len(rows) > 1 else rows[0], after


class Normalized(Adapter):
    """(x - mean) / std, within +-`CLIP`.

    Args:
        inputs: D.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def observe(
        self, x: Tensor, first: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Scale (B, D)."""
        del first
        return clipped((x - self.mean) / self.std, -CLIP, CLIP), carry


class Stacked(Adapter):
    """The last `count` observations side by side, the oldest first.

    Args:
        inputs: D.
        count: of them; at the first step all are the first one.
    """

    def __init__(self, inputs: int, count: int) -> None:
        super().__init__(inputs * count)
        self._inputs = inputs
        self._count = count

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The observations before the present one."""
        return ((self._inputs * (self._count - 1),),)

    def observe(
        self, x: Tensor, first: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Append (B, D) to the earlier observations."""
        # Rows of a batch begin episodes at different steps, and a graph has no branch by row.
        previous = torch.where(first > 0.5, x.repeat(1, self._count - 1), carry[0])
        stack = torch.cat([previous, x], dim=1)
        return stack, (stack[:, self._inputs :],)


class Scaled(Adapter):
    """Actions within [-1, 1] become those between two limits.

    Args:
        inputs: D.
        limits: lowest and highest action, (2, A).
    """

    low: Tensor
    high: Tensor

    def __init__(self, inputs: int, limits: object) -> None:
        super().__init__(inputs)
        low, high = torch.as_tensor(limits, dtype=torch.float32)
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def act(self, action: Tensor) -> Tensor:
        """Stretch (B, A)."""
        return self.low + 0.5 * (action + 1.0) * (self.high - self.low)

    def inner_action(self, action: Tensor) -> Tensor:
        """Shrink (B, A)."""
        return 2.0 * (action - self.low) / (self.high - self.low) - 1.0


class Turned(Adapter):
    """Angles as sine and cosine, behind all other numbers.

    Args:
        inputs: D.
        columns: of the angles.
    """

    columns: Tensor
    others: Tensor

    def __init__(self, inputs: int, columns: list[int]) -> None:
        super().__init__(inputs + len(columns))
        remaining = [index for index in range(inputs) if index not in columns]
        # Indexing with lists is exported as GatherND, which the C code generator does not have.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("others", torch.tensor(remaining, dtype=torch.long), persistent=False)

    def observe(
        self, x: Tensor, first: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Turn (B, D) rad into (B, E)."""
        del first
        angles = x.index_select(1, self.columns)
        return torch.cat(
            [x.index_select(1, self.others), torch.sin(angles), torch.cos(angles)], 1
        ), carry
