"""Training in JAX as its users write it: all steps of a round in one `lax.scan`, AdamW by hand."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

Array = Any  # of JAX, which is in the environment of the peers alone
Jax = Any
Weights = dict[str, Any]
CLIP = 1.0
RATE = 1e-4
DECAY = 1e-2  # torch's default, as the next two
BETAS = (0.9, 0.999)
EPS = 1e-8


def scanned(
    jax: Jax, network: Any, values: Tensor, rows: int, batches: Iterator[Tensor], steps: int
) -> Callable[[], float]:
    """Return a call that trains `steps` steps and returns the last loss.

    Args:
        jax: the package.
        network: `benchmarks.train` network with the first weights.
        values: rows (N, C) of all windows.
        rows: of a window.
        batches: first rows (B,) of the windows of each step.
        steps: of a call.
    """
    jnp = jax.numpy
    data = jnp.asarray(values.numpy())
    loss = _loss_of(jax, network)
    zeros = {name: jnp.zeros(value.shape) for name, value in network.named_parameters()}

    def step(carry: Any, starts: Array) -> Array:
        weights, mean, square, count = carry
        windows = data[starts[:, None] + jnp.arange(rows)]
        value, gradients = jax.value_and_grad(loss)(weights, windows)
        norm = jnp.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        scale = jnp.minimum(1.0, CLIP / (norm + 1e-6))
        count += 1
        for name, gradient in gradients.items():
            mean[name] = BETAS[0] * mean[name] + (1 - BETAS[0]) * scale * gradient
            square[name] = BETAS[1] * square[name] + (1 - BETAS[1]) * (scale * gradient) ** 2
            change = mean[name] / (1 - BETAS[0] ** count)
            change /= jnp.sqrt(square[name] / (1 - BETAS[1] ** count)) + EPS
            weights[name] = weights[name] * (1 - RATE * DECAY) - RATE * change
        return (weights, mean, square, count), value

    train = jax.jit(lambda carry, starts: jax.lax.scan(step, carry, starts))
    carry = (_weights_of(jnp, network), zeros, dict(zeros), jnp.zeros(()))

    def call() -> float:
        nonlocal carry
        starts = np.stack([next(batches).numpy() for _ in range(steps)])
        carry, losses = train(carry, starts)
        return float(losses[-1])

    return call


def _weights_of(jnp: Jax, network: Any) -> Weights:
    return {name: jnp.asarray(each.detach().numpy()) for name, each in network.named_parameters()}


def _loss_of(jax: Jax, network: Any) -> Callable[[Weights, Array], Array]:
    """Return the loss of weights and windows (B, H + T, C), as the network in torch computes it."""
    jnp = jax.numpy
    states = network.states
    history = network.history
    angles = network.angles.numpy()
    layers = sorted({name.rpartition(".")[0] for name, _ in network.head.named_parameters("head")})
    advance = partial(_gru_cell, jax) if network.is_recurrent else partial(_shift, jnp)

    def features(rows: Array) -> Array:
        turned = rows[..., :states][..., angles]
        others = rows[..., :states][..., ~angles]
        return jnp.concatenate([jnp.cos(turned), jnp.sin(turned), others, rows[..., states:]], -1)

    def head(weights: Weights, inputs: Array) -> Array:
        for name in layers[:-1]:
            inputs = jnp.tanh(_linear(weights, name, inputs))
        return _linear(weights, layers[-1], inputs)

    def loss(weights: Weights, window: Array) -> Array:
        state = window[:, history - 1, :states]
        memory = past = features(window[:, :history])
        if network.is_recurrent:
            memory = jnp.zeros((len(window), network.head.in_features))
            for row in range(history):
                memory = advance(weights, past[:, row], memory)
        total = 0.0
        for row in range(history, window.shape[1]):
            state = state + head(weights, memory.reshape(len(window), -1))
            total += ((state - window[:, row, :states]) ** 2).mean()
            latest = features(jnp.concatenate([state, window[:, row, states:]], -1))
            memory = advance(weights, latest, memory)
        return total / (window.shape[1] - history)

    return loss


def _linear(weights: Weights, name: str, inputs: Array, ending: str = "") -> Array:
    return inputs @ weights[f"{name}.weight{ending}"].T + weights[f"{name}.bias{ending}"]


def _shift(jnp: Jax, weights: Weights, latest: Array, memory: Array) -> Array:
    """Return the last rows (B, H, F) with the latest (B, F) at the end."""
    del weights
    return jnp.concatenate([memory[:, 1:], latest[:, None]], 1)


def _gru_cell(jax: Jax, weights: Weights, latest: Array, memory: Array) -> Array:
    """Return the next memory (B, M), as `torch.nn.GRUCell` computes it."""
    of_inputs = jax.numpy.split(_linear(weights, "cell", latest, "_ih"), 3, -1)
    of_memory = jax.numpy.split(_linear(weights, "cell", memory, "_hh"), 3, -1)
    reset = jax.nn.sigmoid(of_inputs[0] + of_memory[0])
    update = jax.nn.sigmoid(of_inputs[1] + of_memory[1])
    new = jax.numpy.tanh(of_inputs[2] + reset * of_memory[2])
    return (1 - update) * new + update * memory
