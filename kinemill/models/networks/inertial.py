"""Inertial parameters of a tree of bodies that a measured motion identifies, and payloads.

Joint forces are linear in the standard parameters of each body: mass m, first moments m c, and the
moments of inertia about the body's origin. They act in combinations only; the base parameters are
the smallest set of combinations (Gautier 1990, IEEE Trans. Robotics and Automation 6(3)). Which
ones a log identifies depends on its motion too. A payload changes the parameters of one body
(Khalil, Gautier and Lemoine 2007, ICRA).

Symbols: B rows, n coordinates q (rad or m), v, a their rates and accelerations, P parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from kinemill.errors import BadInput
from kinemill.models._mjcf import Bodies, load_bodies
from kinemill.models.networks.body_tree import Tree

__all__ = [
    "BaseParameter",
    "Motion",
    "Payload",
    "fit_base_parameters",
    "fit_payload",
    "load_bodies",
    "model_parameters",
    "parameter_names",
]

Floats = NDArray[np.float64]

STANDARD = ("m", "mx", "my", "mz", "Jxx", "Jyy", "Jzz", "Jxy", "Jxz", "Jyz")  # of a body
DEPENDENT = 1e-4  # relative remainder of a column below which it depends on the others
SMALLEST = 1e-3  # smallest factor of a parameter in a combination that is named
CERTAIN = 0.1  # largest relative standard deviation of an identified parameter
ORDER = 3  # of the polynomials that smooth a motion


@dataclass(frozen=True)
class Motion:
    """Rows of a motion with the forces of its drives.

    Attributes:
        q: (B, n) coordinates in the order of the joints of the model, rad or m.
        v: (B, n) velocities.
        a: (B, n) accelerations.
        force: (B, n) joint torques, N·m, or forces, N.
    """

    q: Floats
    v: Floats
    a: Floats
    force: Floats

    @classmethod
    def from_samples(cls, q: Floats, force: Floats, dt: float, window: int = 15) -> "Motion":
        """Return a motion with rates from smoothed coordinates (Savitzky and Golay 1964).

        The forces are smoothed in the same way, so that both lose the same frequencies.

        Args:
            q: (B, n) measured coordinates of one recording without gaps, rad or m.
            force: (B, n) measured torques or forces.
            dt: time step, s.
            window: rows of the moving polynomial, odd.
        """
        rates = [
            savgol_filter(q, window, ORDER, deriv=order, delta=dt, axis=0) for order in range(3)
        ]
        inner = slice(window, -window)  # polynomials at the edges are one-sided
        smooth = savgol_filter(force, window, ORDER, axis=0)
        return cls(*(np.asarray(rate, np.float64)[inner] for rate in (*rates, smooth)))


@dataclass(frozen=True)
class BaseParameter:
    """A combination of standard parameters that the motion identifies.

    Attributes:
        name: combination, such as `Jzz of upper + 0.16 m of fore`.
        value: in SI units.
        relative_std: standard deviation over the magnitude of the value.
    """

    name: str
    value: float
    relative_std: float

    @property
    def is_certain(self) -> bool:
        """Whether the motion excites the combination enough for a useful value."""
        return self.relative_std <= CERTAIN


@dataclass(frozen=True)
class Payload:
    """A load that one body carries in addition to the model.

    Attributes:
        mass: kg.
        center: (3,) center of mass in the frame of the body, m.
        mass_std: standard deviation of the mass, kg.
    """

    body: str
    mass: float
    center: tuple[float, float, float]
    mass_std: float


def fit_base_parameters(bodies: Bodies, motion: Motion) -> list[BaseParameter]:
    """Return the base parameters of a robot, by least squares.

    Masses and inertias of `bodies`, see `load_bodies`, are not used.
    """
    columns = _regressor(bodies, motion)
    names = parameter_names(bodies)
    independent, factors = _independent(columns)
    values, std = _least_squares(columns[:, independent], motion.force.reshape(-1))
    dependent = [name for at, name in enumerate(names) if at not in independent]
    return [
        BaseParameter(
            _combination(names[at], factors[row], dependent),
            float(values[row]),
            float(std[row] / max(abs(values[row]), 1e-12)),
        )
        for row, at in enumerate(independent)
    ]


def fit_payload(bodies: Bodies, body: str, motion: Motion) -> Payload:
    """Return the mass and the center of mass of a load, from forces that the model lacks.

    The friction of the joints is fitted with it; the masses of the model have to be right. `bodies`
    is the robot without the load, `body` carries it.

    Raises:
        BadInput: The robot has no such body, or the motion does not identify the load.
    """
    listed = [listed_body.name for listed_body in bodies.bodies]
    if body not in listed:
        raise BadInput(f"body {body!r}", "is not in the model", expected=f"one of {listed}")
    first = len(STANDARD) * listed.index(body)
    columns = _regressor(bodies, motion)
    rest = motion.force.reshape(-1) - columns @ model_parameters(bodies)
    friction = list(range(len(STANDARD) * len(listed), columns.shape[1]))
    load = [*range(first, first + len(STANDARD))]
    # The mass comes last, so that it counts only if no other parameter explains its forces.
    order = [*friction, *load[1:], load[0]]
    positions, _ = _independent(columns[:, order])
    selected = [order[at] for at in positions]
    missing = [STANDARD[at - first] for at in load[:4] if at not in selected]
    if missing:
        raise BadInput(
            f"payload of {body}",
            f"the motion does not identify {', '.join(missing)}",
            expected="a motion that turns the body about several axes, with accelerations",
            fix="record a richer motion, or fit the base parameters",
        )
    values, std = _least_squares(columns[:, selected], rest)
    by_column = dict(zip(selected, zip(values, std, strict=True), strict=True))
    mass = by_column[first][0]
    moments = [by_column[first + 1 + axis][0] for axis in range(3)]
    x, y, z = (float(moment / mass) for moment in moments)
    return Payload(body, float(mass), (x, y, z), float(by_column[first][1]))


def parameter_names(bodies: Bodies) -> list[str]:
    """Return the names of all parameters (P,): of bodies, then of joints."""
    of_bodies = [f"{name} of {body.name}" for body in bodies.bodies for name in STANDARD]
    joints = [joint.name for joint in bodies.joints]
    kinds = ("armature", "viscous friction", "Coulomb friction")
    return [*of_bodies, *(f"{kind} of {name}" for kind in kinds for name in joints)]


def model_parameters(bodies: Bodies) -> Floats:
    """Return the parameters (P,) of the model file, friction zero."""
    values = list[float]()
    tree = Tree(bodies, tuple(range(len(bodies.joints))))
    for number, body in enumerate(bodies.bodies):
        turn = tree.get_buffer(f"principal_{number}").double().numpy()
        center = np.array(body.center)
        # Parallel axis theorem, from the center of mass to the origin.
        shift = float(center @ center) * np.eye(3) - np.outer(center, center)
        inertia = turn @ np.diag(body.inertia) @ turn.T + body.mass * shift
        rows = [0, 1, 2, 0, 0, 1]
        columns = [0, 1, 2, 1, 2, 2]
        values += [body.mass, *(body.mass * center), *inertia[rows, columns]]
    values += [joint.armature for joint in bodies.joints]
    return np.array([*values, *([0.0] * (2 * len(bodies.joints)))])


def _regressor(bodies: Bodies, motion: Motion) -> Floats:
    """Return the derivative of all joint forces by all parameters, (B n, P)."""
    count = motion.q.shape[1]
    if count != len(bodies.joints):
        raise BadInput(
            "motion", f"has {count} coordinates", expected=f"{len(bodies.joints)} joints"
        )
    tree = Tree(bodies, tuple(range(count))).double()
    q, v, a = (
        torch.tensor(values, dtype=torch.float64) for values in (motion.q, motion.v, motion.a)
    )
    of_bodies = tree.regressor(q, v, a).numpy()
    joints = np.concatenate(
        [values[:, :, None] * np.eye(count) for values in (motion.a, motion.v, np.sign(motion.v))],
        axis=2,
    )
    return np.concatenate([of_bodies, joints], axis=2).reshape(-1, of_bodies.shape[2] + 3 * count)


def _independent(columns: Floats) -> tuple[list[int], Floats]:
    """Return the columns that do not depend on earlier ones, and the factors (K, P - K) of others.

    A dependent column is the sum of the independent ones with its factors.
    """
    upper = np.asarray(np.linalg.qr(columns).R)
    norms = np.linalg.norm(upper, axis=0)
    independent = list[int]()
    basis = np.zeros((len(upper), 0))
    for at in np.flatnonzero(norms > 0.0).tolist():
        rest = upper[:, at] / norms[at]
        for _ in range(2):  # a second pass removes the rounding error of the first
            rest = rest - basis @ (basis.T @ rest)
        if (size := float(np.linalg.norm(rest))) > DEPENDENT:
            independent.append(at)
            basis = np.column_stack([basis, rest / size])
    dependent = [at for at in range(columns.shape[1]) if at not in independent]
    factors = np.linalg.lstsq(upper[:, independent], upper[:, dependent], rcond=None)[0]
    return independent, factors


def _least_squares(columns: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Return the weights (K,) and their standard deviations (K,)."""
    scale = np.linalg.norm(columns, axis=0)
    scaled = columns / scale
    weights = np.linalg.lstsq(scaled, target, rcond=None)[0]
    freedom = max(len(target) - len(weights), 1)
    variance = float(np.sum((target - scaled @ weights) ** 2)) / freedom
    covariance = variance * np.linalg.pinv(scaled.T @ scaled)
    return weights / scale, np.sqrt(np.diag(covariance)) / scale


def _combination(base_name: str, factors: Floats, dependent: Sequence[str]) -> str:
    """Return a base parameter as text, such as `Jzz of upper + 0.16 m of fore`."""
    terms = [
        f" {'-' if factor < 0.0 else '+'} {abs(factor):.3g} {name}"
        for factor, name in zip(factors, dependent, strict=True)
        if abs(factor) > SMALLEST
    ]
    return "".join([base_name, *terms])
