"""Small hand-made policies, one of each kind in the contract, and their files."""

from pathlib import Path

import torch
from torch import Tensor, nn

from kinemill.export.policy import describe, write_policy
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task.export import Export
from kinemill.train.policy import PolicyModule

CART = ("position", "angle", "velocity")
LIMITS = {"position": (-2.0, 2.0), "angle": (-0.5, 0.5), "force": (-10.0, 10.0)}
UNITS = {"position": "m", "angle": "rad", "velocity": "m/s", "force": "N"}


class Gains(PolicyModule):
    """Force from the last two observations, scaled inside, never beyond its limits."""

    def __init__(self, gain: float = 4.0) -> None:
        super().__init__(PolicyLayout(0.02, CART, ("force",), UNITS, LIMITS))
        self.layer = nn.Linear(6, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[-1.0, gain, -0.5, 0.0, 0.5 * gain, 0.1]]))
            self.layer.bias.zero_()
        self.register_buffer("scale", torch.tensor([1.0, 0.1, 2.0]))

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((3,), (1,))  # the observation before, and how many there were

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        observation, previous, count = tensors
        previous = torch.where(count > 0, previous, observation)
        features = torch.cat([observation / self.scale, previous / self.scale], dim=1)
        return self.layer(features).clamp(-10.0, 10.0), observation, count + 1.0


class Chooser(PolicyModule):
    """One of three, the one with the highest score among those that are allowed."""

    def __init__(self) -> None:
        layout = PolicyLayout(
            0.1,
            ("obs_0", "obs_1"),
            ("action_0",),
            dict.fromkeys(("obs_0", "obs_1"), "1") | {"action_0": "1"},
            choices=(3,),
            mask=3,
        )
        super().__init__(layout)
        self.layer = nn.Linear(2, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[1.0, 0.2], [0.1, 1.0], [-1.0, -0.7]]))
            self.layer.bias.zero_()

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((0, 2),)  # a history of nothing

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        observation, mask, empty = tensors
        scores = self.layer(observation) + (mask - 1.0) * 1e9
        return scores.argmax(dim=1, keepdim=True).float(), empty


class Sampler(PolicyModule):
    """An action drawn anew at each step, evenly within 0.1 of a quarter of what is seen."""

    def __init__(self) -> None:
        units = {"obs_0": "1", "action_0": "1"}
        super().__init__(PolicyLayout(0.1, ("obs_0",), ("action_0",), units, seeded=True))
        self.gain = nn.Parameter(torch.tensor([0.25]))

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        observation, seed = tensors
        drawn = (seed * 1103515245 + 12345) % 2147483648  # C's rand(): the product stays in int64
        return (observation * self.gain + 0.2 * (drawn.float() / 2147483648.0) - 0.1,)


class Looking(PolicyModule):
    """Toward the side of the picture that is brighter, as fast as the text is long."""

    def __init__(self) -> None:
        layout = PolicyLayout(
            0.1,
            (),
            ("speed", "turn"),
            {"speed": "m/s", "turn": "rad/s"},
            {"turn": (-1.0, 1.0)},
            images={"camera": (8, 6, 3)},
            texts={"order": 12},
        )
        super().__init__(layout)
        self.filter = nn.Conv2d(3, 1, 3, padding=1)
        with torch.no_grad():
            self.filter.weight.fill_(1.0 / 27)
            self.filter.bias.zero_()

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        camera, order = tensors
        features = self.filter(camera.float().permute(0, 3, 1, 2) / 255.0).mean(dim=(1, 2))
        turn = features[:, 3:].mean(dim=1, keepdim=True) - features[:, :3].mean(dim=1, keepdim=True)
        speed = (order > 0).float().sum(dim=1, keepdim=True) / 10.0
        return (torch.cat([speed, turn.clamp(-1.0, 1.0)], dim=1),)


KINDS = (Gains, Chooser, Sampler, Looking)


def published(module: PolicyModule, folder: Path, **settings) -> Path:
    """Write the files of a policy into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    interface = describe(module, "cart", "d" * 64)
    write_policy(module, interface, folder, Export(**settings), {"model": "m" * 64})
    return folder
