"""Equations of motion of a tree of bodies whose geometry is known, and whose masses are learned.

By the bodies' Jacobians, in the world's frame (Featherstone 2008, chapter 2): with J_v, J_w of a
body's center of mass, M = Σ m J_vᵀ J_v + J_wᵀ I J_w, and the other forces are what the bodies need
to move as they do where no coordinate accelerates: c + g = Σ J_vᵀ m a + J_wᵀ (I α + ω × I ω), with
a base that accelerates against gravity.

Symbols: B batch, n coordinates q (rad or m), v their rates, N bodies.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.models._mjcf import Bodies, TreeBody, TreeJoint


@dataclass(frozen=True)
class _Frame:
    """How a body's frame stands and moves: (B, 3, 3), then (B, 3), and the joints (B, 3) above it.

    What stands still has one row instead of B. `pull` and `twist` are the accelerations where no
    coordinate accelerates.
    """

    turn: Tensor
    place: Tensor
    spin: Tensor
    pull: Tensor
    twist: Tensor
    axes: tuple[tuple[int, bool, Tensor, Tensor], ...] = ()  # coordinate, hinge, axis, anchor


class Tree(nn.Module):
    """Bodies that hang from each other by hinges and slides, as a MuJoCo model tells.

    Lengths and directions are believed. Masses, centers of mass, principal inertias and springs
    start as they are told and are learned; masses and inertias stay positive.

    Args:
        bodies: the tree.
        order: coordinate of each of its joints, (n,).
    """

    def __init__(self, bodies: Bodies, order: tuple[int, ...]) -> None:
        super().__init__()
        self.bodies, self.order = bodies.bodies, order
        count, joints = len(bodies.bodies), bodies.joints
        place = torch.empty(len(joints), dtype=torch.long)
        place[list(order)] = torch.arange(len(joints))
        kept = {
            "gravity": torch.tensor(bodies.gravity),
            "masses": torch.tensor([body.mass for body in bodies.bodies]),
            "centers": torch.tensor([body.center for body in bodies.bodies]),
            "inertias": torch.tensor([body.inertia for body in bodies.bodies]),
            "armature": torch.tensor([joints[k].armature for k in place]),
            "stiffness": torch.tensor([joints[k].stiffness for k in place]),
            "relaxed": torch.tensor([joints[k].relaxed for k in place]),
            "zero": torch.tensor([joints[k].zero for k in place]),
        }
        for name, value in kept.items():
            self.register_buffer(name, value, persistent=False)
        size = kept["centers"].norm(dim=1).amax().clamp_min(1e-2)
        self.register_buffer("size", size, persistent=False)
        self.mass = nn.Parameter(torch.zeros(count))  # logarithm of the factor
        self.center = nn.Parameter(torch.zeros(count, 3))  # of the size
        self.inertia = nn.Parameter(torch.zeros(count, 3))  # logarithm of the factor
        self.spring = nn.Parameter(torch.zeros(len(joints)))  # logarithm of the factor
        for number, body in enumerate(bodies.bodies):
            for name, turn in (("turn", body.turn), ("principal", body.principal)):
                self.register_buffer(f"{name}_{number}", rotation(turn), persistent=False)

    def start(self, inertia: Tensor) -> None:
        """Do nothing: the masses are known already."""

    def forward(self, q: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return M (B, n, n) and c + g (B, n) of q, v (B, n)."""
        nothing = torch.zeros_like(q[:, :1]).expand(-1, 3)  # `len` would fix B in an export
        still = torch.eye(3, dtype=q.dtype, device=q.device).unsqueeze(0)
        world = _Frame(still, nothing, nothing, nothing - self.get_buffer("gravity"), nothing)
        masses = self.get_buffer("masses") * torch.exp(self.mass)
        centers = self.get_buffer("centers") + self.get_buffer("size") * self.center
        inertias = self.get_buffer("inertias") * torch.exp(self.inertia)
        stiffness = self.get_buffer("stiffness") * torch.exp(self.spring)
        mass = torch.diag(self.get_buffer("armature")).unsqueeze(0)
        forces = stiffness * (q - self.get_buffer("relaxed"))
        frames, joint = list[_Frame](), 0
        for number, body in enumerate(self.bodies):
            frame = self._carried(frames[body.parent] if body.parent >= 0 else world, body, number)
            for hung in body.joints:
                frame = self._moved(frame, hung, self.order[joint], q, v)
                joint += 1
            frames.append(frame)
            if frame.axes:
                own = (masses[number], centers[number], inertias[number])
                more, push = self._share(frame, number, *own, q.shape[1])
                mass, forces = mass + more, forces + push
        return mass, forces

    def _carried(self, parent: _Frame, body: TreeBody, number: int) -> _Frame:
        """Return the frame of a body, its joints at their zero, on its parent."""
        arm = parent.turn @ parent.turn.new_tensor(body.place)
        return _Frame(
            parent.turn @ self.get_buffer(f"turn_{number}"),
            parent.place + arm,
            parent.spin,
            parent.pull + _swung(arm, parent),
            parent.twist,
            parent.axes,
        )

    def _moved(self, frame: _Frame, joint: TreeJoint, column: int, q: Tensor, v: Tensor) -> _Frame:
        """Return the frame after one of its joints, coordinate `column`, has moved."""
        angle = (q[:, column] - self.get_buffer("zero")[column]).unsqueeze(1)
        rate = v[:, column].unsqueeze(1)
        axis = frame.turn @ q.new_tensor(joint.axis)
        moving = axis * rate
        twist = frame.twist
        if joint.kind == "slide":
            step = axis * angle
            pull = frame.pull + _swung(step, frame) + 2.0 * _cross(frame.spin, moving)
            held = frame.place + step
            axes = (*frame.axes, (column, False, axis, held))
            return _Frame(frame.turn, held, frame.spin, pull, twist, axes)
        arm = frame.turn @ q.new_tensor(joint.anchor)
        anchor, pull = frame.place + arm, frame.pull + _swung(arm, frame)
        turn = frame.turn @ _about(q.new_tensor(joint.axis), angle)
        turned = _Frame(turn, anchor, frame.spin + moving, pull, twist + _cross(frame.spin, moving))
        back = -(turn @ q.new_tensor(joint.anchor))
        axes = (*frame.axes, (column, True, axis, anchor))
        return _Frame(
            turn,
            anchor + back,
            turned.spin,
            pull + _swung(back, turned),
            turned.twist,
            axes,
        )

    def _share(
        self,
        frame: _Frame,
        number: int,
        mass: Tensor,
        center: Tensor,
        inertia: Tensor,
        coordinates: int,
    ) -> tuple[Tensor, Tensor]:
        """Return what one body adds to M (B, n, n) and to c + g (B, n)."""
        arm = frame.turn @ center
        middle, pull = frame.place + arm, frame.pull + _swung(arm, frame)
        axes = frame.turn @ self.get_buffer(f"principal_{number}")
        whole = (axes * inertia) @ axes.transpose(1, 2)
        turning = _applied(whole, frame.twist) + _cross(frame.spin, _applied(whole, frame.spin))
        zero = torch.zeros_like(frame.spin)
        moves, turns = [zero] * coordinates, [zero] * coordinates
        for column, hinge, axis, anchor in frame.axes:
            moves[column] = zero + (_cross(axis, middle - anchor) if hinge else axis)
            turns[column] = zero + axis if hinge else zero
        shift, spin = torch.stack(moves, 1), torch.stack(turns, 1)  # Jacobians, (B, n, 3)
        more = mass * (shift @ shift.transpose(1, 2)) + spin @ whole @ spin.transpose(1, 2)
        return more, _applied(shift, mass * pull) + _applied(spin, turning)


def rotation(quaternion: Any) -> Tensor:
    """Return the (3, 3) matrix of a unit quaternion, w first."""
    w, x, y, z = (float(part) for part in quaternion)
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _about(axis: Tensor, angle: Tensor) -> Tensor:
    """Return turns (B, 3, 3) by angles (B, 1) about an axis (3,), by Rodrigues' formula."""
    x, y, z = axis.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    sine, cosine = torch.sin(angle).unsqueeze(2), torch.cos(angle).unsqueeze(2)
    return cosine * eye + sine * cross + (1.0 - cosine) * torch.outer(axis, axis)


def _swung(arm: Tensor, frame: _Frame) -> Tensor:
    """Return how much the end of an arm (B, 3) that is fixed to a frame accelerates beyond it."""
    return _cross(frame.twist, arm) + _cross(frame.spin, _cross(frame.spin, arm))


def _applied(matrix: Tensor, vector: Tensor) -> Tensor:
    """(B, k, 3), (B, 3) -> (B, k)."""
    return (matrix @ vector.unsqueeze(2)).squeeze(2)


def _cross(left: Tensor, right: Tensor) -> Tensor:
    """(B, 3), (B, 3) -> (B, 3); spelled out, as ONNX has no such operator."""
    a, b, c = left.unbind(1)
    x, y, z = right.unbind(1)
    return torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], dim=1)
