"""Channels that are not in logs: computed from other channels after resampling.

`expression` computes a channel from others of the same row; `derived: derivative` is the time
derivative of one channel. Symbols: Δ time step in s.
"""

import math
from collections.abc import Mapping, Sequence

from kinemill.registry import nearest
from kinemill.task.channels import Channel
from kinemill.task.expressions import Expression
from kinemill.task.settings import MEDIA, Problems
from kinemill.task.units import is_derivative, rate_factor

DEGREE = 3  # of the local polynomials of a derivative
HIGHEST = 20.0
SHARE = 0.2  # default cutoff: Hz, and of the sampling rate
LONGEST = 32  # rows that a derivative is estimated from at run time, at most


def is_computed(channel: Channel) -> bool:
    """Return whether a channel is computed instead of read from logs."""
    return channel.derived is not None or channel.expression is not None


def inputs_of(channel: Channel) -> frozenset[str]:
    """Return the names of the channels that a channel is computed from.

    Raises:
        ValueError: The expression is not arithmetic.
    """
    if channel.expression is not None:
        return Expression(channel.expression).names
    return frozenset() if channel.of is None else frozenset([channel.of])


def computation_order(channels: Mapping[str, Channel]) -> list[str]:
    """Return the computed channels, each after those that it is computed from."""
    done = {name for name, channel in channels.items() if not is_computed(channel)}
    order: list[str] = []
    while ready := [
        name
        for name, channel in channels.items()
        if name not in done and inputs_of(channel) <= done
    ]:
        done |= set(ready)
        order += ready
    return order


def computed_problems(channels: Mapping[str, Channel]) -> Problems:
    """Return the problems (where, message) of computed channels: unknown names and cycles."""
    problems: Problems = []
    numbers = [name for name, channel in channels.items() if channel.role not in MEDIA]
    computed = {name: channel for name, channel in channels.items() if is_computed(channel)}
    for name, channel in computed.items():
        where = ("channels", name, "of" if channel.derived else "expression")
        unknown = sorted(inputs_of(channel) - set(numbers))
        problems += [
            (where, f"no number {number!r}; {nearest(number, numbers)}") for number in unknown
        ]
        if channel.derived and not unknown:
            problems += [(where, what) for what in _unfit_parent(channel, channels)]
    if problems:
        return problems
    ordered = set(computation_order(channels))
    return [
        (
            ("channels", name, "of" if channel.derived else "expression"),
            f"{name!r} is computed from itself, perhaps through others",
        )
        for name, channel in computed.items()
        if name not in ordered
    ]


def _unfit_parent(channel: Channel, channels: Mapping[str, Channel]) -> list[str]:
    """Return why a channel cannot be the derivative of its parent, or None."""
    parent = channels[channel.of or ""]
    if channel.role != "state":
        return []
    if parent.kind == "quaternion":
        return [f"{channel.of!r} is an element of a quaternion, whose derivative is no velocity"]
    if parent.role != "state" or parent.derived:
        return [
            f"{channel.of!r} is not a measured state, which the model needs to estimate this one "
            f"at run time; use a state with a log column"
        ]
    same = is_derivative(channel.unit, parent.unit)  # else `problems_between` reports it
    if same and rate_factor(channel.unit, parent.unit) != 1.0:
        return [f"the unit of a derived state is {parent.unit} per s, not {channel.unit}"]
    return []


def half_width(channel: Channel, dt: float) -> int:
    """Return the number of rows on each side from which a derivative is computed.

    A local polynomial of degree N over 2 M + 1 rows has its cutoff at
    (N + 1) / (3.2 M - 4.6) of the Nyquist frequency (Schafer 2011, "What is a Savitzky-Golay
    filter?", equation 8).

    Args:
        channel: channel with `cutoff` in Hz; default: a fifth of the sampling rate, at most 20 Hz.
        dt: Δ.
    """
    cutoff = channel.cutoff or min(SHARE / dt, HIGHEST)
    share = min(cutoff * 2.0 * dt, 1.0)
    return max(math.ceil(((DEGREE + 1) / share + 4.6) / 3.2), 2)


def estimator_rows(channels: Sequence[Channel], dt: float) -> int:
    """Return the number of rows that estimate derived states at run time; 1 without any."""
    widths = [2 * half_width(channel, dt) + 1 for channel in channels if channel.derived]
    return min(max(widths, default=1), LONGEST)
