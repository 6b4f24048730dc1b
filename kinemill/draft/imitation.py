"""Imitation drafts: a task that learns a policy from demonstrations, by behavior cloning.

Channels are those of a dynamics draft, and images, instructions and goals that the policy observes.
The network, its encoders and its head follow from the content of the demonstrations; they predict
several actions per step if the demonstrations follow plans (`plan_evidence.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinemill.draft.builder import build
from kinemill.draft.column import Column, fold_names
from kinemill.draft.constants import (
    DEMONSTRATION_LEAST_ROWS,
    DEMONSTRATION_SHARES_FROM,
    DEMONSTRATION_SHORT,
    SPLIT_EPISODES,
)
from kinemill.draft.media import Medium, find_media
from kinemill.draft.plan_evidence import Plans, find_plans
from kinemill.draft.robot_file import RobotFile
from kinemill.draft.table import Reason, Samples
from kinemill.draft.task_draft_writer import Draft, LearnPart, pattern_of, split_units
from kinemill.errors import BadInput
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import COMMAND
from kinemill.ingest.raw import vectors_of

VALIDATION = ("valid", "validation", "val")  # names of a split
_CHUNK = re.compile(r"(.+?)\[(\d+)\](.*)\Z")  # array, row of a chunk, and element of the action


def build_imitation(
    name: str,
    source: Path,
    rate: float | None = None,
    robot: RobotFile | None = None,
    *,
    names: Sequence[str] = (),
) -> Draft:
    """Draft an imitation task from demonstrations; arguments as in `builder.build`.

    Raises:
        BadInput: There is no log, no action, or nothing to observe.
        BadLog: The only log cannot be read.
    """
    draft = _with_actions(build(name, source, rate, robot, is_policy=True, names=names))
    actions = [column for column in draft.columns if column.role == "action"]
    if not actions:
        names = ", ".join(column.channel for column in draft.columns) or "none"
        words = ", ".join(sorted(COMMAND)[:6])
        unused = ", ".join(f"{name} ({why})" for name, why in draft.left_out.items()) or "none"
        raise BadInput(
            source,
            f"no column is a demonstrated action; columns are {names}; left out are {unused}",
            expected=f"commands under names with a word such as {words}",
            fix="rename the columns of the commands, or write the task by hand: docs/imitation.md",
        )
    found_media = find_media(draft.tables, {column.channel for column in draft.columns})
    if len(actions) == len(draft.columns) and not found_media.media:
        raise BadInput(
            source,
            "the demonstrations hold actions only",
            expected="numbers, images or texts that the policy observes",
        )
    sources = {medium.source for medium in found_media.media}
    left_out = {name: why for name, why in draft.left_out.items() if name not in sources}
    plans = find_plans(*_arrays(draft.columns))
    return replace(
        draft,
        media=found_media.media,
        left_out=left_out | found_media.left_out,
        unused={
            log: why
            for log, why in draft.unused.items()
            if not any(f"/{name}/" in f"/{log}" for name in sources)  # videos that a channel reads
        },
        text=found_media.instruction,
        remarks=[*draft.remarks, f"plans: {plans.why}"],
        part=LearnPart(
            learn=tuple(_learn(found_media.media, plans)),
            dataset=_dataset(draft),
            validate=tuple(_validate(draft)),
        ),
    )


def _with_actions(draft: Draft) -> Draft:
    """Return a draft whose actions are demonstrated in a row, and not known from its states.

    An array of chunks (rows, length, A) holds actions of the following rows as well. An action that
    repeats a state in all rows is no command: the robot was moved by hand, or the command was not
    logged. The policy learns the state of the next row instead.
    """
    actions = {column.names[0]: column for column in draft.columns if column.role == "action"}
    later = {
        name: Reason("an action of a later row, which `learn.chunk` can predict", "later row")
        for name, column in actions.items()
        if (match := _CHUNK.match(name)) and (row := int(match[2]))
        if (first := actions.get(f"{match[1]}[0]{match[3]}")) and _is_later(column, first, row)
    }
    columns = [
        _next_state(column, draft.columns) if column.names[0] in actions else column
        for column in draft.columns
        if column.names[0] not in later
    ]
    copies = [column.channel for column in columns if column.lead and column.role == "action"]
    names = ", ".join(fold_names(copies))
    remark = f"no command, as they repeat a state in all rows: {names}; learned is the next state"
    arrays = [vector for vector, elements in vectors_of(actions).items() if len(elements) > 1]
    question = f"actions of {len(arrays)} arrays, {', '.join(arrays)}: keep what the robot takes"
    remarks = [
        *draft.remarks,
        *([remark] if copies else []),
        *([question] if len(arrays) > 1 and not later else []),
    ]
    return replace(draft, columns=columns, left_out=draft.left_out | later, remarks=remarks)


def _is_later(column: Column, first: Column, rows: int) -> bool:
    """Return whether a column moves, and is another one of that many rows later in all logs."""
    return _moves(column) and all(
        np.array_equal(values[:-rows], first.samples[log][1][rows:], equal_nan=True)
        for log, (_, values) in column.samples.items()
    )


def _moves(column: Column) -> bool:
    """Return whether a column changes within a demonstration, unlike that of an idle arm."""
    return any(np.ptp(values) > 0.0 for _, values in column.samples.values())


def _next_state(action: Column, columns: list[Column]) -> Column:
    """Return an action one row ahead if it repeats a state in all rows."""
    states = (column for column in columns if column.role != "action")
    same = next((state.channel for state in states if _is_same(action, state)), None)
    if same is None or not _moves(action):
        return action
    note = f"the same numbers as {same}: no command, so its next row"
    return replace(action, lead=1, notes=[*action.notes, note])


def _is_same(action: Column, state: Column) -> bool:
    """Return whether two columns have the same numbers in the same logs."""
    return action.samples.keys() == state.samples.keys() and all(
        np.array_equal(values, state.samples[log][1], equal_nan=True)
        for log, (_, values) in action.samples.items()
    )


def _arrays(columns: list[Column]) -> tuple[list[Floats], list[Floats]]:
    """Return the observed numbers (n, D) and the actions (n, A) of each demonstration."""
    logs = [log for log in columns[0].samples if all(log in column.samples for column in columns)]
    is_action = np.array([column.role == "action" for column in columns])
    rows = [_rows([column.samples[log] for column in columns]) for log in logs]
    return [row[:, ~is_action] for row in rows], [row[:, is_action] for row in rows]


def _rows(samples: list[Samples]) -> Floats:
    """Return the columns of a demonstration at the times of its fastest one, (n, columns)."""
    seconds = max((stamps for stamps, _ in samples), key=len)
    columns = [
        values if len(values) == len(seconds) else np.interp(seconds, stamps, values)
        for stamps, values in samples
    ]
    return np.stack(columns, axis=1)


def _learn(media: list[Medium], plans: Plans) -> Iterator[str]:
    """Yield the lines of `learn`."""
    images = [medium for medium in media if medium.role == "image"]
    texts = [medium for medium in media if medium.role == "text"]
    yield "learn:"
    yield "  type: imitation  # behavior cloning; the policy observes all channels but the actions"
    network = "{type: mlp, hidden_sizes: [128, 128], activation: silu}"
    if media or plans.is_bimodal:
        yield f"  model: {network}"
    else:
        yield f"  model: {{type: linear, residual: {network}}}  # least squares and the rest"
    if images:
        names = ", ".join(medium.channel for medium in images)
        yield f"  image: {{type: conv, channels: [16, 32, 32]}}  # encodes {names}"
    if texts:
        yield "  text: {type: words, size: 16}  # encodes instruction"
    if plans.is_bimodal:
        yield "  head: {type: gaussian_mixture}  # similar observations have two groups of actions"
    if plans.length > 1:
        steps = max(1, plans.length // 2)
        yield f"  chunk: {{length: {plans.length}, n_action_steps: {steps}}}  # {plans.why}"
    else:
        yield f"  # one action at a time: {plans.why}"
    yield "  optimizer: {type: adamw, lr: 1e-3}"
    yield "  schedule: {type: one_cycle}"
    yield f"  batch_size: {64 if images else 128}"
    yield "  steps: 4000"


def _dataset(draft: Draft) -> str | None:
    """Return the line of `dataset`; None for fewer than three demonstrations."""
    by, units = split_units(draft)
    # Demonstrations of one task are near-duplicates of each other.
    repeats = "near_duplicates: apart"
    splits = {name: parts for table in draft.tables for name, parts in table.splits.items()}
    validation = next((splits[name] for name in VALIDATION if name in splits), [])
    if tests := splits.get("test") or validation:
        held_out = [pattern_of(f"/{part}") for part in tests]
        rest = [unit for unit in units if not any(unit.endswith(name[2:]) for name in held_out)]
        listed = [pattern_of(f"/{part}") for part in validation] if "test" in splits else rest[-1:]
        patterns = f"validation: [{', '.join(listed)}], test: [{', '.join(held_out)}]"
        return f"dataset: {{group_by: part, {patterns}, {repeats}}}  # as the log states"
    if len(units) >= DEMONSTRATION_SHARES_FROM:
        return f"dataset: {{{by}validation: 0.1, test: 0.1, {repeats}}}"
    if len(units) < 3:
        return None
    tests = units[-SPLIT_EPISODES:] if len(units) >= 2 * SPLIT_EPISODES else units[-1:]
    last = units[-len(tests) - 1]
    patterns = f"validation: [{last}], test: [{', '.join(tests)}]"
    return f"dataset: {{{by}{patterns}, {repeats}}}  # name your own"


def _validate(draft: Draft) -> Iterator[str]:
    spans = [
        float(np.ptp(seconds)) for table in draft.tables for seconds, _ in table.values.values()
    ]
    if min(spans) / draft.dt < DEMONSTRATION_SHORT:
        yield f"  min_steps: {DEMONSTRATION_LEAST_ROWS}  # demonstrations are short"
    if any(column.derivative_of for column in draft.columns):
        yield "  velocity: {on_fault: warn}  # a policy observes velocities, and integrates none"
