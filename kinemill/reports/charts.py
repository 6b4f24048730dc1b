"""Line charts as inline SVG: scalable, in the colors of the page, without downloads; thumbnails."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import NDArray

PAD_LEFT = 54
PAD_RIGHT = 14
PAD_TOP = 20
PAD_BOTTOM = 40  # margins for the labels, px
_NARROW = 500  # px; width on a phone
POINTS = 1000  # pixel columns, each with its lowest and highest value
THUMBNAIL_WIDTH = 200
THUMBNAIL_HEIGHT = 34  # px, of one channel
THUMBNAIL_POINTS = 80  # pixel columns of a curve
_DECADES = 1.5  # orders of magnitude of values from which on an axis is logarithmic


@dataclass(frozen=True)
class Line:
    """One curve: label, CSS class of its color, and points.

    A staircase holds each value until the next, as actions do; dots are not connected.
    """

    label: str
    style: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    staircase: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Whisker:
    """An interval at one x, drawn as a vertical bar."""

    x: float
    low: float
    high: float
    style: str


@dataclass(frozen=True)
class Band:
    """A range of x marked over the whole height, such as a finding of a check."""

    start: float
    stop: float
    style: str
    label: str


@dataclass(frozen=True)
class Frame:
    """Size in px, ranges of x and y, and conversion to px; `log`: y is a range of log10."""

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def px(self, value: float) -> float:
        """Return the horizontal position of `value`, px."""
        share = (value - self.x[0]) / (self.x[1] - self.x[0])
        return PAD_LEFT + share * (self.width - PAD_LEFT - PAD_RIGHT)

    def py(self, value: float) -> float:
        """Return the vertical position of `value`, px, clamped near the frame."""
        height = math.log10(max(value, 1e-300)) if self.log else value
        share = (height - self.y[0]) / (self.y[1] - self.y[0])
        share = min(max(share, -1.0), 2.0)
        return self.height - PAD_BOTTOM - share * (self.height - PAD_TOP - PAD_BOTTOM)


def axis_label(quantity: str, unit: str) -> str:
    """Return the label of an axis: the quantity and its unit, if any."""
    return f"{quantity}, {unit}" if unit else quantity


def line_chart(
    lines: Sequence[Line],
    *,
    labels: tuple[str, str],
    size: tuple[int, int] = (340, 212),
    y: tuple[float, float] | None = None,
    log: bool = False,
    whiskers: Sequence[Whisker] = (),
    bands: Sequence[Band] = (),
) -> str:
    """Draw `lines`.

    Args:
        lines: the curves; the last one is on top.
        labels: labels of the horizontal and the vertical axis, see `axis_label`.
        size: width and height, px; scales with the page.
        y: range of the vertical axis; default: all values, with a margin.
        log: whether the axis is logarithmic where positive values span several decades.
        whiskers: intervals at single x.
        bands: marked ranges of x, behind the lines.
    """
    is_log = log and y is None and _spans_decades(lines)
    vertical = y or value_range(_logarithms(lines) if is_log else lines)
    frame = Frame(*size, _range_x(lines), vertical, is_log)
    kind = ' class="wide"' if frame.width > _NARROW else ""
    clip = f"inside-{frame.width}-{frame.height}"  # charts of equal size can share it
    parts = [
        f'<svg{kind} viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(f"{labels[1]} over {labels[0]}")}">',
        f'<clipPath id="{clip}"><rect x="{PAD_LEFT}" y="{PAD_TOP - 4}" '
        f'width="{frame.width - PAD_LEFT - PAD_RIGHT + 5}" '
        f'height="{frame.height - PAD_TOP - PAD_BOTTOM + 5}"/>'
        "</clipPath>",
        *_axes(frame),
        _text("axis-label", PAD_LEFT, PAD_TOP - 8, escape(labels[1]), "start"),
        _text("axis-label", frame.width - PAD_RIGHT, frame.height - 6, escape(labels[0]), "end"),
    ]
    parts.append(f'<g clip-path="url(#{clip})">')
    parts += [_band(frame, band) for band in bands]
    parts += [_curve(frame, line) for line in lines]
    for item in whiskers:
        x = frame.px(item.x)
        parts.append(
            _segment(f"whisker {item.style}", x, frame.py(item.low), x, frame.py(item.high))
        )
    return "".join([*parts, "</g></svg>"])


def _spans_decades(lines: Sequence[Line]) -> bool:
    values = np.concatenate([line.y for line in lines])
    values = values[np.isfinite(values)]
    return bool(len(values)) and bool(0.0 < values.min() * 10.0**_DECADES < values.max())


def _logarithms(lines: Sequence[Line]) -> list[Line]:
    return [replace(line, y=np.log10(line.y)) for line in lines]


def value_range(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the smallest and largest finite y, with a margin."""
    values = np.concatenate([line.y for line in lines])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low = float(values.min())
    high = float(values.max())
    room = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int = POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep the lowest and highest value of each pixel column: (n,) -> (m,), m <= 2 points."""
    if len(y) <= 2 * points:
        return x, y
    edges = np.linspace(0, len(y), points + 1).astype(int)[:-1]
    low = np.minimum.reduceat(np.where(np.isnan(y), np.inf, y), edges)
    high = np.maximum.reduceat(np.where(np.isnan(y), -np.inf, y), edges)
    pairs = np.stack([low, high], axis=1).ravel()
    pairs[~np.isfinite(pairs)] = np.nan
    return np.repeat(x[edges], 2), pairs


def thumbnail(seconds: NDArray[np.float64], channels: Mapping[str, NDArray[np.float64]]) -> str:
    """Return an SVG with curves below each other, each scaled to its range.

    Args:
        seconds: time of each row (n,), s.
        channels: values (n,) by name; NaN is a gap.
    """
    paths = {
        name: thumbnail_path(seconds, values, THUMBNAIL_HEIGHT * number)
        for number, (name, values) in enumerate(channels.items())
    }
    curves = [
        f'<path class="line value" d="{path}"><title>{escape(name)}</title></path>'
        for name, path in paths.items()
    ]
    label = f"{', '.join(channels)} over time"
    size = f'viewBox="0 0 {THUMBNAIL_WIDTH} {THUMBNAIL_HEIGHT * len(channels)}"'
    return f'<svg class="thumbnail" {size} role="img" aria-label="{escape(label)}">' + (
        "".join(curves) + "</svg>"
    )


def thumbnail_path(seconds: NDArray[np.float64], values: NDArray[np.float64], top: int = 0) -> str:
    """Return the curve of (n,) values as a path; empty without a finite value."""
    time, drawn = thinned(seconds, values, THUMBNAIL_POINTS)
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return ""
    low = float(finite.min())
    extent = float(np.ptp(finite)) or 1.0
    length = float(np.ptp(time)) or 1.0
    x = 1.0 + (THUMBNAIL_WIDTH - 2.0) * (time - time[0]) / length
    y = top + THUMBNAIL_HEIGHT - 3.0 - (THUMBNAIL_HEIGHT - 6.0) * (drawn - low) / extent
    steps = list[str]()
    pen_down = False
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(py):
            # `h0` draws an isolated value as a dot.
            steps.append(f"L{px:.1f} {py:.1f}" if pen_down else f"M{px:.1f} {py:.1f}h0")
        pen_down = bool(np.isfinite(py))
    return "".join(steps)


def _range_x(lines: Sequence[Line]) -> tuple[float, float]:
    values = np.concatenate([line.x for line in lines])
    low = float(values.min())
    high = float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers from `low` to `high`, at steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float) -> str:
    """Return a number with three digits as text; a dash for None or NaN."""
    if not math.isfinite(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    text = f"{value:#.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return text.rstrip(".").replace("-", "−")


def _axes(frame: Frame) -> list[str]:
    parts: list[str] = []
    bottom = frame.height - PAD_BOTTOM
    for tick in _decades(*frame.y) if frame.log else ticks(*frame.y):
        y = frame.py(tick)
        parts.append(_segment("grid", PAD_LEFT, y, frame.width - PAD_RIGHT, y))
        parts.append(_text("tick", PAD_LEFT - 6, y + 3.5, _round(tick), "end"))
    for tick in ticks(*frame.x, about=max(4, frame.width // 130)):
        parts.append(_below(frame, tick, bottom + 15))
        parts.append(_segment("axis", frame.px(tick), bottom, frame.px(tick), bottom + 3))
    return [*parts, _segment("axis", PAD_LEFT, bottom, frame.width - PAD_RIGHT, bottom)]


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten within 10^low to 10^high, at most five."""
    first = math.ceil(low)
    last = math.floor(high)
    step = max(1, math.ceil((last - first) / 4))
    return [10.0**power for power in range(first, last + 1, step)]


def _below(frame: Frame, tick: float, y: float) -> str:
    """Write a number under the axis; at the right edge it is right-aligned, to fit."""
    x = frame.px(tick)
    text = _round(tick)
    if x + 3.5 * len(text) > frame.width:  # 7 px a digit at most
        return _text("tick", frame.width - 1.0, y, text, "end")
    return _text("tick", x, y, text, "middle")


def _round(tick: float) -> str:
    return f"{tick:.6g}".replace("-", "−") if abs(tick) > 1e-12 else "0"


def _band(frame: Frame, band: Band) -> str:
    """Draw a marked range, at least 2 px wide, so that a single row is visible."""
    start = frame.px(band.start)
    end = frame.px(band.stop)
    width = max(end - start, 2.0)
    return (
        f'<rect class="band {band.style}" x="{start:.1f}" y="{PAD_TOP - 4}" width="{width:.1f}" '
        f'height="{frame.height - PAD_TOP - PAD_BOTTOM + 4}">'
        f"<title>{escape(band.label)}</title></rect>"
    )


def _curve(frame: Frame, line: Line) -> str:
    points: list[str] = []
    pen = "M"
    previous: float | None = None
    for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True):
        if not math.isfinite(y):
            pen = "M"
            previous = None
            continue
        if line.staircase and previous is not None:
            points.append(f"L{frame.px(x):.1f} {frame.py(previous):.1f}")
        points.append(f"{pen}{frame.px(x):.1f} {frame.py(y):.1f}{'h.01' * line.dots}")
        pen = "M" if line.dots else "L"
        previous = y
    return (
        f'<path class="line {line.style}{" dots" * line.dots}" d="{"".join(points)}">'
        f"<title>{escape(line.label)}</title></path>"
    )


def _segment(style: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(style: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
