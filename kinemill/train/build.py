"""Build the module of a dynamics model from its settings, for training and for loading."""

from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any

import torch

from kinemill.train.batches import member_seed
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member, Noise
from kinemill.train.layout import Layout
from kinemill.train.robots import make_robot_network
from kinemill.train.step import ESTIMATOR, SCALES, Step, make_step

_PREFIX = "member.step."  # of the names in the step of an ensemble


def assemble(
    learn: Any,
    layout: Layout,
    scale: Mapping[str, torch.Tensor],
    robots: int = 1,
    first: Callable[[Step, int], float] | None = None,
    starts: int = 1,
) -> Step | Ensemble:
    """Return a `Step`, or an `Ensemble` of steps; each member draws its weights from its own seed.

    Args:
        learn: settings of `objectives.dynamics`.
        layout: layout of the task.
        scale: the tensors named in SCALES of `train.step`, see `scaling.scale_of`.
        robots: number of robots that have embeddings; 1: no embeddings.
        first: initializes each step, with its member number, and returns its error.
        starts: random initializations per member; the one with the smallest error is used.
    """

    def initialize(member: int, start: int) -> tuple[float, Step]:
        torch.manual_seed(member_seed(learn.seed, member + start * learn.ensemble))
        step = _initial_step(learn, layout, scale, robots)
        return (first(step, member) if first is not None else 0.0), step

    steps: list[Step] = []
    for member in range(learn.ensemble):
        candidates = [initialize(member, start) for start in range(starts)]
        steps.append(
            min(candidates, key=lambda candidate: candidate[0] if isfinite(candidate[0]) else inf)[
                1
            ]
        )
    if learn.ensemble == 1 and learn.loss != "gaussian":
        return steps[0]

    sizes = layout.features, len(layout.outputs), len(layout.states)
    noisy = learn.loss == "gaussian"
    return Ensemble([Member(step, Noise(*sizes) if noisy else None) for step in steps])


def _initial_step(
    learn: Any, layout: Layout, scale: Mapping[str, torch.Tensor], robots: int
) -> Step:
    if robots == 1:
        return make_step(learn.model, layout, scale)

    network = make_robot_network(learn.model, layout, robots, learn.embedding_size)
    return Step(layout, network, scale)


def step_of(module: Step | Ensemble) -> Step:
    """Return the step of a module of `assemble`; in an ensemble its parameters are stacked."""
    return module if isinstance(module, Step) else module.member.step


def scale_in(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the scaling tensors among the weights of a module of `assemble`."""
    prefix = "" if SCALES[0] in weights else _PREFIX
    names = (*SCALES, ESTIMATOR)
    return {name: weights[f"{prefix}{name}"] for name in names if f"{prefix}{name}" in weights}
