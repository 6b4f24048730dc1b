"""Figures without a display, written to files or displayed by notebooks as PNG."""

from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110


class Picture(Figure):
    """A matplotlib figure without a window, which does not change settings of matplotlib.

    Args:
        size: width and height, inches.
        layout: layout engine of matplotlib, or None.
    """

    def __init__(self, size: tuple[float, float], layout: str | None = None) -> None:
        super().__init__(figsize=size, layout=layout)  # pyright: ignore[reportArgumentType]
        FigureCanvasAgg(self)

    def png(self) -> bytes:
        """Return the figure as PNG; equal figures have equal bytes."""
        file = BytesIO()
        # No creation date or version in the file.
        self.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()
