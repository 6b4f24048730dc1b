"""Edits of a draft: channels that a user renamed, changed or left out, and other settings."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.overrides import apply, nested

_MODELED = ("state", "action")  # roles that have an observed range
_RENAMED = ("augment", "validate")  # parts of a task that name channels
_MEDIA = ("image", "text")

ShortText = Annotated[str, Field(max_length=200)]


class ChannelRow(BaseModel):
    """One row of the table of channels; a channel without a row is left out.

    Attributes:
        channel: its name in the draft.
        name: its name in the task.
        role: its role in the task.
        kind: how its values behave, such as `angle`; None keeps that of the draft.
        unit: its unit; ignored for images and texts.
        limits: lowest and highest physical value, in the unit; None without limits.
        derivative_of: the channel, by its name in the draft, whose time derivative it is.
        derived: whether it is computed from that channel instead of read from its column.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    channel: ShortText
    name: ShortText
    role: ShortText
    kind: ShortText | None = None
    unit: ShortText
    limits: Annotated[list[float | None], Field(max_length=2)] | None = None
    derivative_of: ShortText | None = None
    derived: bool = False


def edit_task(task: Json, rows: Sequence[ChannelRow], settings: Mapping[str, object]) -> Json:
    """Return the content of a draft's task file with edits; it is not checked yet.

    Args:
        task: content of the draft's task file.
        rows: channels of the edited task, in their order.
        settings: other settings by dotted key, as in overrides.

    Raises:
        BadInput: A row names a channel that the draft does not have, two rows have one name, or
            a list index of a setting is out of range.
    """
    value = copy.deepcopy(task)
    old = cast("dict[str, Json]", value["channels"])
    _check_rows(rows, old)
    names = {row.channel: row.name for row in rows}
    value["channels"] = {row.name: _channel(old[row.channel], row, names) for row in rows}
    for part in _RENAMED:
        if part in value:
            value[part] = _renamed(value[part], names)
    for columns in cast("dict[str, Json]", value.get("ingest", {}).get("parts", {})).values():
        for name in old.keys() & columns.keys():
            column = columns.pop(name)
            if name in names:
                columns[names[name]] = column
    apply(value, nested(settings))
    return value


def _check_rows(rows: Sequence[ChannelRow], old: Mapping[str, object]) -> None:
    often = Counter(row.name for row in rows)
    for row in rows:
        if row.channel not in old:
            fix = nearest(row.channel, list(old))
            raise BadInput(f"channel {row.channel!r}", "is not in the draft", fix=fix)
        if often[row.name] > 1:
            raise BadInput(f"channels.{row.name}", "names two channels", fix="rename one of them")


def _channel(old: Json, row: ChannelRow, names: Mapping[str, str]) -> Json:
    dropped = {"role", "unit", "limits", "derivative_of", "derived", "of"}
    dropped |= {"source", "resample", "kind"} if row.derived else set[str]()
    dropped |= set[str]() if row.role in _MODELED and not row.derived else {"observed_range"}
    is_same_unit = str(old.get("unit", "")) == row.unit
    if not is_same_unit and not isinstance(old.get("source", ""), str):
        dropped.add("observed_range")  # values of a column with a unit are converted again
    new: Json = {"role": row.role}
    if row.role not in _MEDIA:
        new["unit"] = old.get("unit", "") if is_same_unit else row.unit
    parent = names.get(row.derivative_of or "", row.derivative_of)
    if row.derived:
        new |= {"derived": "derivative", "of": parent}
    elif parent is not None:
        new["derivative_of"] = parent
    new |= {key: item for key, item in old.items() if key not in dropped}
    if row.name != row.channel and not row.derived:
        new.setdefault("source", row.channel)  # the name of a channel is its column by default
    if row.kind is not None and not row.derived:
        new.pop("kind", None)
        new |= {} if row.kind == "linear" else {"kind": row.kind}
    if row.limits is not None:
        new["limits"] = list(row.limits)
    return new


def _renamed(part: object, names: Mapping[str, str]) -> object:
    """Return a part of a task with the new names of channels, as keys and as values."""
    if isinstance(part, dict):
        items = cast("dict[str, object]", part).items()
        return {names.get(key, key): _renamed(item, names) for key, item in items}
    if isinstance(part, list):
        return [_renamed(item, names) for item in cast("list[object]", part)]
    return names.get(part, part) if isinstance(part, str) else part
