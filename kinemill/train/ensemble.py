"""Ensembles: steps that differ by initialization and data order; disagreement is uncertainty.

Parameters of equal name are stacked, and `vmap` runs the step over all members as one program.
Each member continues from its own prediction, so a rollout consists of one trajectory per member.
Their mean is the next state, and the carry holds the offset of each member from it.

Symbols: B batch, E members, H history, T horizon, S states, A actions, Y channels that are
predicted but not fed back, P covariance.
"""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kinemill.runtime import Belief
from kinemill.train.ensemble_member import Member
from kinemill.train.layout import Layout
from kinemill.train.step import roll_channels


class Ensemble(nn.Module):
    """(state (B, S), action (B, A), carry...) -> (next_state (B, S), carry...), as a `Step`.

    States are in task units. The carry holds the carries of the members (B, E, ...), then their
    offsets (B, E, S), then P (B, S, S) if they have noise, then the prediction itself (B, S). If
    the given state equals that prediction, each member continues from its own state. Any other
    state is a measurement, and all members start from it.

    Args:
        members: of equal layout, with or without noise.
    """

    def __init__(self, members: list[Member]) -> None:
        super().__init__()
        self.members = len(members)
        self.member = copy.deepcopy(members[0])
        self.copies: nn.ModuleList | None = None
        stacked = {
            name: torch.stack([member.get_parameter(name).detach() for member in members])
            for name, _ in self.member.named_parameters()
        }
        for name, value in stacked.items():
            _put(self.member, name, value)

    @property
    def layout(self) -> Layout:
        """The common layout of all members."""
        return self.member.step.layout

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.member.step.history

    @property
    def rows(self) -> int:
        """Rows that must be measured before the first prediction, see `Step.rows`."""
        return self.member.step.rows

    def estimate_history(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate derived states: (B, R, S), (B, R-1, A) -> (B, H, S), (B, H-1, A)."""
        return self.member.step.estimate_history(states, past_actions)

    @property
    def state_std(self) -> Tensor:
        """Standard deviation of each state in training, (S,)."""
        return self.member.step.state_std

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""
        states = len(self.layout.states)
        inner = ((self.members, *shape) for shape in self.member.step.carry_shapes)
        covariance = ((states, states),) if self.member.noise is not None else ()
        return (*inner, (self.members, states), *covariance, (states,))

    @property
    def belief(self) -> Belief:
        """Names of the carries that hold the uncertainty, in the exported files."""
        # Empty carries are not exported, so a name counts only the carries with elements before it.
        inner = sum(0 not in shape for shape in self.member.step.carry_shapes)
        offsets = f"carry_{inner}"
        noise = self.member.noise
        if noise is None:
            return Belief(self.members, offsets, "", ())
        measured = noise.measured.detach().exp().mean(0) * self.state_std**2
        return Belief(self.members, offsets, f"carry_{inner + 1}", tuple(measured.tolist()))

    @property
    def offsets_index(self) -> int:
        """Index of the members' offsets (E, S) in the carry; the covariance follows, if any."""
        return len(self.member.step.carry_shapes)

    def initial_carry(self, batch: int) -> tuple[Tensor, ...]:
        """Return the initial carry: zeros, (B, ...) each."""
        like = self.state_std
        return tuple(like.new_zeros(batch, *shape) for shape in self.carry_shapes)

    def wrap(self, state: Tensor) -> Tensor:
        """Wrap the angles of states (..., S) to [-π, π]."""
        return self.member.step.wrap(state)

    def call_members(
        self, method: str, *arguments: Tensor, shared: tuple[bool, ...]
    ) -> tuple[Tensor, ...]:
        """Call a method of all members, vectorized.

        Args:
            method: name of a method of `Member`.
            arguments: tensors with the members as their second axis, (B, E, ...), or without.
            shared: for each argument, whether it is the same for all members.

        Returns:
            Results of the method, (B, E, ...) each.
        """
        if self.copies is not None:
            return self._in_sequence(method, arguments, shared)
        axes = tuple(None if same else 1 for same in shared)

        def call(parameters: dict[str, Tensor], *arguments_: Tensor) -> tuple[Tensor, ...]:
            return functional_call(self.member, parameters, (method, *arguments_))

        mapped = torch.vmap(call, in_dims=(0, *axes), randomness="different")
        parts = mapped(dict(self.member.named_parameters()), *arguments)
        return tuple(part.transpose(0, 1) for part in parts)

    def _in_sequence(
        self, method: str, arguments: tuple[Tensor, ...], shared: tuple[bool, ...]
    ) -> tuple[Tensor, ...]:
        parts = [
            member(
                method,
                *(
                    part if same else part.select(1, index)
                    for part, same in zip(arguments, shared, strict=True)
                ),
            )
            for index, member in enumerate(self.copies or ())
        ]
        return tuple(torch.stack(parts, dim=1) for parts in zip(*parts, strict=True))

    def forward(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step: (B, S), (B, A), carry -> next state (B, S), carry."""
        *inner, _, covariance_before, _ = self._parts(carry)
        states, is_prediction = self._member_states(state, carry)
        shared = (False, True, *(False for _ in inner))
        following, added, *after = self.call_members(
            "advance", states, action, *inner, shared=shared
        )
        moved = self.wrap(following - state.unsqueeze(1))
        mean = moved.mean(1)
        state_after = self.wrap(state + mean)
        apart = self.wrap(moved - mean.unsqueeze(1))
        if self.member.noise is None:
            return state_after, *after, apart, state_after
        # A measured state has no accumulated covariance: only the noise of this step is left.
        accumulated = covariance_before * is_prediction.unsqueeze(2)
        covariance = self.member.grown(accumulated) + added.mean(1)
        return state_after, *after, apart, covariance, state_after

    def _member_states(self, state: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return each member's state (B, E, S), and whether rows are predictions, (B, 1) 1 or 0."""
        *_, offsets, _, expected = self._parts(carry)
        # Exact equality: a rollout feeds the same tensor back, and a measurement differs in a bit.
        is_prediction = ((state - expected).abs().sum(1, keepdim=True) == 0).to(state.dtype)
        return state.unsqueeze(1) + offsets * is_prediction.unsqueeze(2), is_prediction

    def advance(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step: (B, S), (B, A), carry -> (B, S), mean outputs (B, Y), carry."""
        next_state, *after = self(state, action, *carry)
        inner = carry[: len(self.member.step.carry_shapes)]
        shared = (False, True, *(False for _ in inner))
        states, _ = self._member_states(state, carry)
        (outputs,) = self.call_members("outputs", states, action, *inner, shared=shared)
        return next_state, outputs.mean(1), *after

    def _parts(self, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if self.member.noise is not None:
            return carry
        return *carry[:-1], carry[-1], carry[-1]  # without a covariance its place is not read

    def warm_up(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after states (B, H, S) without the last, under (B, H-1, A)."""
        blank = self.initial_carry(states.shape[0])
        if self.history == 1:
            return blank
        inner = len(self.member.step.carry_shapes)
        after = (
            self.call_members("warm_up", states, past_actions, shared=(True, True)) if inner else ()
        )
        return *after, *blank[inner:]

    def rollout(self, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
        """Roll out the mean of the members: (B, H, S), (B, H-1, A), (B, T, A) -> (B, T, S)."""
        return self.bundle(states, past_actions, actions)[0]

    def rollout_channels(self, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
        """Roll out states and outputs, (B, T, S + Y), see `Step.rollout_channels`."""
        return roll_channels(self, states, past_actions, actions)

    def bundle(
        self, states: Tensor, past_actions: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rollout (B, T, S), its members' offsets (B, T, E, S), variances (B, T, S).

        Arguments as in `rollout`. The variance, in squared task units, is the prediction of the
        members with measurement noise, and zero without noise. The total variance is this plus the
        variance of the offsets.
        """
        carry = self.warm_up(states, past_actions)
        state = states[:, -1]
        measured = state.new_tensor(self.belief.measured)
        predicted = list[Tensor]()
        offsets = list[Tensor]()
        variances = list[Tensor]()
        for action in actions.unbind(1):
            state, *after = self(state, action, *carry)
            carry = tuple(after)
            predicted.append(state)
            offsets.append(carry[self.offsets_index])
            if self.member.noise is None:
                variances.append(torch.zeros_like(state))
            else:
                covariance = carry[self.offsets_index + 1]
                variances.append(covariance.diagonal(dim1=-2, dim2=-1) + measured)
        return (
            torch.stack(predicted, dim=1),
            torch.stack(offsets, dim=1),
            torch.stack(variances, dim=1),
        )

    def unroll(self, *data: Tensor) -> tuple[Tensor, Tensor]:
        """Roll out every member on its own batch, see `Member.unroll`; all (E, B, ...)."""

        def call(parameters: dict[str, Tensor], *arguments_: Tensor) -> tuple[Tensor, Tensor]:
            return functional_call(self.member, parameters, ("unroll", *arguments_))

        mapped = torch.vmap(call, in_dims=(0, *(0 for _ in data)), randomness="different")
        return mapped(dict(self.member.named_parameters()), *data)

    def apart(self) -> "Ensemble":
        """Return a copy with separate members, for tracing a graph."""
        same = copy.deepcopy(self)
        same.copies = nn.ModuleList(self.alone(index) for index in range(self.members))
        return same

    def alone(self, index: int) -> Member:
        """Return a copy of one member."""
        member = copy.deepcopy(self.member)
        for name, value in self.member.named_parameters():
            _put(member, name, value.detach()[index].clone())
        return member


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    """Set the parameter of a dotted name."""
    folder, _, last = name.rpartition(".")
    setattr(module.get_submodule(folder), last, nn.Parameter(value))
