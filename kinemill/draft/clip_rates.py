"""Computed channels of a motion draft: rates and commands that retargeted clips do not hold.

The rate of the trunk in the world's frame is twice the vector part of dq/dt q*, with its quaternion
q and the conjugate q* (Diebel 2006, "Representing Attitude"). The command of a gait is the velocity
of the trunk along and across its heading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.table import Samples, usual_step
from kinemill.ingest.channels import unbroken_signs
from kinemill.ingest.clock import Floats
from kinemill.ingest.computed import derivative
from kinemill.ingest.name_heuristics import guess
from kinemill.task.channels import Channel
from kinemill.task.computed import half_width
from kinemill.task.expressions import Expression

_NEXT = {"x": "yz", "y": "zx", "z": "xy"}
_HEADING = {  # the trunk's own x axis in the world
    "heading_x": "1 - 2 * (trunk_y ** 2 + trunk_z ** 2)",
    "heading_y": "2 * (trunk_x * trunk_y + trunk_w * trunk_z)",
}
_LENGTH = "sqrt(heading_x ** 2 + heading_y ** 2)"
_COMMANDS = {
    "command_x": f"(root_x_rate * heading_x + root_y_rate * heading_y) / {_LENGTH}",
    "command_y": f"(root_y_rate * heading_x - root_x_rate * heading_y) / {_LENGTH}",
}


def turning_rates(attitude: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """Return the rates of the trunk in the world's frame, rad/s, and the columns they come from.

    Args:
        attitude: `trunk_x` to `trunk_w`.
    """
    signs = {
        log: unbroken_signs(np.stack([column.samples[log][1] for column in attitude]))
        for log in attitude[0].samples
    }
    slopes = [replace(derived(column, "output", signs), unit="1/s") for column in attitude]
    columns = _by_channel([*attitude, *slopes])
    rates = [
        computed(f"turn_{axis}", "state", "rad/s", _turning(axis, *_NEXT[axis]), columns)
        for axis in "xyz"
    ]
    return rates, slopes


def _turning(first: str, second: str, third: str) -> str:
    """Return the formula of the rate around one axis of the world."""
    return (
        f"2 * (trunk_w * trunk_{first}_rate - trunk_{first} * trunk_w_rate"
        f" + trunk_{second} * trunk_{third}_rate - trunk_{third} * trunk_{second}_rate)"
    )


def walked_commands(
    root: Sequence[Column], attitude: Sequence[Column], turn_z: Column
) -> tuple[list[Column], list[Column]]:
    """Return the commands of a gait, m/s and rad/s, and the columns they are computed from.

    Args:
        root: horizontal position of the trunk, `root_x` and `root_y`, m.
        attitude: `trunk_x` to `trunk_w`.
        turn_z: rate of the trunk around the vertical axis, rad/s.
    """
    slopes = [derived(column, "output") for column in root]
    columns = _by_channel([*slopes, *attitude, turn_z])
    heading = [computed(name, "output", "1", text, columns) for name, text in _HEADING.items()]
    columns |= _by_channel(heading)
    commands = [
        computed(name, "observation", "m/s", text, columns) for name, text in _COMMANDS.items()
    ]
    commands.append(computed("command_yaw", "observation", "rad/s", turn_z.channel, columns))
    return commands, [*root, *slopes, *heading]


def derived(
    parent: Column,
    role: str,
    signs: Mapping[tuple[Path, str], Floats] | None = None,
    channel: str = "",
) -> Column:
    """Return the time derivative of a column, in its unit per s, as `ingest` computes it.

    Args:
        parent: the column.
        role: role of the derivative.
        signs: factor 1 or -1 of each row (n,) by log, as -q and q are the same rotation.
        channel: name of the derivative; empty: that of the parent with `_rate`.
    """
    derivative_channel = Channel(
        role="output", unit="1", derived="derivative", of="x", derivative_of="x"
    )
    samples = dict(parent.samples)
    for log, (seconds, values) in samples.items():
        step = usual_step(seconds)
        sign = 1.0 if signs is None else signs[log]
        slope = sign * derivative(sign * values, step, half_width(derivative_channel, step))
        samples[log] = seconds, slope
    name = channel or f"{parent.channel}_rate"
    formula = f"derived: derivative, of: {parent.channel}"
    return _column(name, role, f"{parent.unit}/s", samples, formula)


def computed(
    channel: str, role: str, unit: str, text: str, columns: Mapping[str, Column]
) -> Column:
    """Return the column of a formula of other columns, which share their logs and rows.

    Args:
        channel: name of the channel.
        role: role of the channel.
        unit: unit of the result.
        text: formula of names in `columns`.
        columns: columns by channel name.
    """
    expression = Expression(text)
    inputs = {name: columns[name].samples for name in expression.names}
    first = inputs[min(inputs)]
    samples = {
        log: (
            seconds,
            expression.value({name: samples[log][1] for name, samples in inputs.items()}),
        )
        for log, (seconds, _) in first.items()
    }
    return _column(channel, role, unit, samples, f'expression: "{text}"')


def _column(
    channel: str, role: str, unit: str, samples: dict[tuple[Path, str], Samples], formula: str
) -> Column:
    meaning = replace(guess(channel), role=role)
    return Column(meaning, [], samples, unit=unit, sure=True, formula=formula, channel=channel)


def _by_channel(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.channel: column for column in columns}
