"""Columns with letters for names, which other columns of the log explain.

With p and r, q is a turning rate, and u, v and w are velocities. Alone, q is the angle of a joint
and u an input. Of an inertial sensor, ax, ay and az are accelerations, and gx, gy and gz next to
them angular velocities. Next to a measured qm that follows it, qg is a reference, and tq next to q.
A column e that is the difference of two others is their error, and one of them with the letter r is
a reference. Next to n_set, n_act is measured, and input and output are those of a controller; so
are PV and CO or MV next to SP or SV. Uyaw is the command of a turn, and Ux next to it that of a
motion along x. With de and da, dr and dt are rudder and throttle of an aircraft.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kinemill.draft.column_relations import find_differences
from kinemill.draft.constants import LETTER_FOLLOWS
from kinemill.draft.table import Table
from kinemill.ingest.name_heuristics import (
    EXPLICIT,
    REFERENCE,
    SETPOINT,
    TURNING,
    guess,
    split_words,
    unit_text,
    without_brackets,
)
from kinemill.ingest.terms import TAGS

# Rates and velocities in the frame of a vehicle, by their usual letters in aerospace and at sea.
_BODY_RATES = {"p": "roll_rate", "q": "pitch_rate", "r": "yaw_rate"}
_BODY_VELOCITIES = {"u": "velocity_x", "v": "velocity_y", "w": "velocity_z"}
_SENSED = {"a": "acceleration", "g": "gyro", "w": "omega"}  # along or around three axes
_INDEXED = re.compile(r"(.*?)(?:\[(\d+)\]|_?(\d+))?\Z")  # the vector of an element, and its index
_SURFACE = re.compile(r"d(?:elta_?)?([eart])")
_SURFACES = {"e": "elevator", "a": "aileron", "r": "rudder", "t": "throttle"}
_CONTROL = re.compile(r"U_?([xyz]|roll|pitch|yaw|phi|theta|psi)", re.IGNORECASE)
_REFERENCE_LETTERS = "gdrsc"  # goal, desired, reference, setpoint, commanded
# Last words of what a loop measures and commands, next to a name that ends with a set point.
_LOOP = {"act": "measured", "input": "measured", "output": "command"}
# Names of what a loop controls, next to its set point SP or SV and its process value PV.
_TAGS = TAGS | dict.fromkeys(("co", "out", "output"), "command")


def with_letters(table: Table) -> Table:
    """Return a table with labels for columns that are named by a letter, if others explain them."""
    labels = dict[str, str]()
    for name in table.values:
        front = name[:-1]
        letter = name[-1:]
        if letter == "p" and all(f"{front}{letters}" in table.values for letters in _BODY_RATES):
            labels |= {f"{front}{letters}": label for letters, label in _BODY_RATES.items()}
            velocities = {f"{front}{letters}": label for letters, label in _BODY_VELOCITIES.items()}
            labels |= velocities if set(velocities) <= set(table.values) else {}
    labels |= _surfaces(table) | _sensed(table) | _loops(table)
    labels |= _followed(table)
    axes = {name: match[1].lower() for name in table.values if (match := _CONTROL.fullmatch(name))}
    if set(axes.values()) & TURNING:
        labels |= {name: f"control_{axis}" for name, axis in axes.items()}
    errors = {name for name in table.values if _first_word(name) == "e"}
    for error, pair in find_differences(table, errors, [*table.values]).items():
        labels |= {error: f"error_{error}"}
        labels |= {name: f"reference_{name}" for name in pair if _first_word(name) == "r"}
    return replace(table, labels={**labels, **table.labels})


def _followed(table: Table) -> dict[str, str]:
    """Return labels of measured vectors and their references; dq_d is one if q_d is."""
    labels = dict[str, str]()
    vectors = _vectors(table)
    for base, names in vectors.items():
        stem = base.removesuffix("m").rstrip("_")
        for reference in _references_of(base, stem, vectors, table):
            is_measured = stem != base or guess(stem).what == "action"
            labels |= _numbered(f"{stem}_measured", names if is_measured else [])
            labels |= _numbered(f"{stem}_reference", vectors[reference])
            for order in ("d", "dd"):
                rate = re.sub(r"(\w+)\Z", rf"{order}\1", reference)
                labels |= _numbered(f"{rate}_reference", vectors.get(rate, []))
    return labels


def _numbered(label: str, names: list[str]) -> dict[str, str]:
    """Return the label of each element of a vector, with its index."""
    indices = [(match[2] or match[3]) for name in names if (match := _INDEXED.match(name))]
    return {n: f"{label}_{at}" if at else label for n, at in zip(names, indices, strict=True)}


def _sensed(table: Table) -> dict[str, str]:
    """Return labels of inertial sensors; g alone may be gravity, and is not a gyro."""
    labels = dict[str, str]()
    for name in table.values:
        front = name[:-2]
        letter = name[-2:-1]
        needed = {letter, "a"} if letter == "g" else {letter}
        required = {f"{front}{letters}{axis}" for letters in needed for axis in "xyz"}
        if letter in _SENSED and name[-1:] == "x" and required <= set(table.values):
            labels |= {
                f"{front}{letter}{axis}": f"{front}{_SENSED[letter]}_{axis}" for axis in "xyz"
            }
    return labels


def _loops(table: Table) -> dict[str, str]:
    """Return labels of what loops measure and command, next to their set points."""
    words = {name: split_words(without_brackets(name)) for name in table.values}
    commanded = REFERENCE | SETPOINT | EXPLICIT
    loops = {tuple(word[:-1]) for word in words.values() if {*word[-1:]} & commanded}
    names = {tuple(word) for word in words.values()}
    controllers = {loop for loop in loops if {(*loop, "input"), (*loop, "output")} <= names}
    if ("pv",) in names and names & {("sp",), ("sv",)}:
        return {
            name: f"{_TAGS[word[0]]} [{unit_text(name) or ''}]".removesuffix(" []")
            for name, word in words.items()
            if len(word) == 1 and word[0] in _TAGS
        }
    return {
        name: " ".join([*word[:-1], _LOOP[word[-1]], f"[{unit}]" if unit else ""]).strip()
        for name, word in words.items()
        if word and word[-1] in _LOOP
        if tuple(word[:-1]) in (loops if word[-1] == "act" and word[1:] else controllers)
        for unit in [unit_text(name)]
    }


def _surfaces(table: Table) -> dict[str, str]:
    """Return labels of the control surfaces of an aircraft, at least elevator and aileron.

    With them, `dt` is the throttle unless it is as long as a time step.
    """
    letters = {name: match[1] for name in table.values if (match := _SURFACE.fullmatch(name))}
    if not {"e", "a"} <= set(letters.values()):
        return {}
    if "dt" in letters and 0.5 < float(np.nanmedian(table.values["dt"][1])) / table.step < 2.0:
        del letters["dt"]
    return {name: _SURFACES[surface] for name, surface in letters.items()}


def _first_word(name: str) -> str:
    """Return the first word of a name without its namespace, such as e of /boat/e_speed.data."""
    return next(iter(split_words(name.rpartition("/")[2])), "")


def _vectors(table: Table) -> dict[str, list[str]]:
    """Return the columns of each vector, such as `q[0]` or `q_1`, by its name."""
    vectors = dict[str, list[str]]()
    for name in table.values:
        if match := _INDEXED.match(name):
            vectors.setdefault(match[1], []).append(name)
    return vectors


def _references_of(
    base: str, stem: str, vectors: Mapping[str, list[str]], table: Table
) -> list[str]:
    """Return the vectors that a measured qm or q follows: qg for the goal, q_d, or tq."""
    if guess(stem).what not in {"position", "velocity", "action"}:
        return []
    front = base[:-1] if stem != base else f"{base}_"
    candidates = [*(f"{front}{letter}" for letter in _REFERENCE_LETTERS), f"t{stem}"]
    return [
        candidate
        for candidate in candidates
        if candidate in vectors and _follow(table, vectors[base], vectors[candidate])
    ]


def _follow(table: Table, names: list[str], references: list[str]) -> bool:
    """Return whether columns are close to others, relative to the motion."""
    pairs = [(table.values[a], table.values[b]) for a, b in zip(names, references, strict=False)]
    if len(names) != len(references) or any(len(a[1]) != len(b[1]) for a, b in pairs):
        return False
    apart = sum(float(np.nanvar(a[1] - b[1])) for a, b in pairs)
    return apart < LETTER_FOLLOWS**2 * sum(float(np.nanvar(b[1])) for _, b in pairs)
