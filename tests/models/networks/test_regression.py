"""Least squares on terms: those that float32 cannot resolve have no weight."""

import torch

from kinemill.models.networks.regression import Terms, Triangle


class Cosines(Terms):
    """The cosine of each column."""

    def forward(self, rows):
        return torch.cos(rows[:, 0])


def test_cosine_of_a_joint_that_rests_has_no_weight():
    """A sensor's noise of 1e-5 rad moves it by 1e-10, and float32 has steps of 6e-8 there."""
    generator = torch.Generator().manual_seed(1)
    angles = torch.randn(500, 1, 2, generator=generator).double()
    angles[..., 1] *= 1e-5
    triangle = Triangle(Cosines())
    triangle.add(angles, torch.cos(angles[:, 0, :1]))
    solution = triangle.solution(2, 1e-8)
    assert solution.gain[0] > 0.0
    assert solution.gain[1] == 0.0
