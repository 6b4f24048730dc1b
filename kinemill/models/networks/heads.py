"""Networks of the action heads.

Symbols: B batch, E values of the condition, T actions of a chunk, A actions of a row, N = T A.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.graph_noise import GraphNoise
from kinemill.models.networks.layers import clamp

FREQUENCIES = 8  # of the sines and cosines of time


class NoiseSource(Protocol):
    """Random tensors of a training step, reproducible from seed and step."""

    def normal(self, *shape: int) -> Tensor:
        """Return a tensor of this shape from the standard normal distribution."""
        ...

    def uniform(self, *shape: int) -> Tensor:
        """Return a tensor of this shape from the uniform distribution over [0, 1)."""
        ...


class HeadModule(nn.Module):
    """A head: condition (B, E) -> chunk of actions (B, T, A), in standard deviations of training.

    Args:
        condition_size: E, values that the network has to return.
        length: T.
        actions: A.
    """

    def __init__(self, condition_size: int, length: int, actions: int) -> None:
        super().__init__()
        self.condition_size = condition_size
        self.length = length
        self.actions = actions
        self.size = length * actions

    @abstractmethod
    def forward(self, condition: Tensor, noise: GraphNoise | None) -> Tensor:
        """Return a chunk of actions: (B, E) -> (B, T, A)."""

    @abstractmethod
    def loss(self, condition: Tensor, target: Tensor, mask: Tensor, noise: NoiseSource) -> Tensor:
        """Return the loss of each row, (B,).

        Args:
            condition: (B, E).
            target: (B, T, A).
            mask: (B, T), 1 where the target was recorded, 0 where it is padding.
            noise: random tensors of this training step.
        """

    def masked_mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the mean over recorded actions: (B, N), (B, T) -> (B,)."""
        is_recorded = mask.repeat_interleave(self.actions, dim=1)
        return (values * is_recorded).sum(-1) / is_recorded.sum(-1)


class DeterministicHead(HeadModule):
    """The condition is the chunk.

    Args:
        length: T.
        actions: A.
        absolute: whether the loss is the absolute error, not the squared one.
    """

    def __init__(self, length: int, actions: int, absolute: bool) -> None:
        super().__init__(length * actions, length, actions)
        self.absolute = absolute

    def forward(self, condition: Tensor, noise: GraphNoise | None) -> Tensor:
        """Return the condition as a chunk (B, T, A)."""
        del noise
        return condition.reshape(-1, self.length, self.actions)

    def loss(self, condition: Tensor, target: Tensor, mask: Tensor, noise: NoiseSource) -> Tensor:
        """Return the mean squared or absolute error: (B, T, A), mask (B, T) -> (B,)."""
        del noise
        error = self(condition, None) - target
        error = error.abs() if self.absolute else error.square()
        return (error.mean(-1) * mask).sum(-1) / mask.sum(-1)


class MixtureHead(HeadModule):
    """Mixture of M Gaussians over whole chunks (Bishop 1994).

    Args:
        length: T.
        actions: A.
        components: M.
        min_std: smallest standard deviation of a component.
        noise: share of a component's standard deviation that is sampled.
    """

    def __init__(
        self, length: int, actions: int, components: int, min_std: float, noise: float
    ) -> None:
        super().__init__(components * (1 + 2 * length * actions), length, actions)
        self.components = components
        self.min_std = min_std
        self.noise = noise

    def parts(self, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities (B, M), means and log-stds (B, M, N)."""
        weights = condition[:, : self.components]
        rest = condition[:, self.components :].reshape(-1, self.components, 2 * self.size)
        std = self.min_std + functional.softplus(rest[..., self.size :])
        return torch.log_softmax(weights, dim=-1), rest[..., : self.size], std.log()

    def forward(self, condition: Tensor, noise: GraphNoise | None) -> Tensor:
        """Sample a component, then its actions: (B, E) -> (B, T, A).

        One component per chunk keeps its actions coherent.
        """
        assert noise is not None
        weights, means, log_std = self.parts(condition)
        # Inverse transform: the first component whose cumulative probability reaches the number.
        cumulative = weights.exp() @ torch.triu(weights.new_ones(self.components, self.components))
        index = (noise.uniform(1) > cumulative[:, :-1]).to(weights.dtype).sum(1, keepdim=True)
        numbers = torch.arange(self.components, device=weights.device, dtype=weights.dtype)
        one_hot = (1.0 - (numbers - index).abs().clamp(max=1.0)).unsqueeze(-1)
        chunk = (one_hot * means).sum(1)
        if self.noise:
            std = (one_hot * log_std.exp()).sum(1)
            chunk = chunk + self.noise * noise.normal(self.size) * std
        return chunk.reshape(-1, self.length, self.actions)

    def loss(self, condition: Tensor, target: Tensor, mask: Tensor, noise: NoiseSource) -> Tensor:
        """Return the negative log-likelihood per recorded number: (B, T, A), (B, T) -> (B,)."""
        del noise
        weights, means, log_std = self.parts(condition)
        error = (target.flatten(1).unsqueeze(1) - means) / log_std.exp()
        terms = -0.5 * error.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        is_recorded = mask.repeat_interleave(self.actions, dim=1)
        whole = torch.logsumexp(weights + (terms * is_recorded.unsqueeze(1)).sum(-1), dim=-1)
        return -whole / is_recorded.sum(-1)


class Denoiser(nn.Module):
    """(B, N), time (B, 1) in [0, 1], condition (B, E) -> (B, N), an MLP with residuals.

    Time enters by the positional encoding of Mildenhall et al. (2020), eq. 4.
    """

    frequencies: Tensor

    def __init__(self, size: int, condition: int, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(size + condition + 2 * FREQUENCIES, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
            for _ in range(layers)
        )
        self.head = nn.Linear(width, size)
        frequencies = math.pi * 2.0 ** torch.arange(FREQUENCIES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the clean chunk, or its velocity: (B, N), (B, 1), (B, E) -> (B, N)."""
        phase = time * self.frequencies
        inputs = torch.cat([noisy, torch.sin(phase), torch.cos(phase), condition], dim=1)
        hidden = self.embed(inputs)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden)


@dataclass(frozen=True)
class SamplerSizes:
    """Sizes of a sampling head: E, calls of its network, width and layers of its network."""

    condition: int
    steps: int
    width: int
    layers: int


class SamplingHead(HeadModule):
    """Base of heads that turn noise into a chunk in equal steps of time.

    Args:
        length: T.
        actions: A.
        sizes: of the sampler.
    """

    def __init__(self, length: int, actions: int, sizes: SamplerSizes) -> None:
        super().__init__(sizes.condition, length, actions)
        self.steps = sizes.steps
        self.denoiser = Denoiser(self.size, sizes.condition, sizes.width, sizes.layers)

    def forward(self, condition: Tensor, noise: GraphNoise | None) -> Tensor:
        """Sample a chunk (B, T, A) for a condition (B, E)."""
        assert noise is not None
        x = noise.normal(self.size)
        for step in range(self.steps):
            x = self.advance(x, step, condition)
        return x.reshape(-1, self.length, self.actions)

    @abstractmethod
    def advance(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        """Make one of the steps: (B, N), (B, E) -> (B, N)."""


class DiffusionHead(SamplingHead):
    """Diffusion (Ho et al. 2020) sampled by DDIM, see `kinemill.models.heads.diffusion`.

    Args:
        length: T.
        actions: A.
        sizes: of the sampler.
        bound: largest absolute value of a clean action.
    """

    def __init__(self, length: int, actions: int, sizes: SamplerSizes, bound: float) -> None:
        super().__init__(length, actions, sizes)
        self.bound = bound

    def advance(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        """Make one step of DDIM, eq. (12) of Song et al. (2021) with η = 0."""
        now, after = (1.0 - k / self.steps for k in (step, step + 1))
        time = torch.full_like(x[:, :1], now)
        clean = clamp(self.denoiser(x, time, condition), self.bound)
        (signal, noise), (next_signal, next_noise) = signal_and_noise(now), signal_and_noise(after)
        return next_signal * clean + next_noise / noise * (x - signal * clean)

    def loss(self, condition: Tensor, target: Tensor, mask: Tensor, noise: NoiseSource) -> Tensor:
        """Return the squared error of the predicted clean chunk: (B, T, A), (B, T) -> (B,)."""
        clean = target.flatten(1)
        time = noise.uniform(len(clean), 1)
        # x_t = α x_0 + σ ε with the cosine schedule, whose α² + σ² is 1.
        angle = 0.5 * math.pi * time
        noisy = angle.cos() * clean + angle.sin() * noise.normal(len(clean), self.size)
        error = self.denoiser(noisy, time, condition) - clean
        return self.masked_mean(error.square(), mask)


class FlowHead(SamplingHead):
    """Flow matching (Lipman et al. 2023), see `kinemill.models.heads.flow`."""

    def advance(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        """Make one step of Euler's method."""
        time = torch.full_like(x[:, :1], step / self.steps)
        return x + self.denoiser(x, time, condition) / self.steps

    def loss(self, condition: Tensor, target: Tensor, mask: Tensor, noise: NoiseSource) -> Tensor:
        """Return the squared error of the velocity at a random time: (B, T, A), (B, T) -> (B,)."""
        end = target.flatten(1)
        start = noise.normal(len(end), self.size)
        time = noise.uniform(len(end), 1)
        velocity = self.denoiser((1.0 - time) * start + time * end, time, condition)
        return self.masked_mean((velocity - (end - start)).square(), mask)


def signal_and_noise(time: float) -> tuple[float, float]:
    """Return the amplitudes of signal and noise at a time in [0, 1].

    The cosine schedule of Nichol and Dhariwal (2021), eq. 17, without its offset.
    """
    return math.cos(0.5 * math.pi * time), math.sin(0.5 * math.pi * time)
