"""Crop: whole pixels, the same for all frames, edges repeated."""

import numpy as np

from kinemill.augment.image_crop import ImageCrop

EXAMPLE = {"type": "image_crop", "pixels": 3}


def test_the_picture_moves_by_whole_pixels_and_its_edge_is_repeated():
    frames = np.arange(8 * 8, dtype=np.uint8).reshape(1, 8, 8, 1).repeat(3, axis=3)
    moves = set()
    for seed in range(200):
        result = (
            ImageCrop(pixels=2).paint(frames, np.random.default_rng(seed))[0, :, :, 0].astype(int)
        )
        # Where neither edge is near, row r and column c hold 8 (r + down) + c + right.
        down, right = divmod(int(result[4, 4]) - 36 + 2, 8)
        down, right = int(down), int(right) - 2
        rows, columns = np.clip(np.arange(8) + down, 0, 7), np.clip(np.arange(8) + right, 0, 7)
        np.testing.assert_array_equal(result, 8 * rows[:, None] + columns)
        moves.add((down, right))
    assert len(moves) == 25  # all of -2..2 by -2..2
