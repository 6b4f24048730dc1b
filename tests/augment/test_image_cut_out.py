"""Cut-out: squares of one gray, the same in every frame of the episode."""

import numpy as np

from kinemill.augment.image_cut_out import ImageCutOut

EXAMPLE = {"type": "image_cut_out", "pixels": 8, "holes": 2}


def test_a_square_of_the_side_asked_for_is_filled_in_all_frames():
    frames, sizes = np.full((4, 30, 30, 3), 9, np.uint8), []
    for seed in range(300):
        result = ImageCutOut(pixels=6, fill=200).paint(frames, np.random.default_rng(seed))
        hidden = (result == 200).all(axis=3)
        assert (hidden == hidden[0]).all()
        rows, columns = hidden[0].any(axis=1).sum(), hidden[0].any(axis=0).sum()
        assert hidden[0].sum() == rows * columns
        sizes.append((rows, columns))
    assert max(sizes) == (6, 6)
    assert min(sizes)[0] >= 3  # the center lies inside, so at most half is beyond the edge
    # A center in the 25 inner rows and columns of 30 shows a whole square: (25/30)² of them.
    assert abs(np.mean([size == (6, 6) for size in sizes]) - (25 / 30) ** 2) < 0.08
