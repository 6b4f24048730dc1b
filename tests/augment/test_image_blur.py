"""Blur: a Gaussian in height and width, none in time and color."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.image_blur import ImageBlur

EXAMPLE = {"type": "image_blur", "sigma": [0.5, 2.0]}


def test_an_edge_becomes_the_integral_of_a_gaussian():
    from scipy.stats import norm

    frames = np.zeros((1, 5, 41, 3), np.uint8)
    frames[:, :, 21:] = 200
    result = ImageBlur(sigma=(2.0, 2.0)).paint(frames, np.random.default_rng(0))
    # The edge is between columns 20 and 21; sampling a kernel of 2 pixels errs by under 1 %.
    expected = 200 * norm.cdf((np.arange(41) - 20.5) / 2.0)
    np.testing.assert_allclose(result[0, 2, :, 0], expected, atol=2.0)


def test_neither_time_nor_colors_mix():
    frames = np.zeros((3, 9, 9, 3), np.uint8)
    frames[1, :, :, 2] = 90
    result = ImageBlur(sigma=(1.0, 1.0)).paint(frames, np.random.default_rng(0))
    np.testing.assert_array_equal(result, frames)


def test_widths_out_of_order_are_refused():
    with pytest.raises(
        ValidationError, match=r"the lower bound 2\.0 is above the upper bound 1\.0"
    ):
        ImageBlur(sigma=(2.0, 1.0))
