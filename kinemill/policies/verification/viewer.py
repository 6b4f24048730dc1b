"""Viewer of one episode in a report: frame, rewards, actions and events, with one slider.

It is HTML with an inline script that loads no other files.
"""

import importlib.resources
import io
import json
from base64 import b64encode
from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments.evaluation import Recorded
from kinemill.policies.environments.video import Video
from kinemill.reports.charts import THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH, thumbnail_path
from kinemill.reports.components import name_of

MOST_STEPS = 400
MOST_FRAMES = 120
MOST_ROWS = 12
SIZE = (320, 320)
WIDE = (480, 240)  # largest size of a frame, and of two side by side, px

Floats = NDArray[np.float64]


def episode_viewer(episode: Recorded, video: Video | None) -> str:
    """Return the section of an episode as HTML."""
    count = len(episode.rewards)
    stride = max(1, -(-count // MOST_STEPS))
    steps = list(range(0, count, stride))
    series = {name: values[steps] for name, values in series_of(episode).items()}
    pictures, frame = _pictures(video, steps)
    data = {
        "step": steps,
        "time": [round(step * episode.layout.dt, 6) for step in steps],
        "interval": max(20, round(1000 * episode.layout.dt * stride)),
        "values": [[_number(value) for value in values] for values in series.values()],
        "frames": pictures,
        "frame": frame,
    }
    content = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    kind = "frame wide" if video is not None and _is_wide(video) else "frame"
    image = f'<img class="{kind}" alt="frame of the environment">' if pictures else ""
    note = " The environment draws no pictures on this machine."
    if video is not None and pictures:
        note = f" {escape(video.note)}" if video.note else ""
    script = importlib.resources.files("kinemill.reports").joinpath("rollout.js").read_text("utf-8")
    return (
        f"<h2>One episode</h2><p>Seed {episode.seed}, {count} steps, return "
        f"{episode.episode_return:.4g}.{note} All steps of the first trials are in "
        '<code>rollouts.parquet</code>.</p><div class="panel rollout">'
        '<div class="controls"><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(steps) - 1}" value="0" aria-label="step">'
        f"<output></output></div>{image}{_table(series)}"
        f'<script type="application/json">{content}</script></div><script>{script}</script>'
    )


def series_of(episode: Recorded) -> dict[str, Floats]:
    """Return reward, return, actions and events of an episode by name, (N,) each, in units."""
    count = len(episode.rewards)
    actions = episode.actions.reshape(count, -1).astype(np.float64)
    named = {name: actions[:, k] for k, name in enumerate(episode.layout.actions[:MOST_ROWS])}
    events = dict(list(episode.step_events.items())[:MOST_ROWS])
    return {
        "reward": episode.rewards,
        "return so far": np.cumsum(episode.rewards),
        **{f"action {name}": values for name, values in named.items()},
        **{f"event {name}": values for name, values in events.items()},
    }


def _table(series: Mapping[str, Floats]) -> str:
    rows = "".join(
        f'<tr data-row="{index}"><th>{name_of(name)}</th><td>{_chart(values)}</td>'
        '<td class="value"></td></tr>'
        for index, (name, values) in enumerate(series.items())
    )
    return f"<table>{rows}</table>"


def _chart(values: Floats) -> str:
    """Return a curve (N,) as SVG with a cursor; values that are not finite leave gaps."""
    finite = values[np.isfinite(values)]
    label = f"{finite.min():.4g} to {finite.max():.4g}" if len(finite) else "no finite value"
    path = thumbnail_path(np.arange(float(len(values))), values)
    return (
        f'<svg viewBox="0 0 {THUMBNAIL_WIDTH} {THUMBNAIL_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}"><title>{label}</title><path d="{path}"/>'
        f'<line class="cursor" y1="0" y2="{THUMBNAIL_HEIGHT}"/></svg>'
    )


def _pictures(video: Video | None, steps: list[int]) -> tuple[list[str], list[int]]:
    """Return the pictures as data URLs, and the index of the picture of each step."""
    from PIL import Image

    if video is None or len(video.pictures) <= steps[-1] // video.stride:
        return [], []
    of_steps = [step // video.stride for step in steps]
    rows = sorted(set(of_steps))
    rows = rows[:: max(1, -(-len(rows) // MOST_FRAMES))]
    urls = list[str]()
    for row in rows:
        picture = Image.fromarray(video.pictures[row])
        file = io.BytesIO()
        picture.thumbnail(WIDE if _is_wide(video) else SIZE, Image.Resampling.BOX)
        picture.save(file, "WEBP", quality=60, method=2)
        urls.append(f"data:image/webp;base64,{b64encode(file.getvalue()).decode('ascii')}")
    return urls, [int(np.searchsorted(rows, step, side="right")) - 1 for step in of_steps]


def _is_wide(video: Video) -> bool:
    return video.pictures.shape[2] > 1.5 * video.pictures.shape[1]


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
