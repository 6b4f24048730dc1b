"""Environment draft writer: spell a reinforcement draft as a task file."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kinemill.draft.column import PLAIN, YAML_WORDS, identifier
from kinemill.draft.constants import ROUND_STEPS
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.yaml import dump_line


@dataclass(frozen=True)
class EnvironmentDraft:
    """The content of a drafted reinforcement task.

    Attributes:
        name: name of the task.
        title: environment as the user named it.
        settings: the `environment` part.
        dt: time step, s.
        dt_source: where the time step is from.
        notes: conclusions from the environment alone.
        layout: observations and actions.
        algorithm: lines of `learn` that the choice of an algorithm sets.
        target: mean return at which the training ends, or None.
        steps: environment steps of the training.
        remarks: conclusions about the whole task.
    """

    name: str
    title: str
    settings: Json
    dt: float
    dt_source: str
    notes: tuple[str, ...] = ()
    layout: PolicyLayout | None = None
    algorithm: tuple[str, ...] = ()
    target: float | None = None
    steps: int = 100_000
    remarks: list[str] = field(default_factory=list[str])


def write_environment_task(draft: EnvironmentDraft) -> str:
    """Return the text of the task file of a draft."""
    eval_every = max(1024, draft.steps // 20 // 1024 * 1024)
    per_round = min(5, max(1, ROUND_STEPS // eval_every))
    lines = [
        f"# Drafted by kinemill new from {draft.title}: check every comment.",
        *(f"# {remark}." for remark in draft.remarks),
        f"task: {draft.name}",
        f"dt: {draft.dt:.12g}  # s: {draft.dt_source}",
        *_channels(draft.layout),
        f"environment: {dump_line(draft.settings)}",
        "learn:",
        "  type: reinforcement",
        *draft.algorithm,
        f"  steps: {draft.steps}",
        f"  eval_every: {eval_every}",
        *([f"  evals_per_round: {per_round}  # a kill loses one round"] if per_round < 5 else []),
        f"  save_every: {eval_every}",
        *_target(draft),
    ]
    return "\n".join(lines) + "\n"


def _target(draft: EnvironmentDraft) -> list[str]:
    if draft.target is None:
        return []
    return [
        f"  target: {draft.target:g}  # mean return that ends the training",
        "  patience: null  # until then, or to the end of `steps`",
    ]


def _channels(layout: PolicyLayout | None) -> Iterator[str]:
    """Yield a line for each observation and action."""
    if layout is None or layout.agents:  # names of agents' parts follow from `policies`
        return
    yield "channels:  # set names and units that fit your robot"
    for name in layout.observation:
        ends = layout.limits.get(name)
        note = f"  # {ends[0]:.4g} to {ends[1]:.4g}" if ends else ""
        yield f"  {_channel(name)}: {{role: observation, unit: {_unit(layout, name)}}}{note}"
    for name, choices in zip(layout.actions, layout.choices, strict=True):
        note = f"  # one of 0 to {choices - 1}" if choices else ""
        ends = layout.limits.get(name)
        limits = f", limits: [{ends[0]:g}, {ends[1]:g}]" if ends and not choices else ""
        yield f"  {_channel(name)}: {{role: action, unit: {_unit(layout, name)}{limits}}}{note}"


def _channel(name: str) -> str:
    """Return the name of a channel: the environment's own if it is one."""
    return name if PLAIN.match(name) and name not in YAML_WORDS else identifier(name)


def _unit(layout: PolicyLayout, name: str) -> str:
    unit = layout.units[name]
    return '"1"' if unit == "1" else unit
