"""Default search space: values around the task's settings.

The space is derived from the settings: a number is halved and doubled, a literal is replaced by the
other literals of its field. A value is included only if it is valid with all others, so every
choice is a valid task, also with third-party plug-ins.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard, get_args, get_origin

from pydantic import ValidationError

from kinemill.dataset import PackedDataset
from kinemill.selection.facts import channel_facts, facts_of
from kinemill.store import Json
from kinemill.task import MODELS, Plugin, Task
from kinemill.task.overrides import family_at
from kinemill.task.portfolio import RIDGES, Candidate, TaskFacts

OTHERS = ("mlp", "gru", "linear")  # candidates in addition to the task's model; one per kind
SIMULATORS = (*OTHERS, "arx", "polynomial")  # the same for a dynamics task
USUAL_HISTORY = 10  # rows; a portfolio uses the best closed-form history instead
_SMALL = 4  # smaller counts change by one, larger ones are halved and doubled
_NOISE = (0.003, 0.02)  # shares of a channel's std: typical sensor noise, and strong noise
_NOISY = ("dropout",)  # exploration is random, so networks are deterministic
_COMPARABLE = ("action", "success")  # metrics of all heads; their losses are not comparable
_RATES = 5.0  # factor on the learning rate, up and down


@dataclass(frozen=True)
class DataFacts:
    """Facts about the data that bound a default space.

    Attributes:
        std: standard deviation of each state in the training split, in its unit.
        history: longest history that the validation episodes allow, steps.
        portfolio: facts for model families about a dynamics task without `learn.model`.
    """

    std: Mapping[str, float]
    history: float = math.inf
    portfolio: TaskFacts | None = None

    @classmethod
    def of(cls, task: Task, packed: PackedDataset) -> "DataFacts":
        """Return the facts about a dataset of a task."""
        horizon = task.verify.horizon
        std = dict(zip(packed.columns, packed.std.tolist(), strict=True))
        longest = max((episode.rows for episode in packed.of("validation")), default=0)
        states = {name: std[name] for name in packed.states if std[name] > 0.0}
        portfolio = facts_of(task, packed) if _is_portfolio(task) else None
        return cls(states, max(1, longest - horizon), portfolio)


def default_space(task: Task, facts: DataFacts | None = None) -> Json:
    """Return the space around a task's settings, in the format of `tune.space`."""
    facts = facts or DataFacts({})
    space: Json = {"learn": _around(task, facts)}
    if _is_portfolio(task):
        space["learn"] = portfolio_space(task, facts.portfolio or channel_facts(task))
    if augment := _augment(task, facts):
        space["augment"] = {"select": augment}
    return space


def _is_portfolio(task: Task) -> bool:
    return task.learn.type == "dynamics" and getattr(task.learn, "model", None) is None


def portfolio_space(task: Task, facts: TaskFacts) -> Json:
    """Return the candidate settings of the portfolio of a task without `learn.model`.

    They are the histories and ridges of simple models, and model sizes, histories and learning
    rates around the other candidates.
    """
    simple = [
        {
            **structure.candidate(1).settings,
            "history": {"select": list(structure.histories(facts))},
            "model": {**structure.model, "ridge": {"select": list(RIDGES)}},
        }
        for model in MODELS
        for structure in MODELS[model].structures(facts)
    ]
    usual = replace(facts, history=min(USUAL_HISTORY, facts.longest))
    candidates = [
        _near(candidate, task, facts)
        for model in MODELS
        for candidate in MODELS[model].candidates(usual)
    ]
    return {"select": [*simple, *candidates]}


def _near(candidate: Candidate, task: Task, facts: TaskFacts) -> Json:
    """Return the space around the settings of a candidate."""
    settings: Json = {**candidate.settings}
    settings["model"] = plugin_space(MODELS[settings["model"]["type"]](**settings["model"]), task)
    settings["history"] = _histories(settings["history"], facts.longest)
    settings["optimizer"] = {"lr": _rates(settings["optimizer"]["lr"])}
    return settings


def _histories(current: int, longest: float) -> Json:
    """Return the choice of the current history, the usual one, and of those around it."""
    fits = [rows for rows in _numbers(current) if rows != current and rows <= longest]
    return {"select": [current, *fits]}


def _rates(rate: float) -> Json:
    """Return the range of learning rates around the usual one."""
    return {"range": [_rounded(rate / _RATES), _rounded(rate * _RATES)], "log": True}


def _around(task: Task, facts: DataFacts) -> Json:
    """Return the space around a task's `learn`."""
    learn: Json = {}
    models = SIMULATORS if task.learn.type == "dynamics" else OTHERS
    if not task.learn.from_logs:
        models = ()  # reinforcement learning does not support all
    is_comparable = getattr(task.learn, "checkpoint", None) in _COMPARABLE
    for key, names in (
        *(("model", models), ("optimizer", None), ("schedule", None)),
        *((("head", None),) if is_comparable else ()),
    ):
        current: Any = getattr(task.learn, key, None)
        if isinstance(current, Plugin):
            learn[key] = {"select": list(_alternatives(key, current, names, task))}
    if isinstance(algorithm := getattr(task.learn, "algorithm", None), Plugin):
        learn["algorithm"] = _exemplary(algorithm)
        if getattr(algorithm, "uses_batches", False):
            size = task.learn.batch_size
            learn["batch_size"] = {"select": [size, max(1, size // 2), 2 * size, 4 * size]}
    if "history" in type(task.learn).model_fields:
        current = task.learn.history  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
        learn["history"] = _histories(current, facts.history)
    return learn


def _alternatives(
    key: str, plugin: Plugin, names: tuple[str, ...] | None, task: Task
) -> Iterator[Json]:
    """Yield the space of the task's plug-in, then of plug-ins that work without settings."""
    family: Any = MODELS if key == "model" else family_at(("learn", key))
    around = plugin_space if key == "model" else _rate_alone
    yield around(plugin, task)
    for name in family if names is None else names:
        if name != plugin.type and (plain := _plain(family[name], task)):
            yield around(plain, task)


def _plain(cls: type[Plugin], task: Task) -> Plugin | None:
    """Return a plug-in with default settings, or None if it has required settings."""
    made = _made(cls, {}, task)
    residual = {"residual": {"type": "mlp"}}  # a linear model alone fits few systems
    return _made(cls, residual, task) or made if "residual" in cls.model_fields else made


def _made(cls: type[Plugin], values: Json, task: Task) -> Plugin | None:
    try:
        plugin = cls.model_validate(values)
    except ValidationError:
        return None  # invalid combinations are not part of the space
    return None if plugin.problems(task.channels) else plugin


def _exemplary(plugin: Plugin) -> Json:
    """Return the settings of a plug-in, and the examples of its fields as alternatives."""
    dumped: Json = plugin.model_dump(mode="json")
    for name, field in type(plugin).model_fields.items():
        if field.examples:
            examples = [example for example in field.examples if example != dumped[name]]
            dumped[name] = {"select": [dumped[name], *examples]}
    return dumped


def _rate_alone(plugin: Plugin, task: Task) -> Json:
    """Return the settings of an optimizer or a schedule, with a range of learning rates."""
    del task
    dumped: Json = plugin.model_dump(mode="json")
    return dumped | ({"lr": _rates(dumped["lr"])} if "lr" in dumped else {})


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def plugin_space(plugin: Plugin, task: Task) -> Json:
    """Return the space around the settings of one plug-in: alternatives for each field."""
    dumped: Json = plugin.model_dump(mode="json")
    offers: dict[str, list[Any]] = {name: [value] for name, value in dumped.items()}
    fixed = () if task.learn.from_logs else _NOISY
    for name, value in dumped.items():
        for offer in _offers(plugin, name, value) if name not in fixed else ():
            if all(_made(type(plugin), values, task) for values in _pairs(offers, name, offer)):
                offers[name].append(offer)
    return {
        name: {"select": offer} if len(offer) > 1 else offer[0] for name, offer in offers.items()
    }


def _pairs(offers: Mapping[str, Sequence[object]], name: str, offer: object) -> Iterator[Json]:
    """Yield settings with `offer`, alone and with each accepted change of another field."""
    usual = {key: values[0] for key, values in offers.items()} | {name: offer}
    yield usual
    for key, values in offers.items():
        if key != name:
            yield from ({**usual, key: value} for value in values[1:])


def _offers(plugin: Plugin, name: str, value: object) -> list[object]:
    """Return candidate values of a field except `value`; they can be invalid."""
    field = type(plugin).model_fields[name]
    if get_origin(field.annotation) is Literal:
        arguments = get_args(field.annotation) if name != "type" else ()
        return [argument for argument in arguments if argument != value]
    if isinstance(value, int) and not isinstance(value, bool):
        return [number for number in _numbers(value) if number != value]
    if isinstance(value, float):
        return [_rounded(value / 10.0), _rounded(value * 10.0)] if value else [0.05, 0.2]
    return [layer for layer in _layers(value) if layer != value] if _is_counts(value) else []


def _numbers(value: int) -> list[int]:
    if value < 1:
        return [value]
    candidates = [value - 1, value, value + 1] if value < _SMALL else [value // 2, value, 2 * value]
    return [candidate for candidate in candidates if candidate >= 1]


def _is_counts(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int for item in value) and value != []


def _layers(sizes: list[int]) -> list[list[int]]:
    """Return layers with half and twice the width, and with one layer less and more."""
    fewer = [sizes[:-1]] if len(sizes) > 1 else []
    wide = [[max(1, size // 2) for size in sizes], [2 * size for size in sizes]]
    return [*wide, *fewer, [*sizes, sizes[-1]]]


def _augment(task: Task, facts: DataFacts) -> list[object]:
    """Return the task's augmentations, none, and state noise of two sizes."""
    augmentations = task.part("augment")["augment"]
    noises: list[Any] = []
    if facts.std and task.learn.type == "dynamics":
        for share in _NOISE:
            std = {name: _rounded(share * deviation) for name, deviation in facts.std.items()}
            noises.append([{"type": "gaussian_noise", "std": std}])
    if not augmentations and not noises:
        return []
    return [augmentations, *([[]] if augmentations else []), *noises]
