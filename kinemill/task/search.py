"""The `tune` part of a task file: the search space and its budget.

A space has the structure of the task, with choices as values: `{select: [a, b]}` or
`{range: [low, high, step]}`; a selected item can hold further choices, so each architecture has its
own keys. A list item with the choice `null` is omitted.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.bounds import Count, CountOrZero, Seed
from kinemill.task.plugins import Settings
from kinemill.task.yaml import Location

Number = int | float
Problem = tuple[Location, str]
SELECT = "select"
RANGE = "range"
LOG = "log"
# Keys of `learn` that do not affect a model, or that define the learning problem.
_FIXED = {"type", "start_from", "device", "threads", "log_every", "save_every"}
_SEARCHED = ("learn", "augment")


class Tune(Settings):
    """Settings of `kinemill model tune`."""

    trials: Count = 20
    """total number of trials, including earlier calls"""
    space: Json = {}
    """search space: a part of the task with `{select: [...]}` and `{range: [low, high, step]}` as
    values; default: sizes, history, optimizer, schedule and augmentation"""
    pruning: Literal["median", "hyperband", "none"] = "median"
    """pruner: stop trials whose validation error is high compared with the others"""
    startup: CountOrZero = 6
    """random trials before the sampler uses earlier results"""
    seed: Seed = 0
    """seed of the sampler"""

    def problems(self, channels: Mapping[str, object]) -> list[Problem]:
        """Return problems: malformed choices, and keys that a search cannot change."""
        del channels
        problems: list[Problem] = []
        for key in self.space:
            if key not in _SEARCHED:
                what = "cannot be searched: all trials must use the same data"
                problems.append((("space", key), f"{what}; {nearest(key, list(_SEARCHED))}"))
        learn = self.space.get("learn", {})
        choices: dict[Location, object] = {("space", "learn"): learn}
        if isinstance(learn, dict) and isinstance(learn.get(SELECT), list):
            items = enumerate(learn[SELECT])
            choices = {("space", "learn", SELECT, index): item for index, item in items}
        for where, item in choices.items():
            if not isinstance(item, dict) or is_choice(item):
                problems.append((where, "is not a mapping of keys of `learn`"))
            else:
                what = "is fixed in a search: all trials must use the same data"
                problems += [((*where, key), what) for key in item if key in _FIXED]
        return [*problems, *_malformed(self.space, ("space",))]


def is_choice(node: object) -> bool:
    """Return whether a part of `tune.space` is a choice, which is one value."""
    return isinstance(node, Mapping) and (SELECT in node or RANGE in node)


def _malformed(node: Any, at: Location) -> Iterator[Problem]:
    if is_choice(node):
        wrong = _wrong_select(node) if SELECT in node else _wrong_range(node)
        if wrong:
            yield at, wrong
            return
    for key, inner in _below(node):
        yield from _malformed(inner, (*at, *key))


def _below(node: object) -> Iterator[tuple[Location, object]]:
    """Yield the children of a node and their keys."""
    if isinstance(node, dict):
        if SELECT in node:
            yield from (((SELECT, index), item) for index, item in enumerate(node[SELECT]))
        elif RANGE not in node:
            yield from (((key,), item) for key, item in node.items())
    elif isinstance(node, list):
        yield from (((index,), item) for index, item in enumerate(node))


def _wrong_select(node: Json) -> str | None:
    if set(node) != {SELECT}:
        return (
            f"`select` must be the only key; found also {', '.join(k for k in node if k != SELECT)}"
        )
    if not isinstance(node[SELECT], list) or not node[SELECT]:
        return f"`select` needs a list of at least one item; found {node[SELECT]!r}"
    items = [json.dumps(item) for item in node[SELECT]]
    twice = [item for item in items if items.count(item) > 1]
    return f"`select` has {twice[0]} twice" if twice else None


def _wrong_range(node: Mapping[str, object]) -> str | None:
    if extra := [key for key in node if key not in {RANGE, LOG}]:
        return f"unknown key {extra[0]!r}; {nearest(extra[0], [RANGE, LOG])}"
    bounds = node[RANGE]
    log = node.get(LOG, False)
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
    """Protocol of a sampler or an exhaustive check that makes the choices of a space."""

    def select(self, name: str, labels: list[str]) -> int:
        """Return the index of the chosen item."""
        ...

    def range(self, name: str, low: Number, high: Number, step: Number | None, log: bool) -> Number:
        """Return a number in [`low`, `high`]; an integer if all arguments are integers."""
        ...


def label(item: Any) -> str:
    """Return the label of an item of a `select`."""
    if isinstance(item, list):
        return " + ".join(map(label, item)) if any(map(_has_type, item)) else json.dumps(item)
    if isinstance(item, dict) and _has_type(item.get("model")):
        return item["model"]["type"]  # an alternative of `learn`
    return item["type"] if _has_type(item) else item if isinstance(item, str) else json.dumps(item)


def _has_type(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str)


def labels_of(items: Sequence[object]) -> list[str]:
    """Return a label for each item of a `select`; duplicates get a number."""
    names: list[str] = []
    for name in map(label, items):
        names.append(name if name not in names else f"{name} {1 + len(names)}")
    return names


def select_values(space: Mapping[str, object], chooser: Chooser) -> Json:
    """Return the settings that a chooser selects from a space, values by dotted key."""
    settings: dict[str, object] = {}

    def walk(node: object, name: str) -> None:
        if isinstance(node, dict) and not is_choice(node) and node:
            for key in sorted(node, key=lambda item: item != "type"):  # it defines the other keys
                walk(node[key], f"{name}.{key}" if name else key)
        else:
            settings[name] = _value(node, name, chooser)

    walk(dict(space), "")
    settings.pop("", None)
    return settings


def _value(node: object, name: str, chooser: Chooser) -> object:
    if isinstance(node, list):
        made = [_value(item, f"{name}.{index}", chooser) for index, item in enumerate(node)]
        return [value for item, value in zip(node, made, strict=True) if not _left_out(item, value)]
    if not isinstance(node, dict):
        return node
    if SELECT in node:
        names = labels_of(node[SELECT])
        index = chooser.select(name, names)
        return _value(node[SELECT][index], f"{name}[{names[index]}]", chooser)
    if RANGE in node:
        low, high, *step = node[RANGE]
        return chooser.range(name, low, high, step[0] if step else None, node.get(LOG, False))
    return {key: _value(item, f"{name}.{key}", chooser) for key, item in node.items()}


def _left_out(item: object, value: object) -> bool:
    return is_choice(item) and value is None


class FixedChooser:
    """A chooser with given choices; others are the first or lowest value."""

    def __init__(self, choices: Mapping[str, Number] | None = None) -> None:
        self.choices = choices or {}

    def select(self, name: str, labels: list[str]) -> int:
        """Return the given item, or the first."""
        del labels
        return int(self.choices.get(name, 0))

    def range(self, name: str, low: Number, high: Number, step: Number | None, log: bool) -> Number:
        """Return the given number, or the lowest."""
        del high, step, log
        return self.choices.get(name, low)


def single_choices(space: Mapping[str, object]) -> Iterator[dict[str, Number]]:
    """Yield choices for `FixedChooser` that select each item and each bound once."""
    return _walk_choices(dict(space), "", {})


def _walk_choices(
    node: object, name: str, choices: Mapping[str, Number]
) -> Iterator[dict[str, Number]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _walk_choices(item, f"{name}.{index}", choices)
    elif isinstance(node, dict) and SELECT in node:
        for index, (item, item_label) in enumerate(
            zip(node[SELECT], labels_of(node[SELECT]), strict=True)
        ):
            extended = {**choices, name: index}
            yield extended
            yield from _walk_choices(item, f"{name}[{item_label}]", extended)
    elif isinstance(node, dict) and RANGE in node:
        yield from ({**choices, name: bound} for bound in node[RANGE][:2])
    elif isinstance(node, dict):
        for key, item in node.items():
            yield from _walk_choices(item, f"{name}.{key}" if name else key, choices)


def wrong_choices(
    space: Mapping[str, object], problems_of: Callable[[Mapping[str, object]], list[Problem]]
) -> list[Problem]:
    """Check every choice separately and return its problems with locations in the space."""
    problems: dict[Problem, None] = {}
    if not space:  # the usual case: locations need no second search
        return []
    for choices in [{}, *single_choices(space)]:
        for where, what in problems_of(select_values(space, FixedChooser(choices))):
            problems[(_source_location(space, where, choices), what)] = None
    return list(problems)


def _source_location(space: object, where: Location, choices: Mapping[str, Number]) -> Location:
    """Return the location in the space of `where` in a task with these choices."""
    at, node, name = _into((), space, "", choices)
    for key in where:
        part = key
        if isinstance(node, list) and isinstance(key, int):
            part = _active_items(node, name, choices)[key]
        elif not isinstance(node, dict) or RANGE in node:
            break
        at = (*at, part)
        if isinstance(node, dict) and part not in node:
            break
        inner: Any = node[part]  # pyright: ignore[reportArgumentType, reportCallIssue]
        at, node, name = _into(at, inner, f"{name}.{part}" if name else str(part), choices)
    return at


def _into(
    at: Location, node: object, name: str, choices: Mapping[str, Number]
) -> tuple[Location, object, str]:
    """Return the selected item of a `select`, through nested ones."""
    while isinstance(node, dict) and SELECT in node:
        index = int(choices.get(name, 0))
        names = labels_of(node[SELECT])
        at = (*at, SELECT, index)
        node = node[SELECT][index]
        name = f"{name}[{names[index]}]"
    return at, node, name


def _active_items(node: Sequence[object], name: str, choices: Mapping[str, Number]) -> list[int]:
    """Return the indices of the list items that remain with these choices."""
    values = [
        _value(item, f"{name}.{index}", FixedChooser(choices)) for index, item in enumerate(node)
    ]
    return [i for i, item in enumerate(node) if not _left_out(item, values[i])]
