"""Encoder of observations: angles as cosine and sine, other numbers scaled."""

from types import SimpleNamespace

import pytest
import torch

from kinemill.policies.imitation.obs_encoder import ObsEncoder

SCALE = {"observation_mean": torch.tensor([1.0, 1.0]), "observation_std": torch.tensor([2.0, 2.0])}


@pytest.mark.parametrize(
    ("angles", "features"),
    [
        ([], [-0.5, 1.0]),
        (["b"], [-0.5, -0.9899925, 0.14112]),  # cos 3, sin 3
        (["a", "b"], [1.0, -0.9899925, 0.0, 0.14112]),
    ],
)
def test_any_number_of_angles_is_encoded(angles, features):
    layout = SimpleNamespace(images=[], texts=[], observation=["a", "b"])
    encoder = ObsEncoder(layout, angles, SCALE, {})
    encoded = encoder({"observation": torch.tensor([[0.0, 3.0]])})
    assert encoded.tolist()[0] == pytest.approx(features, abs=1e-6)
    assert encoder.features == len(features)
