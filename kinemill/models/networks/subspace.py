"""Subspace identification of a linear state-space model.

N4SID of Van Overschee and De Moor, Subspace Identification for Linear Systems (1996), chapter 4:
regress future outputs on past rows and future inputs. What the past adds is the response to the
present state, so its largest principal components are coordinates of that state.
Symbols: N windows, H rows of the past, f rows of the future, F features, m inputs, O outputs, n
states.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-8  # relative to the mean square of a column
SLOWEST = 0.9995  # largest magnitude of an eigenvalue, a time constant of 2000 rows


@dataclass(frozen=True, eq=False)
class StateSpace:
    """x[k] = E p[k] + e; x[k+1] = A x[k] + B u[k] + b; y[k+1] = C x[k+1] + d; x has variance 1.

    Attributes:
        encoder: E (n, H F), of the past rows p, the oldest first, and e (n,).
        update: A (n, n), B (n, m) and b (n,).
        head: C (O, n) and d (O,).
        direct: C (O, n), D (O, m) and d (O,) of y[k+1] = C x[k+1] + D u[k] + d, for actions that
            move an output without delay.
    """

    encoder: tuple[Tensor, Tensor]
    update: tuple[Tensor, Tensor, Tensor]
    head: tuple[Tensor, Tensor]
    direct: tuple[Tensor, Tensor, Tensor]


def identify(
    features: Tensor, outputs: Tensor, inputs: list[int], history: int, size: int
) -> StateSpace:
    """Return a stable state-space model of sequences.

    Args:
        features: (N, H + f, F) float64; the columns `inputs` are those of the actions.
        outputs: (N, H + f - 1, O) float64; output k follows row k.
        inputs: columns that act on the states, m numbers.
        history: H.
        size: n; states beyond what the future outputs show stay zero.
    """
    columns = features[..., inputs]
    is_past = torch.ones(history, features.shape[2], dtype=torch.bool)
    is_past[-1, inputs] = False  # the present action does not act on the present state
    mask = is_past.flatten()
    past = features[:, :history].flatten(1)[:, mask]
    following = features[:, 1 : history + 1].flatten(1)[:, mask]
    future_inputs = columns[:, history - 1 : -1].flatten(1)
    future = outputs[:, history - 1 :].flatten(1)
    # future = L_p past + L_u future inputs; L_p past is Γ x, the response to the present state.
    weight, _ = _regress(torch.cat([past, future_inputs], dim=1), future)
    observed = weight[: past.shape[1]]  # (past, f O)
    mean = past.mean(0)
    scores = (past - mean) @ observed
    variances, directions = torch.linalg.eigh(scores.T @ scores / len(scores))
    order = variances.argsort(descending=True)[:size]
    # States along directions without variance stay zero.
    is_real = variances[order] > 1e-10 * variances.max()
    scale = torch.where(is_real, variances[order].clamp_min(1e-300).rsqrt(), 0.0)
    encode = observed @ directions[:, order] * scale  # (past, up to n)
    encode = torch.nn.functional.pad(encode, (0, size - encode.shape[1]))
    state = (past - mean) @ encode
    after = (following - mean) @ encode
    # The states at rows k and k + 1 are known now, so A, B, C and D follow by regression.
    moved, shift = _regress(torch.cat([state, columns[:, history - 1]], dim=1), after)
    read, level = _regress(after, outputs[:, history - 1])
    through, offset = _regress(
        torch.cat([after, columns[:, history - 1]], dim=1), outputs[:, history - 1]
    )
    encoder = features.new_zeros(size, len(mask))
    encoder[:, mask] = encode.T
    update = (stable(moved[:size].T), moved[size:].T, shift)
    direct = (through[:size].T, through[size:].T, offset)
    return StateSpace((encoder, -(mean @ encode)), update, (read.T, level), direct)


def stable(matrix: Tensor) -> Tensor:
    """Return the matrix (n, n) with eigenvalues above SLOWEST in magnitude scaled down to it."""
    values, vectors = torch.linalg.eig(matrix)
    if float(values.abs().max()) <= SLOWEST:
        return matrix
    values = values * (SLOWEST / values.abs()).clamp(max=1.0)
    return (vectors @ torch.diag(values) @ torch.linalg.inv(vectors)).real


def _regress(columns: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (columns, targets) and constant of a regression with a tiny ridge."""
    means = columns.mean(0), targets.mean(0)
    centered = columns - means[0]
    square = centered.T @ centered
    penalty = RIDGE * square.diagonal().mean().clamp_min(1e-300)
    square.diagonal().add_(penalty)
    weight = torch.linalg.solve(square, centered.T @ (targets - means[1]))
    return weight, means[1] - means[0] @ weight
