"""Pictures for the asset catalog, cached in the store by artifact."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import (
    Frames,
    Media,
    MediaSet,
    PackedDataset,
    PackedEpisode,
    load_dataset,
    load_media,
)
from kinemill.dataset.clips import clip_rows, clip_sheet, clips_in
from kinemill.reports.charts import Line, line_chart
from kinemill.reports.svg_grid import sheet
from kinemill.store import ArtifactRef, Json, get_or_build
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.clips import joints_of
from kinemill.validate.exemplar import episode_sheet, recording_sheet
from kinemill.verify.document import open_verification
from kinemill.verify.results import Accuracy, TrialResults

VERSION = 3
SHEET = "sheet.svg"
_ROWS = 300  # most drawn channels of an episode
_WHO = ("model", "persistence", "linear", "linear_sincos")


def recordings_drawn(task: Task, home: Home, recordings: ArtifactRef) -> str | None:
    """Return an SVG of the durations of the recordings and an example; None without data."""

    def draw() -> str | None:
        return recording_sheet(task, home, recordings)

    return _sheet(task, home, {"recordings": recordings.digest}, draw)


def episodes_drawn(
    task: Task, home: Home, recordings: ArtifactRef, episodes: ArtifactRef
) -> str | None:
    """Return an SVG of the accepted data of the recordings, and an example with its cuts."""

    def draw() -> str | None:
        return episode_sheet(task, home, recordings, episodes)

    return _sheet(task, home, {"episodes": episodes.digest}, draw)


def _sheet(task: Task, home: Home, of: Json, draw: Callable[[], str | None]) -> str | None:
    def build(folder: Path) -> Json:
        drawn = draw()
        (folder / SHEET).write_text(drawn or "")
        return {}

    inputs = {**of, "units": {n: c.unit for n, c in task.channels.items()}, "version": VERSION}
    artifact = get_or_build(home, "pictures", task.name, inputs, build)
    return (home.root / artifact.ref.path / SHEET).read_text() or None


def clips_drawn(task: Task, home: Home, dataset: ArtifactRef) -> tuple[str | None, list[Json]]:
    """Return an SVG of the cycles of clips, and their numbers; None for other tasks."""
    if not joints_of(task):
        return None, []

    def build(folder: Path) -> Json:
        packed = load_dataset(home, dataset)
        clips = clips_in(task, packed, home.root / dataset.path)
        (folder / SHEET).write_text(clip_sheet(task, clips) or "")
        return {"clips": clip_rows(task, clips)}

    inputs = {"dataset": dataset.digest, **task.part("learn"), "version": VERSION}
    artifact = get_or_build(home, "pictures", task.name, inputs, build)
    return (home.root / artifact.ref.path / SHEET).read_text() or None, artifact.summary["clips"]


def error_growth(home: Home, task: str, verification: ArtifactRef) -> Path:
    """Return a PNG of the error over the horizon, one panel per channel in its unit."""

    def build(folder: Path) -> Json:
        _draw(open_verification(home, verification).accuracy, folder / "error_growth.png")
        return {}

    inputs = {"verification": verification.digest, "version": VERSION}
    artifact = get_or_build(home, "pictures", task, inputs, build)
    return home.root / artifact.ref.path / "error_growth.png"


def returns_drawn(trials: Mapping[str, TrialResults]) -> str:
    """Return an SVG of the returns of all episodes, sorted, by policy."""
    styles = dict(zip(trials, _WHO, strict=False))
    lines = [
        Line(who, styles[who], np.linspace(0.0, 1.0, len(trial.returns)), np.sort(returns))
        for who, trial in trials.items()
        if len(returns := np.asarray(trial.returns, dtype=np.float64))
    ]
    chart = line_chart(lines, labels=("share of episodes", "return"), size=(600, 220))
    key = {styles[line.label]: line.label for line in lines}
    return sheet([("return, from the worst to the best episode", chart)], (600, 220), 1, key)


def before_after(home: Home, task: str, training_set: ArtifactRef) -> Path | None:
    """Return a PNG of an original and one copy of each augmentation, one panel per channel.

    None without copies. The first original with the most augmentations is drawn, with the middle
    image of the episode.
    """
    packed = load_dataset(home, training_set)
    if not any("+" in episode.id for episode in packed.episodes):
        return None
    stored = Media.read(home.root / training_set.path)

    def build(folder: Path) -> Json:
        media = load_media(home, training_set) if stored and stored.shapes else None
        _draw_copies(packed, media, folder / "before_after.png")
        return {}

    inputs = {"training_set": training_set.digest, "version": VERSION}
    artifact = get_or_build(home, "pictures", task, inputs, build)
    return home.root / artifact.ref.path / "before_after.png"


def _draw_copies(training_set: PackedDataset, media: MediaSet | None, path: Path) -> None:
    from matplotlib.figure import Figure

    families: dict[str, dict[str, PackedEpisode]] = {}
    for episode in training_set.episodes:
        original, *added = episode.id.split("+")
        if len(added) <= 1:
            kind = "".join(added).partition(".")[0] or "original"
            families.setdefault(original, {}).setdefault(kind, episode)
    family = max(families.values(), key=len)
    columns = training_set.columns
    images = list(media.media.shapes) if media else []
    heights = [1.5 * len(columns) + 0.6, *[1.6 for _ in images]]
    figure = Figure(figsize=(9.0, sum(heights)), layout="constrained")
    top, *below = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_rows(top, training_set, family)
    for strip, channel in zip(below, images, strict=True):
        frames = (
            {kind: media.frames(one.id, channel) for kind, one in family.items()} if media else {}
        )
        _draw_images(strip, channel, frames)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def _draw_images(figure: Any, channel: str, frames: dict[str, Frames]) -> None:
    """Draw the middle image of an original and of its copies, side by side."""
    panels = figure.subplots(1, len(frames), squeeze=False)[0]
    for panel, (kind, images) in zip(panels, frames.items(), strict=True):
        panel.imshow(images[len(images) // 2])
        panel.set_title(kind, fontsize=7)
        panel.axis("off")
    figure.supylabel(channel, fontsize=8)


def _draw_rows(figure: Any, training_set: PackedDataset, family: dict[str, PackedEpisode]) -> None:
    """Draw the channels of an original and its copies, one panel each."""
    columns = training_set.columns
    panels = figure.subplots(len(columns), 1, squeeze=False, sharex=True)[:, 0]
    for column, (panel, name) in enumerate(zip(panels, columns, strict=True)):
        for kind, episode in family.items():
            rows = training_set.rows(episode)[:_ROWS]
            seconds = np.arange(len(rows)) * training_set.dt
            is_original = kind == "original"
            style = {"color": "black", "lw": 2.0, "zorder": 0} if is_original else {"lw": 0.9}
            panel.plot(seconds, rows[:, column], label=kind, **style)
        panel.set_ylabel(f"{name}\n{training_set.units[name]}", fontsize=8)
        panel.grid(alpha=0.2)
    panels[-1].set_xlabel("s")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8
    )


def _draw(accuracy: Mapping[str, Accuracy], path: Path) -> None:
    from matplotlib.figure import Figure

    channels = accuracy["model"].channels
    figure = Figure(figsize=(3.4 * len(channels), 2.8), layout="constrained")
    panels = figure.subplots(1, len(channels), squeeze=False)[0]
    for panel, (name, line) in zip(panels, channels.items(), strict=True):
        for who in _WHO:
            errors = accuracy[who].channels[name].by_step if who in accuracy else []
            steps = range(1, len(errors) + 1)
            panel.plot(steps, errors, label=who, lw=2.2 if who == "model" else 1.2)
        panel.set(title=name, xlabel="steps ahead", ylabel=f"RMSE, {line.unit}", yscale="log")
        panel.grid(alpha=0.2)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})
