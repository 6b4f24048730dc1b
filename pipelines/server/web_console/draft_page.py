"""Page of a draft: a table of its channels with curves, main settings, and conclusions."""

import json
from collections.abc import Mapping

import numpy as np

from kinemill.draft.draft_preview import ChannelPreview, DraftPreview
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.task import MODELS, Task, make_task
from kinemill.task.setting_list import Setting, settings_of
from kinemill_dagster.pipelines.server.rest.documents import DraftDocument
from kinemill_dagster.pipelines.server.web_console.layout import console_page, same_texts

_ROLES = ("state", "action", "output", "observation", "reward")
_KINDS = ("linear", "angle", "coordinate", "quaternion")
_UNITS = ("rad", "rad/s", "rad/s^2", "deg", "m", "m/s", "m/s^2", "N", "N*m", "A", "V", "1")
_MAIN = (
    "dt", "learn.budget", "learn.history", "learn.horizon", "learn.steps", "learn.epochs",
    "learn.batch_size", "verify.horizon", "verify.stride", "validate.on_fault",
    "ingest.resample.max_gap",
)  # fmt: skip
_FOLDED = ("learn", "dataset", "validate", "verify", "promote", "ingest")
_SIZE = (260, 120)  # px of a curve
_PORTFOLIO = "the best of a portfolio"


def draft_page(draft: DraftDocument, preview: DraftPreview) -> str:
    """Return the page with the form of a draft."""
    task = make_task(preview.task, web=True)
    settings = {setting.key: setting for setting in settings_of(task)}
    channels = preview.task["channels"]
    assert isinstance(channels, Mapping)
    model = getattr(task.learn, "model", None)
    value = {"type": model.type} if model else None
    return console_page(
        f"{draft.name}: draft",
        "draft.html.j2",
        draft=draft,
        preview=preview,
        task=task,
        channels=[
            (item, channels[item.channel], _curve(item, channels[item.channel]))
            for item in preview.channels
        ],
        roles=same_texts(_ROLES),
        kinds=same_texts(_KINDS),
        units=same_texts(_UNITS),
        main={key: settings[key] for key in _MAIN if key in settings},
        model=value,
        models=_models(task, value),
        selected=json.dumps(value),
        portfolio=_PORTFOLIO,
        folded=_folded(settings),
    )


def _curve(item: ChannelPreview, channel: object) -> str:
    if not item.seconds:
        return ""
    unit = str(channel.get("unit", "")) if isinstance(channel, Mapping) else ""
    line = Line(item.channel, "model", np.array(item.seconds), np.array(item.values))
    labels = (axis_label("time", "s"), axis_label(item.channel, unit))
    return line_chart([line], labels=labels, size=_SIZE)


def _models(task: Task, selected: Mapping[str, str] | None) -> dict[str, str]:
    """Return the names of models by the value of `learn.model` as JSON."""
    names = [*([selected["type"]] if selected else []), *MODELS]
    texts = {json.dumps({"type": name}): name for name in names}
    return {"null": _PORTFOLIO, **texts} if task.learn.type == "dynamics" else texts


def _folded(settings: Mapping[str, Setting]) -> dict[str, list[Setting]]:
    """Return all settings without a place in the main settings, by part; plug-ins' come last."""
    folded: dict[str, list[Setting]] = {part: [] for part in _FOLDED}
    for key, setting in sorted(settings.items(), key=lambda item: item[0].count(".")):
        part = key.partition(".")[0]
        if part in folded and key not in _MAIN and not key.startswith("learn.model."):
            folded[part].append(setting)
    return folded
