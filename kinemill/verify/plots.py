"""Figures with matplotlib for slides, papers and notebooks; HTML pages have their own charts."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from kinemill.reports.charts import axis_label
from kinemill.reports.picture import Picture
from kinemill.runtime import Interface
from kinemill.verify.analysis import MODEL, Analysis
from kinemill.verify.figures import pictured
from kinemill.verify.phrases import label

COLORS = {
    "model": "#2457e6",
    "champion": "#a032c8",
    "linear_sincos": "#0d9488",
    "linear": "#d97706",
    "physics": "#5f9e0b",
    "constant_velocity": "#8b5e34",
    "persistence": "#9aa4b2",
    "truth": "#14181f",
    "action": "#5b6675",
}
_BETWEEN = 0.75  # inches between two rows of axes


def _color(name: str) -> str:
    return COLORS.get(name, "#c2410c")


def draw_growth(analysis: Analysis) -> Picture:
    """Draw the RMSE of all predictors over the prediction time, one axis per state."""
    model = analysis.model
    indexes = pictured(model)
    figure, axes = panels(len(indexes), min(3, len(indexes)))
    time = np.arange(1, model.horizon + 1) * model.dt
    for axis, index in zip(axes, indexes, strict=False):
        for name, errors in reversed(analysis.errors.items()):
            wide = 2.4 if name == MODEL else 1.4
            axis.plot(
                time, errors.by_step[:, index], color=_color(name), lw=wide, label=label(name)
            )
        peak = float(np.nan_to_num(model.by_step[:, index], posinf=0.0).max())
        axis.set_ylim(0.0, min(axis.get_ylim()[1], 8.0 * peak or np.inf))
        axis.set_title(model.channels[index], fontsize=10)
        axis.set_ylabel(axis_label("RMSE", model.units[index]), fontsize=8)
        axis.set_xlabel("time ahead, s")
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def draw_simulation(frame: pl.DataFrame, interface: Interface, text: str) -> Picture:
    """Draw the states, actions and outputs of a simulation over time, s, with the title `text`."""
    time = frame["time_s"].to_numpy()
    names = [*interface.states, *interface.actions, *interface.outputs]
    drawn, axes = panels(len(names), 1)
    for axis, name in zip(axes, names, strict=True):
        if name in interface.actions:
            axis.step(time, frame[name], where="post", color=COLORS["action"])
        else:
            axis.plot(time, frame[name], color=COLORS["model"], label="simulated")
        if f"{name}_measured" in frame.columns:
            measured = frame[f"{name}_measured"]
            axis.plot(time, measured, color=COLORS["truth"], lw=1, label="measured")
        axis.set_ylabel(f"{name}, {interface.units[name]}", fontsize=8)
    axes[0].legend(fontsize=8, frameon=False)
    axes[0].set_title(text, fontsize=9)
    axes[-1].set_xlabel("time, s")
    drawn.set_size_inches(9.0, 1.9 * len(names) + 0.6)
    drawn.subplots_adjust(left=0.1, right=0.97, hspace=0.3)
    return drawn


def panels(count: int, columns: int) -> tuple[Picture, list[Axes]]:
    """Return a figure that needs no display, and its `count` axes, `columns` per row."""
    rows = -(-count // columns)
    figure = Picture((4.6 * columns, 2.3 * rows + 0.7))
    height = figure.get_figheight()
    bottom = 0.5 / height
    top = 1 - 0.35 / height
    # The margins are computed here, in inches, because a layout engine of matplotlib would draw
    # everything twice.
    row_height = (height * (top - bottom) - _BETWEEN * (rows - 1)) / rows
    figure.subplots_adjust(
        0.16 / columns, bottom, 1 - 0.04 / columns, top, 0.25, _BETWEEN / row_height
    )
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    for axis in axes:
        axis.grid(color="0.92")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes
