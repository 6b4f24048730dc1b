"""Plots as PNG files."""

import pytest

from kinemill.verify.plots import panels


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (5, 3), (9, 3), (12, 2)])
def test_no_title_lies_over_the_label_of_the_axis_above(count, columns):
    figure, axes = panels(count, columns)
    for axis in axes:
        axis.set_title("velocity, RMSE in rad/s", fontsize=10)
        axis.set_xlabel("s ahead")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axis in axes for text in (axis.title, axis.xaxis.label)]
    for location, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[location + 1 :])
        assert box.y0 >= 0.0
        assert box.y1 <= figure.bbox.height
