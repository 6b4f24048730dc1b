"""Color: each of the four does what its name says, and gray stays gray."""

import numpy as np
import pytest

from kinemill.augment.image_color import ImageColor

EXAMPLE = {"type": "image_color", "brightness": 0.3, "hue": 0.1}
OFF = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


class Always:
    """Randomness that draws the upper or the lower end of every range."""

    def __init__(self, value: float) -> None:
        self.value = value

    def uniform(self, low: float, high: float, count: int) -> np.ndarray:
        return np.full(count, self.value)


def paint(color, value=1.0, **settings):
    frames = np.array(color, np.uint8).reshape(1, 1, -1, 3)
    return ImageColor(**(OFF | settings)).paint(frames, Always(value))[0, 0].tolist()


def test_nothing_asked_is_nothing_changed():
    colors = np.random.default_rng(0).integers(0, 256, (5000, 3)).tolist()
    assert paint(colors) == colors


def test_brightness_multiplies_and_saturates():
    assert paint([[100, 50, 200]], brightness=0.5) == [[150, 75, 255]]
    assert paint([[100, 50, 200]], -1.0, brightness=0.5) == [[50, 25, 100]]


def test_contrast_spreads_about_mid_gray():
    # 127.5 + 1.4 (x - 127.5)
    assert paint([[100, 128, 200]], contrast=0.4) == [[89, 128, 229]]


@pytest.mark.parametrize("settings", [{"saturation": 0.9}, {"hue": 0.5}])
def test_gray_has_no_color_to_change(settings):
    # YIQ's third decimals leave at most one step of 255.
    result = np.array(paint([[10, 10, 10], [200, 200, 200]], **settings))
    assert np.abs(result - [[10], [200]]).max() <= 1


def test_saturation_moves_colors_from_their_gray_and_keeps_the_luma():
    (red, green, blue), luma = (
        paint([[150, 100, 100]], saturation=0.5)[0],
        0.299 * 150 + 0.701 * 100,
    )
    assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(luma, abs=1.0)
    assert red - green == pytest.approx(75, abs=1)


def test_three_turns_of_a_third_exchange_red_green_and_blue_and_come_back():
    # Half a turn twice is a whole turn: the color it was, but for rounding and clipping.
    get_or_build = paint([[140, 120, 110]], hue=0.5)
    assert get_or_build != [[140, 120, 110]]
    assert np.abs(np.array(paint(get_or_build, hue=0.5)) - [140, 120, 110]).max() <= 2
    assert get_or_build[0][2] > get_or_build[0][0]  # what was warm is cold
