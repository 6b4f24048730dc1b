"""Equations of motion of a few coordinates: mass matrix, Coriolis terms, potential.

Symbols: B batch, n coordinates q (rad or m), v their rates, M (n, n) mass matrix, c the Coriolis
and centrifugal terms, g the gradient of the potential, b generalized forces; M dv/dt + c + g = b.

ONNX export supports all operations here. It has no automatic differentiation, so derivatives are
written out.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 24  # hidden units of a free mass matrix, and of a free potential


class Chain(nn.Module):
    """A chain of links in one plane, after slides with axes fixed in that plane.

    With θ_i the sum of the hinges up to i (of a slide: its axis, which is learned) and a constant
    H = R Rᵀ, M_ij = H_ij cos(θ_i - θ_j) in the rates of θ, and the Coriolis terms are
    H_ij sin(θ_i - θ_j) θ̇_j². Exact for pendulums, double pendulums, and carts with them; positive
    definite for any R, as a product by element of such matrices is (Schur, 1911).

    Args:
        hinges: which coordinates are angles, (n,); slides come first.
    """

    summed: Tensor
    hinge: Tensor

    def __init__(self, hinges: tuple[bool, ...]) -> None:
        super().__init__()
        count = len(hinges)
        hinge = torch.tensor(hinges).float()
        summed = torch.tril(torch.ones(count, count)) * hinge[:, None] * hinge[None, :]
        self.register_buffer("summed", summed + torch.diag(1.0 - hinge), persistent=False)
        self.register_buffer("hinge", hinge, persistent=False)
        self.inertia = nn.Parameter(torch.zeros(count))  # logarithm of R's diagonal
        self.coupling = nn.Parameter(torch.zeros(count, count))  # R below its diagonal
        self.weight = nn.Parameter(torch.ones(count))
        self.tilt = nn.Parameter(torch.zeros(count))
        if not all(hinges):
            self.axis = nn.Parameter(torch.zeros(count))

    def initialize(self, inertia: Tensor) -> None:
        """Set all masses and weights to `inertia`, kg·m² or kg."""
        self.inertia.fill_(0.5 * torch.log(inertia))
        self.weight.fill_(float(inertia))

    def forward(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return M (B, n, n) and c + g (B, n) of q, v (B, n)."""
        theta = q @ self.summed.T
        rate = v @ self.summed.T
        angle = theta * self.hinge
        if hasattr(self, "axis"):
            angle = angle + self.axis * (1.0 - self.hinge)
        # H = R Rᵀ with a positive diagonal: any weights give a positive definite mass matrix.
        root = torch.tril(self.coupling, -1) + torch.diag(torch.exp(self.inertia))
        constant = root @ root.T
        difference = angle.unsqueeze(2) - angle.unsqueeze(1)
        mass = constant * torch.cos(difference)
        squares = (self.hinge * rate.square()).unsqueeze(1)
        forces = (constant * torch.sin(difference) * squares).sum(2)
        forces = forces + self.weight * torch.sin(angle) * self.hinge
        forces = forces + self.tilt * torch.cos(angle)
        # From the angles θ = S q back to q: M_q = Sᵀ M S, and forces by Sᵀ (virtual work).
        return self.summed.T @ mass @ self.summed, forces @ self.summed


class Free(nn.Module):
    """Any mass matrix M = L(q) L(q)ᵀ and any potential V(q) (Lutter et al., 2019).

    L is lower triangular with a positive diagonal; its elements, and V, are sums of tanh of cos q
    and sin q (of q over its standard deviation, where q is a length). Their derivatives have closed
    forms, and the Coriolis terms are consistent with M: c = Ṁ v - ½ ∂(vᵀ M v)/∂q.

    Args:
        hinges: which coordinates are angles, (n,).
        std: standard deviation of each coordinate, (n,).
    """

    hinge: Tensor
    std: Tensor
    placement: Tensor

    def __init__(self, hinges: tuple[bool, ...], std: Tensor) -> None:
        super().__init__()
        count = len(hinges)
        rows, columns = torch.tril_indices(count, count)
        placement = torch.zeros(len(rows), count, count)
        placement[torch.arange(len(rows)), rows, columns] = 1.0
        self.register_buffer("hinge", torch.tensor(hinges).float(), persistent=False)
        self.register_buffer("std", std.float())
        self.register_buffer("placement", placement.flatten(1), persistent=False)
        self.register_buffer("diagonal", (rows == columns).float(), persistent=False)
        self.bumps = nn.Linear(2 * count, HIDDEN)
        self.factor = nn.Linear(HIDDEN, len(rows))
        self.hills = nn.Linear(2 * count, HIDDEN)
        self.height = nn.Linear(HIDDEN, 1, bias=False)
        self.size = nn.Parameter(torch.zeros(()))  # logarithm

    def initialize(self, inertia: Tensor) -> None:
        """Set M to about `inertia` times the unit matrix, kg·m² or kg."""
        self.factor.weight.mul_(0.1)
        self.factor.bias.copy_(self.get_buffer("diagonal") * math.log(math.e - 1.0))
        self.size.fill_(0.5 * torch.log(inertia))

    def forward(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return M (B, n, n) and c + g (B, n) of q, v (B, n)."""
        inputs, slope = self._inputs(q)
        bumps = torch.tanh(self.bumps(inputs))
        raw = self.factor(bumps)
        diagonal = self.get_buffer("diagonal")
        scale = torch.exp(self.size)
        lower = self._square(scale * (raw + diagonal * (functional.softplus(raw) - raw)))
        # ∂(element)/∂(bump), with softplus' slope on the diagonal.
        steep = scale * (1.0 + diagonal * (torch.sigmoid(raw) - 1.0))
        tangent = (1.0 - bumps.square()).unsqueeze(1) * (slope @ self.bumps.weight.T)  # (B, n, P)
        slopes = self._square(steep.unsqueeze(1) * (tangent @ self.factor.weight.T))  # ∂L/∂q_k
        rate = (slopes * v[:, :, None, None]).sum(1)
        speed = v.unsqueeze(2)
        momentum = lower.transpose(1, 2) @ speed  # Lᵀ v
        turned = (slopes.transpose(2, 3) @ speed.unsqueeze(1)).squeeze(3)  # (∂L/∂q_k)ᵀ v
        # c = Ṁ v - ½ ∂(vᵀ M v)/∂q with M = L Lᵀ: L̇ Lᵀ v + L L̇ᵀ v - (∂L/∂q_k)ᵀ v · Lᵀ v.
        forces = rate @ momentum + lower @ (rate.transpose(1, 2) @ speed) - turned @ momentum
        hills = torch.tanh(self.hills(inputs))
        climb = (1.0 - hills.square()).unsqueeze(1) * (slope @ self.hills.weight.T)
        gradient = (climb @ self.height.weight.T).squeeze(2) * scale.square()
        return lower @ lower.transpose(1, 2), forces.squeeze(2) + gradient

    def _inputs(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return (cos q, sin q), or (0, q / std), (B, 2n), and their slopes (B, n, 2n)."""
        cosine = torch.cos(q) * self.hinge
        sine = torch.sin(q) * self.hinge
        straight = (1.0 - self.hinge) / self.std
        inputs = torch.cat([cosine, sine + straight * q], dim=1)
        slope = torch.cat([torch.diag_embed(-sine), torch.diag_embed(cosine + straight)], dim=2)
        return inputs, slope

    def _square(self, elements: Tensor) -> Tensor:
        """Return elements (..., E) as lower triangular matrices, (..., n, n)."""
        count = len(self.hinge)
        return (elements @ self.placement).unflatten(-1, (count, count))


def solve(mass: Tensor, forces: Tensor) -> Tensor:
    """Return x of M x = b by an unrolled Cholesky factorization: (B, n, n), (B, n) -> (B, n).

    ONNX has no operator for a linear solve.
    """
    count = forces.shape[1]
    factor: list[list[Tensor]] = []
    for i in range(count):
        row: list[Tensor] = []
        for j in range(i):
            rest = mass[:, i, j] - _dot(row, factor[j][:j], mass)
            row.append(rest / factor[j][j])
        row.append(torch.sqrt(mass[:, i, i] - _dot(row, row, mass)))
        factor.append(row)
    half: list[Tensor] = []  # L y = b forward, then Lᵀ x = y backward
    for i in range(count):
        half.append((forces[:, i] - _dot(factor[i][:i], half, mass)) / factor[i][i])
    whole: list[Tensor] = []
    for i in reversed(range(count)):
        below = [factor[j][i] for j in range(count - 1, i, -1)]
        whole.append((half[i] - _dot(below, whole, mass)) / factor[i][i])
    return torch.stack(whole[::-1], dim=1)


def _dot(first: list[Tensor], second: list[Tensor], like: Tensor) -> Tensor:
    total = torch.zeros_like(like[:, 0, 0])
    for a, b in zip(first, second, strict=False):
        total = total + a * b
    return total
