"""Curves of a training: errors and returns over the steps."""

import math
from collections.abc import Mapping, Sequence

from kinemill.reports.picture import Picture

_BROUGHT = ("return", "success", "length")  # last part of the names of curves of episodes


def draw_curves(
    history: Mapping[str, Sequence[Sequence[float | None]]], best_step: int | None = None
) -> Picture:
    """Draw errors and returns of a training over its steps.

    Args:
        history: values by name, each with its step: [[step, value], ...].
        best_step: step of the selected weights, marked by a vertical line.
    """
    curves = ("train/", "validation/", "evaluation/")
    curves_shown = [name for name in history if name.startswith(curves)]
    brought = [name for name in curves_shown if name.rpartition("/")[2] in _BROUGHT]
    panels = [(names, label) for names, label in _panels(curves_shown, brought) if names]
    count = max(1, len(panels))
    figure = Picture((7.0, 3.5 * count), layout="constrained")
    all_axes = figure.subplots(count, squeeze=False)
    for axes, (names, label) in zip(all_axes[:, 0], panels, strict=False):
        draw = axes.plot if names is brought else axes.semilogy
        for name in names:
            steps, values = zip(*history[name], strict=True)
            draw(steps, [math.nan if v is None else v for v in values], label=name, lw=1.4)
        if best_step is not None:
            axes.axvline(best_step, color="0.6", lw=1, ls="--", label=f"best, step {best_step}")
        axes.set(xlabel="step", ylabel=label)
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.2)
    return figure


def _panels(curves_shown: list[str], brought: list[str]) -> list[tuple[list[str], str]]:
    errors = [name for name in curves_shown if name not in brought]
    return [(errors, "error, in standard deviations"), (brought, "per episode")]
