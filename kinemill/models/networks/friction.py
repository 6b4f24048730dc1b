"""Friction of coordinates: viscous, Coulomb, Stribeck, and LuGre with bristles.

Symbols: B batch, n coordinates, v their rates (rad/s or m/s), M (n, n) mass matrix, Δ time step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.mechanics import solve

INITIAL = -3.0  # softplus(-3) = 0.05
# In standard deviations of a velocity:
MIN_WIDTH = 0.01  # of the sign change of Coulomb friction
INITIAL_SPEED = 0.1  # at which the Stribeck curve has fallen
DEFLECTION = 1e-3  # of a bristle at break-away, in standard deviations of a position


class Viscous(nn.Module):
    """d v + a constant for each coordinate; d is positive."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.viscous = nn.Parameter(torch.full((coordinates,), INITIAL))
        self.constant = nn.Parameter(torch.zeros(coordinates))

    def forward(self, v: Tensor) -> Tensor:
        """Return the friction: (B, n) -> (B, n)."""
        return functional.softplus(self.viscous) * v + self.constant

    def accelerate(self, mass: Tensor, forces: Tensor, v: Tensor, bristles: Tensor) -> Tensor:
        """Return the accelerations, rad/s² or m/s²: M (B, n, n), others (B, n) -> (B, n)."""
        del bristles
        return solve(mass, forces - self(v))


class Coulomb(Viscous):
    """Viscous friction + k tanh(v / ε); k is positive.

    Args:
        velocity_std: standard deviation of each velocity in training, (n,); ε is at least MIN_WIDTH
            of it, which keeps rollouts smooth enough for gradient descent.
    """

    min_width: Tensor

    def __init__(self, velocity_std: Tensor) -> None:
        count = len(velocity_std)
        super().__init__(count)
        self.register_buffer("min_width", MIN_WIDTH * velocity_std)
        self.coulomb = nn.Parameter(torch.full((count,), INITIAL))
        self.width = nn.Parameter(torch.full((count,), 2.0))  # ln(ε / min_width - 1)

    def forward(self, v: Tensor) -> Tensor:
        """Return the friction: (B, n) -> (B, n)."""
        width = self.min_width * (1.0 + torch.exp(self.width))
        return super().forward(v) + self.dry(v) * torch.tanh(v / width)

    def dry(self, v: Tensor) -> Tensor:
        """Return the dry friction while sliding at v (B, n)."""
        del v
        return functional.softplus(self.coulomb)


class Stribeck(Coulomb):
    """Like Coulomb, with k + s exp(-(v / w)²) instead of k (Stribeck, 1902); s is positive."""

    def __init__(self, velocity_std: Tensor) -> None:
        super().__init__(velocity_std)
        self.curve = StribeckCurve(velocity_std)

    def dry(self, v: Tensor) -> Tensor:
        """Return the dry friction while sliding at v (B, n)."""
        return functional.softplus(self.coulomb) + self.curve(v)


class StribeckCurve(nn.Module):
    """What dry friction at rest exceeds that of fast sliding by: s exp(-(v / w)²).

    Args:
        velocity_std: standard deviation of each velocity in training, (n,).
    """

    velocity_std: Tensor

    def __init__(self, velocity_std: Tensor) -> None:
        super().__init__()
        self.register_buffer("velocity_std", velocity_std)
        self.stiction = nn.Parameter(torch.full_like(velocity_std, INITIAL))
        self.speed = nn.Parameter(torch.zeros_like(velocity_std))  # logarithm

    def forward(self, v: Tensor) -> Tensor:
        """Return the excess: (B, n) -> (B, n)."""
        speed = INITIAL_SPEED * self.velocity_std * torch.exp(self.speed)
        return functional.softplus(self.stiction) * torch.exp(-((v / speed) ** 2))


class LuGre(Viscous):
    """Viscous friction and bristles that stick: a LuGre model that does not creep at rest.

    In LuGre's model (Canudas de Wit et al., 1995) the force y of bristles of stiffness σ tends to
    the Stribeck curve g(v) = k + s exp(-(v / w)²) while sliding. Here, in the elastoplastic form of
    Dupont et al. (2002) with a sharp break-away, bristles are elastic below it:
    y⁺ = y + Δ σ v⁺, bounded by ± g(v), where v⁺ is the velocity after the step.

    The acceleration is computed together with y⁺ (implicit Euler), so that stiff bristles need no
    small time step. While they stick they are damped critically, by 2 √(σ M_ii).

    Args:
        velocity_std: standard deviation of each velocity in training, (n,).
        position_std: of each position.
        dt: Δ, s.
    """

    deflection_unit: Tensor
    identity: Tensor

    def __init__(self, velocity_std: Tensor, position_std: Tensor, dt: float) -> None:
        count = len(velocity_std)
        super().__init__(count)
        self.dt = dt
        self.register_buffer("deflection_unit", DEFLECTION * position_std)
        self.register_buffer("identity", torch.eye(count), persistent=False)
        self.coulomb = nn.Parameter(torch.full((count,), INITIAL))
        self.curve = StribeckCurve(velocity_std)
        self.deflection = nn.Parameter(torch.zeros(count))  # logarithm, at break-away

    def accelerate(self, mass: Tensor, forces: Tensor, v: Tensor, bristles: Tensor) -> Tensor:
        """Return the accelerations (B, n) under M (B, n, n), forces, friction, and y (B, n)."""
        forces = forces - super().forward(v)
        stiffness = self._stiffness()
        limit = self._limit(v)
        damping = 2.0 * torch.sqrt(stiffness * (mass * self.identity).sum(2))
        slope = self.dt * stiffness + damping  # of the force with respect to v⁺
        # Implicit Euler: v⁺ = v + Δ a in the force, so Δ · slope moves to the mass matrix.
        force = bristles + slope * v
        acceleration = solve(mass + torch.diag_embed(self.dt * slope), forces - force)
        # Two solves: first as if all bristles stick, then with those that break away held at their
        # limit. What a break-away does to other joints waits for the next step.
        after = bristles + self.dt * stiffness * (v + self.dt * acceleration)
        is_sliding = after.abs() > limit
        force = torch.where(is_sliding, torch.clamp(after, -limit, limit), force)
        slope = torch.where(is_sliding, torch.zeros_like(slope), slope)
        return solve(mass + torch.diag_embed(self.dt * slope), forces - force)

    def advance(self, bristles: Tensor, v: Tensor, next_v: Tensor) -> Tensor:
        """Return y⁺ (B, n) after a step from v to next_v (B, n)."""
        limit = self._limit(v)
        return torch.clamp(bristles + self.dt * self._stiffness() * next_v, -limit, limit)

    def _limit(self, v: Tensor) -> Tensor:
        """Return g(v), (B, n)."""
        return functional.softplus(self.coulomb) + self.curve(v)

    def _stiffness(self) -> Tensor:
        """Return σ, (n,): the stiction over the deflection at break-away."""
        stiction = functional.softplus(self.coulomb) + functional.softplus(self.curve.stiction)
        return stiction / (self.deflection_unit * torch.exp(self.deflection))


def make_friction(
    kind: str, velocity_std: Tensor, position_std: Tensor, dt: float
) -> Viscous | LuGre:
    """Return friction of a kind, for coordinates with these standard deviations (n,) and Δ in s."""
    if kind == "lugre":
        return LuGre(velocity_std, position_std, dt)
    if kind == "viscous":
        return Viscous(len(velocity_std))
    return Stribeck(velocity_std) if kind == "stribeck" else Coulomb(velocity_std)
