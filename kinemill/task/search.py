"""The `tune` part of a task file: which settings a search may choose, and how long it looks.

A space mirrors the task. Where the task has a value, the space has a choice: `{select: [a, b]}` or
`{range: [low, high, step]}`; a selected item may hold further choices, so that each architecture
brings its own keys. In a list, an item that is chosen to be `null` is left out.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from kinemill.registry import nearest
from kinemill.task.plugins import Settings
from kinemill.task.yaml import Location

Number = int | float
Problem = tuple[Location, str]
SELECT, RANGE, LOG = "select", "range", "log"
# Of `learn`, what changes no model, or what is learned at all and from what.
_FIXED = {"type", "start_from", "device", "threads", "log_every", "save_every"}
_SEARCHED = ("learn", "augment")


class Tune(Settings):
    """How settings are searched for by `kinemill tune`."""

    trials: PositiveInt = Field(default=20, description="in all, those of earlier calls included")
    space: dict[str, Any] = Field(
        default={},
        description="a part of the task with `{select: [...]}` and `{range: [low, high, step]}` in "
        "place of values; default: sizes, history, optimizer, schedule and augmentation",
    )
    pruning: Literal["median", "hyperband", "none"] = Field(
        default="median",
        description="ends a trial whose validation error is worse than that of most others so far",
    )
    startup: NonNegativeInt = Field(
        default=6, description="trials chosen at random before the search learns from them"
    )
    seed: NonNegativeInt = 0

    def problems(self, channels: Mapping[str, Any]) -> list[Problem]:
        """Return choices that are no choices, and keys that no search may change."""
        del channels
        found: list[Problem] = []
        for key in self.space:
            if key not in _SEARCHED:
                what = "cannot be searched: trials are compared on the same data"
                found.append((("space", key), f"{what}; {nearest(key, list(_SEARCHED))}"))
        learn: Any = self.space.get("learn", {})
        if not isinstance(learn, dict) or _is_choice(learn):
            found.append((("space", "learn"), "is no mapping of keys of `learn`"))
        else:
            what = "is fixed in a search: trials differ in what they make of equal data"
            found += [(("space", "learn", key), what) for key in learn if key in _FIXED]
        return [*found, *_malformed(self.space, ("space",))]


def _is_choice(node: Any) -> bool:
    return isinstance(node, dict) and (SELECT in node or RANGE in node)


def _malformed(node: Any, at: Location) -> Iterator[Problem]:
    if _is_choice(node):
        wrong = _wrong_select(node) if SELECT in node else _wrong_range(node)
        if wrong:
            yield at, wrong
            return
    for key, inner in _below(node):
        yield from _malformed(inner, (*at, *key))


def _below(node: Any) -> Iterator[tuple[Location, Any]]:
    """Yield what a node holds, and where below it."""
    if isinstance(node, dict):
        if SELECT in node:
            yield from (((SELECT, index), item) for index, item in enumerate(node[SELECT]))
        elif RANGE not in node:
            yield from (((key,), item) for key, item in node.items())
    elif isinstance(node, list):
        yield from (((index,), item) for index, item in enumerate(node))


def _wrong_select(node: dict[str, Any]) -> str | None:
    if set(node) != {SELECT}:
        return f"`select` stands alone; found also {', '.join(k for k in node if k != SELECT)}"
    if not isinstance(node[SELECT], list) or not node[SELECT]:
        return f"`select` needs a list of at least one item; found {node[SELECT]!r}"
    items = [json.dumps(item) for item in node[SELECT]]
    twice = [item for item in items if items.count(item) > 1]
    return f"`select` has {twice[0]} twice" if twice else None


def _wrong_range(node: dict[str, Any]) -> str | None:
    if extra := [key for key in node if key not in {RANGE, LOG}]:
        return f"unknown key {extra[0]!r}; {nearest(extra[0], [RANGE, LOG])}"
    bounds, log = node[RANGE], node.get(LOG, False)
    shape = "expected [low, high] or [low, high, step] of numbers"
    if not isinstance(bounds, list) or len(bounds) not in {2, 3}:
        return f"`range` is {bounds!r}; {shape}"
    if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in bounds):
        return f"`range` is {bounds!r}; {shape}"
    if not isinstance(log, bool):
        return f"`log` is {log!r}; expected true or false"
    return _wrong_bounds(bounds, log)


def _wrong_bounds(bounds: list[Number], log: bool) -> str | None:
    low, high, *step = bounds
    if low >= high:
        return f"`range` goes from {low} to {high}; expected low below high"
    if step and (step[0] <= 0 or step[0] > high - low):
        return f"step {step[0]} of `range` is not between 0 and {high - low}"
    if log and (step or low <= 0):
        return "a `range` with `log` begins above 0 and has no step"
    return None


class Chooser(Protocol):
    """Who makes the choices of a space: a sampler, or somebody who tries them all."""

    def select(self, name: str, labels: list[str]) -> int:
        """Return which of the labeled items is taken."""
        ...

    def range(self, name: str, low: Number, high: Number, step: Number | None, log: bool) -> Number:
        """Return a number from `low` to `high`, both included; whole if all given are."""
        ...


def label(item: Any) -> str:
    """Return the name by which an item of a `select` is known."""
    if isinstance(item, list):
        return " + ".join(map(label, item)) if any(map(_has_type, item)) else json.dumps(item)
    return item["type"] if _has_type(item) else item if isinstance(item, str) else json.dumps(item)


def _has_type(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str)


def labels_of(items: list[Any]) -> list[str]:
    """Return a name for each item of a `select`; the second of one name gets a number."""
    names: list[str] = []
    for name in map(label, items):
        names.append(name if name not in names else f"{name} {1 + len(names)}")
    return names


def chosen(space: Mapping[str, Any], chooser: Chooser) -> dict[str, Any]:
    """Return the settings that a chooser takes from a space: dotted keys to plain values."""
    settings: dict[str, Any] = {}

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict) and not _is_choice(node) and node:
            for key in sorted(node, key=lambda one: one != "type"):  # it decides what others mean
                walk(node[key], f"{name}.{key}" if name else key)
        else:
            settings[name] = _value(node, name, chooser)

    walk(dict(space), "")
    settings.pop("", None)
    return settings


def _value(node: Any, name: str, chooser: Chooser) -> Any:
    if isinstance(node, list):
        made = [_value(item, f"{name}.{index}", chooser) for index, item in enumerate(node)]
        return [value for item, value in zip(node, made, strict=True) if not _left_out(item, value)]
    if not isinstance(node, dict):
        return node
    if SELECT in node:
        names = labels_of(node[SELECT])
        which = chooser.select(name, names)
        return _value(node[SELECT][which], f"{name}[{names[which]}]", chooser)
    if RANGE in node:
        low, high, *step = node[RANGE]
        return chooser.range(name, low, high, step[0] if step else None, node.get(LOG, False))
    return {key: _value(item, f"{name}.{key}", chooser) for key, item in node.items()}


def _left_out(item: Any, value: Any) -> bool:
    return _is_choice(item) and value is None


class Given:
    """A chooser that takes what it was told, and the first or lowest of all else."""

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self.given = given or {}

    def select(self, name: str, labels: list[str]) -> int:
        """Return the item that was told, or the first."""
        del labels
        return self.given.get(name, 0)

    def range(self, name: str, low: Number, high: Number, step: Number | None, log: bool) -> Number:
        """Return the number that was told, or the lowest."""
        del high, step, log
        return self.given.get(name, low)


def single_choices(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what to tell `Given` so that each item, and each end of a range, is taken once."""
    return _each(dict(space), "", {})


def _each(node: Any, name: str, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _each(item, f"{name}.{index}", given)
    elif isinstance(node, dict) and SELECT in node:
        for index, (item, its) in enumerate(
            zip(node[SELECT], labels_of(node[SELECT]), strict=True)
        ):
            taken = {**given, name: index}
            yield taken
            yield from _each(item, f"{name}[{its}]", taken)
    elif isinstance(node, dict) and RANGE in node:
        yield from ({**given, name: bound} for bound in node[RANGE][:2])
    elif isinstance(node, dict):
        for key, item in node.items():
            yield from _each(item, f"{name}.{key}" if name else key, given)


def wrong_choices(
    space: Mapping[str, Any], problems_of: Callable[[dict[str, Any]], list[Problem]]
) -> list[Problem]:
    """Try every choice by itself and return what is wrong with it, where the space says it.

    Args:
        space: a well-formed one.
        problems_of: what is wrong with the task under these settings; places are those of a task.
    """
    found: dict[Problem, None] = {}
    for given in [{}, *single_choices(space)]:
        for where, what in problems_of(chosen(space, Given(given))):
            found[(_place(space, where, given), what)] = None
    return list(found)


def _place(space: Any, where: Location, given: Mapping[str, Any]) -> Location:
    """Return where a space says what a task of these choices has at `where`."""
    at, node, name = _into((), space, "", given)
    for wanted in where:
        part = wanted
        if isinstance(node, list) and isinstance(wanted, int):
            part = _kept(node, name, given)[wanted]
        elif not isinstance(node, dict) or RANGE in node:
            break
        at = (*at, part)
        if isinstance(node, dict) and part not in node:
            break
        inner: Any = node[part]  # pyright: ignore[reportArgumentType, reportCallIssue]
        at, node, name = _into(at, inner, f"{name}.{part}" if name else str(part), given)
    return at


def _into(
    at: Location, node: Any, name: str, given: Mapping[str, Any]
) -> tuple[Location, Any, str]:
    """Go on to the item that is taken of a `select`, and of one in it."""
    while isinstance(node, dict) and SELECT in node:
        which, names = given.get(name, 0), labels_of(node[SELECT])
        at, node, name = (*at, SELECT, which), node[SELECT][which], f"{name}[{names[which]}]"
    return at, node, name


def _kept(node: list[Any], name: str, given: Mapping[str, Any]) -> list[int]:
    """Return which items of a list are in it under these choices."""
    values = [_value(item, f"{name}.{index}", Given(given)) for index, item in enumerate(node)]
    return [i for i, item in enumerate(node) if not _left_out(item, values[i])]
