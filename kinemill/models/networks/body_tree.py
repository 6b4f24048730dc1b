"""Equations of motion of a tree of bodies whose geometry is known, and whose masses are learned.

From the Jacobians J_v, J_w of the centers of mass in the world frame (Featherstone 2008, ch. 2):
M = Σ m J_vᵀ J_v + J_wᵀ I J_w, and c + g = Σ J_vᵀ m a + J_wᵀ (I α + ω × I ω), where a and α are the
accelerations at zero coordinate accelerations. The base accelerates against gravity.

Symbols: B batch, n coordinates q (rad or m), v their rates, N bodies.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinemill.models._mjcf import Bodies, Quaternion, TreeBody, TreeJoint


@dataclass(frozen=True)
class _Frame:
    """Pose and motion of a body's frame: (B, 3, 3), then (B, 3), and the joints (B, 3) above it.

    A fixed frame has one row instead of B. `acceleration` and `alpha` are those at zero coordinate
    accelerations; `omega` is the angular velocity.
    """

    rotation: Tensor
    position: Tensor
    omega: Tensor
    acceleration: Tensor
    alpha: Tensor
    axes: tuple[tuple[int, bool, Tensor, Tensor], ...] = ()  # coordinate, hinge, axis, anchor


class Tree(nn.Module):
    """Bodies connected by hinges and slides, from a MuJoCo model.

    Lengths and directions are fixed. Masses, centers of mass, principal inertias and springs start
    at the values of the MuJoCo model and are learned; masses and inertias stay positive.

    Args:
        bodies: the tree.
        order: coordinate of each of its joints, (n,).
    """

    def __init__(self, bodies: Bodies, order: tuple[int, ...]) -> None:
        super().__init__()
        self.bodies = bodies.bodies
        self.order = order
        count = len(bodies.bodies)
        joints = bodies.joints
        # `index` inverts `order`: the joint of each coordinate.
        index = torch.empty(len(joints), dtype=torch.long)
        index[list(order)] = torch.arange(len(joints))
        buffers = {
            "gravity": torch.tensor(bodies.gravity),
            "masses": torch.tensor([body.mass for body in bodies.bodies]),
            "centers": torch.tensor([body.center for body in bodies.bodies]),
            "inertias": torch.tensor([body.inertia for body in bodies.bodies]),
            "armature": torch.tensor([joints[k].armature for k in index]),
            "stiffness": torch.tensor([joints[k].stiffness for k in index]),
            "spring_reference": torch.tensor([joints[k].spring_reference for k in index]),
            "reference": torch.tensor([joints[k].reference for k in index]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        size = buffers["centers"].norm(dim=1).amax().clamp_min(1e-2)
        self.register_buffer("size", size, persistent=False)
        self.mass = nn.Parameter(torch.zeros(count))  # logarithm of the factor
        self.center = nn.Parameter(torch.zeros(count, 3))  # of the size
        self.inertia = nn.Parameter(torch.zeros(count, 3))  # logarithm of the factor
        self.spring = nn.Parameter(torch.zeros(len(joints)))  # logarithm of the factor
        for number, body in enumerate(bodies.bodies):
            for name, turn in (("rotation", body.rotation), ("principal", body.principal)):
                matrix = rotation_matrix(turn)
                self.register_buffer(f"{name}_{number}", matrix, persistent=False)

    def initialize(self, inertia: Tensor) -> None:
        """Ignore `inertia`, kg·m² or kg, because the masses are known."""

    def forward(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return M (B, n, n) and c + g (B, n) of q, v (B, n)."""
        masses = self.get_buffer("masses") * torch.exp(self.mass)
        centers = self.get_buffer("centers") + self.get_buffer("size") * self.center
        inertias = self.get_buffer("inertias") * torch.exp(self.inertia)
        stiffness = self.get_buffer("stiffness") * torch.exp(self.spring)
        mass = torch.diag(self.get_buffer("armature")).unsqueeze(0)
        forces = stiffness * (q - self.get_buffer("spring_reference"))
        for number, frame in enumerate(self._frames(q, v)):
            if frame.axes:  # a body without joints above it never moves, so it adds nothing
                inertial = (masses[number], centers[number], inertias[number])
                added_mass, added_forces = self._contribution(frame, number, *inertial, q.shape[1])
                mass = mass + added_mass
                forces = forces + added_forces
        return mass, forces

    @torch.no_grad()
    def regressor(self, q: Tensor, v: Tensor, a: Tensor) -> Tensor:
        """Return the derivative of the joint forces by the parameters of all bodies.

        The parameters of a body are its mass m, its first moments m c (3), and Jxx, Jyy, Jzz, Jxy,
        Jxz and Jyz about its origin, all in its frame. The joint forces are linear in them.

        Args:
            q: (B, n) coordinates.
            v: (B, n) velocities.
            a: (B, n) accelerations.

        Returns:
            (B, n, 10 N).
        """
        columns = list[Tensor]()
        for frame in self._frames(q, v):
            rotation = frame.rotation.expand(len(q), 3, 3)
            j_v, j_w = _jacobians(frame, frame.position, q.shape[1])
            acceleration = frame.acceleration + _matvec(j_v.transpose(1, 2), a)
            alpha = frame.alpha + _matvec(j_w.transpose(1, 2), a)
            columns.append(_matvec(j_v, acceleration))  # of the mass
            for axis in rotation.unbind(2):
                force = _cross(alpha, axis) + _cross(frame.omega, _cross(frame.omega, axis))
                columns.append(_matvec(j_v, force) + _matvec(j_w, _cross(axis, acceleration)))
            for row, column in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
                unit = torch.zeros(3, 3, dtype=q.dtype)
                unit[row, column] = unit[column, row] = 1.0
                inertia = rotation @ unit @ rotation.transpose(1, 2)
                moment = _matvec(inertia, alpha)
                moment = moment + _cross(frame.omega, _matvec(inertia, frame.omega))
                columns.append(_matvec(j_w, moment))
        return torch.stack(columns, dim=2)

    def _frames(self, q: Tensor, v: Tensor) -> list[_Frame]:
        """Return the frame of each body."""
        zeros = torch.zeros_like(q[:, :1]).expand(-1, 3)  # `len` would fix B in an export
        identity = torch.eye(3, dtype=q.dtype, device=q.device).unsqueeze(0)
        world = _Frame(identity, zeros, zeros, zeros - self.get_buffer("gravity"), zeros)
        frames = list[_Frame]()
        columns = iter(self.order)
        for number, body in enumerate(self.bodies):
            frame = self._attach(frames[body.parent] if body.parent >= 0 else world, body, number)
            for joint in body.joints:
                frame = self._move_joint(frame, joint, next(columns), q, v)
            frames.append(frame)
        return frames

    def _attach(self, parent: _Frame, body: TreeBody, number: int) -> _Frame:
        """Return the frame of a body on its parent, with its joints at their reference."""
        arm = parent.rotation @ parent.rotation.new_tensor(body.position)
        return _Frame(
            parent.rotation @ self.get_buffer(f"rotation_{number}"),
            parent.position + arm,
            parent.omega,
            parent.acceleration + _lever(arm, parent),
            parent.alpha,
            parent.axes,
        )

    def _move_joint(
        self, frame: _Frame, joint: TreeJoint, column: int, q: Tensor, v: Tensor
    ) -> _Frame:
        """Return the frame after the motion of one of its joints, coordinate `column`."""
        angle = (q[:, column] - self.get_buffer("reference")[column]).unsqueeze(1)
        rate = v[:, column].unsqueeze(1)
        axis = frame.rotation @ q.new_tensor(joint.axis)
        velocity = axis * rate
        if joint.kind == "slide":
            step = axis * angle
            # 2 ω × v_rel: the body slides along an axis that rotates with its parent.
            coriolis = 2.0 * _cross(frame.omega, velocity)
            acceleration = frame.acceleration + _lever(step, frame) + coriolis
            position = frame.position + step
            axes = (*frame.axes, (column, False, axis, position))
            return _Frame(frame.rotation, position, frame.omega, acceleration, frame.alpha, axes)
        # A hinge: go from the origin to the anchor, turn there, and go back in the turned frame.
        arm = frame.rotation @ q.new_tensor(joint.anchor)
        anchor = frame.position + arm
        acceleration = frame.acceleration + _lever(arm, frame)
        rotation = frame.rotation @ axis_rotation(q.new_tensor(joint.axis), angle)
        omega = frame.omega + velocity
        alpha = frame.alpha + _cross(frame.omega, velocity)
        hinged = _Frame(rotation, anchor, omega, acceleration, alpha)
        back = -(rotation @ q.new_tensor(joint.anchor))
        axes = (*frame.axes, (column, True, axis, anchor))
        return _Frame(
            rotation,
            anchor + back,
            hinged.omega,
            acceleration + _lever(back, hinged),
            hinged.alpha,
            axes,
        )

    def _contribution(
        self,
        frame: _Frame,
        number: int,
        mass: Tensor,
        center: Tensor,
        inertia: Tensor,
        coordinates: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the terms of one body in M (B, n, n) and in c + g (B, n)."""
        arm = frame.rotation @ center
        com = frame.position + arm
        acceleration = frame.acceleration + _lever(arm, frame)
        axes = frame.rotation @ self.get_buffer(f"principal_{number}")
        world_inertia = (axes * inertia) @ axes.transpose(1, 2)
        moment = _matvec(world_inertia, frame.alpha)  # Euler: I α + ω × I ω
        moment = moment + _cross(frame.omega, _matvec(world_inertia, frame.omega))
        j_v, j_w = _jacobians(frame, com, coordinates)
        added = mass * (j_v @ j_v.transpose(1, 2)) + j_w @ world_inertia @ j_w.transpose(1, 2)
        return added, _matvec(j_v, mass * acceleration) + _matvec(j_w, moment)


def _jacobians(frame: _Frame, point: Tensor, coordinates: int) -> tuple[Tensor, Tensor]:
    """Return the Jacobians (B, n, 3) of the velocity of a point (B, 3), and of the rotation."""
    zero = torch.zeros_like(frame.omega)
    linear = [zero] * coordinates
    angular = [zero] * coordinates
    # Columns: a × (point - anchor) and a for a hinge, a and 0 for a slide.
    for column, hinge, axis, anchor in frame.axes:
        linear[column] = zero + (_cross(axis, point - anchor) if hinge else axis)
        angular[column] = zero + axis if hinge else zero
    return torch.stack(linear, 1), torch.stack(angular, 1)


def rotation_matrix(quaternion: Quaternion) -> Tensor:
    """Return the (3, 3) matrix of a unit quaternion, w first."""
    w, x, y, z = quaternion
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def axis_rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Return rotations (B, 3, 3) by angles (B, 1) about an axis (3,), Rodrigues' formula."""
    x, y, z = axis.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    sine = torch.sin(angle).unsqueeze(2)
    cosine = torch.cos(angle).unsqueeze(2)
    return cosine * eye + sine * cross + (1.0 - cosine) * torch.outer(axis, axis)


def _lever(arm: Tensor, frame: _Frame) -> Tensor:
    """Return α × r + ω × (ω × r): the relative acceleration of the end of an arm r (B, 3)."""
    return _cross(frame.alpha, arm) + _cross(frame.omega, _cross(frame.omega, arm))


def _matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    """(B, k, 3), (B, 3) -> (B, k)."""
    return (matrix @ vector.unsqueeze(2)).squeeze(2)


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """(B, 3), (B, 3) -> (B, 3); ONNX has no operator for it."""
    a, b, c = first.unbind(1)
    x, y, z = second.unbind(1)
    return torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], dim=1)
