"""Column selection of a draft: the best reading of each quantity, in the logs that share it."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.column_relations import rotation_elements
from kinemill.draft.constants import (
    COMPARED_LOGS,
    INPUT_COMMANDS,
    INPUT_INDEPENDENT,
    OPTIONAL_GAIN,
    SELECTION_MOSTLY,
)
from kinemill.draft.input_evidence import (
    controller_outputs,
    find_set_points,
    gain_of_command,
    is_held,
)
from kinemill.draft.log_units import Choice, ChosenTable, converted, differing_units
from kinemill.draft.logs import log_names
from kinemill.draft.optional_columns import error_reduction
from kinemill.draft.rules import (
    OBSERVATIONS,
    computed_columns,
    copies_in,
    facts_of,
    left_out_reason,
    status_columns,
)
from kinemill.draft.table import Reason, Table, rule_of
from kinemill.errors import join_first
from kinemill.ingest.name_heuristics import (
    ACTUATORS,
    ASIDE,
    COMMAND,
    CURRENT,
    EFFORT,
    EXPLICIT,
    PLANNED,
    POSITION,
    READ,
    REFERENCE,
    ROLES,
    SETPOINT,
    SURFACES,
    VELOCITY,
    Guess,
    guess,
    is_no_unit,
    split_words,
    suffix_unit,
)
from kinemill.ingest.raw import split_index
from kinemill.task.units import has_same_dimension, read_unit

# Units of motions; a frequency in Hz has the dimension of an angular velocity.
_MOTIONS = {"velocity": ("m/s", "rad/s"), "acceleration": ("m/s^2", "rad/s^2")}
_FREQUENCIES = {"Hz", "kHz", "1/s"}

_TORQUE = re.compile(r"m?k?(N|lbf|ozf|kgf|gf)\*")  # J is a unit of energy
TORQUE = "inferred a command: it has the unit of a torque"
EFFORTS = ("N*m", "N", "A", "V")  # a set point of these acts on the motor
STEERED = {"throttle", "steering", "steer", "brake", "pedal"}  # and one of these on the vehicle

# Forces, torques and voltages are measured where a motor is driven by pulses.
MODULATED = {"pwm", "duty", "throttle"}
PULSES = {"us", "µs", "microsecond"}
LOADS = {"tau", "torque", "torques", "force", "effort", "voltage"}

JUMPS = Reason(
    "inferred the output of a controller: it jumps with the set point", "controller output"
)
OUTER = Reason("a command of an outer loop: it adds nothing to the other actions", "reference")
MOST_MISSING = 5  # columns that a log lacks
CONSTANT = Reason("never changes", "constant")


def choose_all(tables: list[Table], *, is_policy: bool = False) -> list[Choice]:
    """Return the best variant of each quantity of each log, and reasons for the other columns.

    Accelerations, which follow from velocities, are states only if there are no others. References
    of a controller are actions only if there are no commands; a policy observes them otherwise, as
    its goals.
    """
    unused: dict[str, str] = dict.fromkeys(_constant_columns(tables), CONSTANT)
    outputs = dict[str, str]()
    if not is_policy:
        unused = status_columns(tables) | unused
        outputs = _leave_out_by_data(tables, unused)
    copies = _copies(tables, is_policy=is_policy)
    choices = [_choose(table, {}, unused, {}, copies) for table in tables]
    roles = {column.role for selected, _ in choices for column in selected.values()}
    instead = {"acceleration": "state"} if "state" not in roles else {}
    jumping = set[str]().union(*map(controller_outputs, tables[:COMPARED_LOGS]))
    outputs = {} if "action" in roles else outputs | dict.fromkeys(jumping, JUMPS)
    if "action" not in roles and not outputs:
        instead |= {"reference": "action"}
    elif is_policy:
        instead |= {"reference": "observation"}
    if instead or outputs:
        choices = [
            _choose(table, instead, unused, outputs, copies, is_policy=is_policy)
            for table in tables
        ]
    if is_policy:
        return [_observed(*choice) for choice in choices]
    inferred, redundant = _tried_commands(tables, choices, copies)
    if not inferred and not redundant:
        return choices
    return [
        _choose(table, instead, unused | redundant, outputs | inferred, copies) for table in tables
    ]


def _leave_out_by_data(tables: list[Table], unused: dict[str, str]) -> dict[str, str]:
    """Add computed columns and set points to the unused ones; return the outputs of controllers."""
    outputs = dict[str, str]()
    for table in tables[:COMPARED_LOGS]:
        computed = computed_columns(table)
        rest = replace(table, values={n: v for n, v in table.values.items() if n not in computed})
        set_points = find_set_points(rest)
        unused |= computed | {n: Reason(why, "set point") for n, (_, why) in set_points.items()}
        outputs |= {output: JUMPS for output, _ in set_points.values()}
    return outputs


def _tried_commands(
    tables: list[Table], choices: list[Choice], copies: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the set points that act by the data, and the commands that other actions carry out.

    A set point acts if no output of its loop is logged: what a state does follows from it, and not
    from the actions. A command of a motion is that of an outer loop if it adds nothing to the
    command of an effort, and one that equals a set point to the output of the inner loop.
    """
    inferred = dict[str, str]()
    redundant = dict[str, str]()
    duplicates = {copies[name] for name in copies if guess(name).what == "reference"}
    for table, (selected, unused) in list(zip(tables, choices, strict=True))[:COMPARED_LOGS]:
        states = [column.name for column in selected.values() if column.role == "state"]
        actions = [column for column in selected.values() if column.role == "action"]
        names = [action.name for action in actions]
        if not states or not actions:
            continue
        for name in [name for name, why in unused.items() if why == PLANNED]:
            gain, state = gain_of_command(table, name, states, names)
            if gain > INPUT_COMMANDS:
                why = f"inferred a command: {state} follows it, and no other action"
                inferred[name] = Reason(why, "response")
        has_effort = any(_acts(action) and _is_commanded(action) for action in actions)
        for action in actions if len(actions) > 1 else []:
            if action.name in duplicates or (has_effort and _is_motion(action)):
                rest = [name for name in names if name != action.name]
                gain, state = gain_of_command(table, action.name, states, rest)
                redundant |= {action.name: OUTER} if state and gain < INPUT_INDEPENDENT else {}
    return inferred, redundant


def _is_motion(action: Guess) -> bool:
    """Return whether an action is the command of a position or a velocity, and of no effort."""
    words = _words(action)
    return bool(words & EXPLICIT and words & (POSITION | VELOCITY)) and not _acts(action)


def _copies(tables: list[Table], *, is_policy: bool) -> dict[str, str]:
    """Return the columns that repeat another one, and that; a policy keeps copies of its states.

    An action that repeats a state is one by name: what was demonstrated is its next row.
    """
    return {
        name: original
        for name, original in copies_in(tables).items()
        if not is_policy or guess(name).role != "action" or guess(original).what == "action"
    }


def _observed(selected: dict[str, Guess], unused: dict[str, str]) -> Choice:
    """Leave out what is not an action outside of a group of observations, such as `obs/joint_pos`.

    In robomimic and LIBERO, that is the state of the simulator, which no robot measures.
    """
    sensed = [column for column in selected.values() if column.role != "action"]
    groups = {_group(column.name) for column in sensed} & OBSERVATIONS
    if not groups:
        return selected, unused
    outside = [column.name for column in sensed if _group(column.name) not in groups]
    why = Reason(f"outside of {min(groups)}/, which holds what a policy observes", "group")
    selected = {family: column for family, column in selected.items() if column.name not in outside}
    return selected, unused | dict.fromkeys(outside, why)


def _constant_columns(tables: list[Table]) -> set[str]:
    """Return the columns with one value in all rows of all logs: no channel, and no command."""
    values = dict[str, set[float]]()
    for table in tables:
        for name, (_, column) in table.values.items():
            finite = column[np.isfinite(column)]
            ends = (finite.min(), finite.max()) if len(finite) else ()
            values.setdefault(name, set()).update(map(float, ends))
    constant = {name for name, different in values.items() if len(different) == 1}
    return constant.difference(*(rotation_elements(table) for table in tables))


def with_common_columns(
    choices: list[ChosenTable],
) -> tuple[list[ChosenTable], dict[str, str], dict[str, str]]:
    """Return the logs that have all needed columns, the others, and optional columns, with reasons.

    Every log must have all channels of a task. A column that more than half of the logs have, but
    not all, is needed if the motion depends on it (`optional_columns.py`), or if these columns are
    more than those of all logs. If logs without needed columns are half of all or more, only the
    columns that all logs have are used. Logs of different kinds, such as one for each topic, share
    no state: the most frequent kind is used.
    """
    counted = Counter(
        family
        for _, (selected, _) in choices
        for family, column in selected.items()
        if column.role != "observation"
    )
    core = [family for family, count in counted.items() if count == len(choices)]
    most = [
        family for family, count in counted.items() if len(choices) > count > 0.5 * len(choices)
    ]
    complete = _with_columns(set(most), choices)
    if len(most) > len(core) and 2 * len(complete[0]) > len(choices):
        return complete
    if not any(_states(choice) & set(core) for choice in choices):
        kinds = Counter(frozenset(choice[1][0]) for choice in choices if _states(choice))
        return _with_columns(set(kinds.most_common(1)[0][0]) if kinds else set(), choices)
    logs = [(table, selected) for table, (selected, _) in choices]
    gains = {
        family: error_reduction(family, core, [log for log in logs if family in log[1]])
        for family in most
    }
    needed = {family for family, gain in gains.items() if gain >= OPTIONAL_GAIN}
    optional: dict[str, str] = {
        family: Reason(
            f"in {counted[family]} of {len(choices)} logs, and the other columns predict the "
            f"motion as well ({max(gain, 0.0):.0%} better with it)",
            "optional",
        )
        for family, gain in gains.items()
        if family not in needed
    }
    used, unused, _ = _with_columns(needed, choices)
    if 2 * (len(choices) - len(used)) >= len(choices):
        return choices, {}, optional
    return used, unused, optional


def _states(choice: ChosenTable) -> set[str]:
    """Return the quantities of a log that are states."""
    return {family for family, column in choice[1][0].items() if column.role == "state"}


def _with_columns(
    needed: set[str], choices: list[ChosenTable]
) -> tuple[list[ChosenTable], dict[str, str], dict[str, str]]:
    """Return the logs that have all needed quantities, and what the others lack."""
    names = {
        family: column.name for _, (selected, _) in choices for family, column in selected.items()
    }
    lacking = [sorted(needed - selected.keys()) for _, (selected, _) in choices]
    used = [choice for choice, missing in zip(choices, lacking, strict=True) if not missing]
    unused = dict[str, str]()
    logs = log_names(table.path for table, _ in choices)
    for (table, _), missing in zip(choices, lacking, strict=True):
        if missing:
            columns = join_first([names[family] for family in missing], MOST_MISSING)
            unused[logs[table.path]] = f"has no {columns}"
    return used, unused, {}


def join_columns(
    used: list[ChosenTable], optional: dict[str, str]
) -> tuple[list[Column], dict[str, str]]:
    """Return the channels that all of these logs have, and why other columns are omitted.

    Args:
        used: logs, with their columns by quantity.
        optional: quantities that are not channels, with reasons.
    """
    families: dict[str, list[tuple[Table, Guess]]] = {}
    left_out: dict[str, str] = {}
    for table, (selected, unused) in used:
        left_out |= table.left_out | unused
        for family, name_guess in selected.items():
            families.setdefault(family, []).append((table, name_guess))
    rotations = _chosen_rotations(used)
    columns: list[Column] = []
    for family, readings in families.items():
        column = _column(readings)
        if family in optional:
            why = optional[family]
        elif column.missing > (0.0 if column.role == "observation" else SELECTION_MOSTLY):
            why = Reason(f"{column.missing:.1%} of it is missing", "missing")
        elif len(readings) < len(used):
            why = Reason(f"in {len(readings)} of {len(used)} logs", "optional")
        elif len(column.values) and (np.ptp(column.values) or column.names[0] in rotations):
            columns.append(column)
            continue
        else:
            why = CONSTANT
        left_out |= dict.fromkeys(column.names, why)
    selected = {name for column in columns for name in column.names}
    # A vector or a struct of which some element is a channel is used.
    used_parts = {
        name[: match.start()] for name in selected for match in re.finditer(r"[\[/.]", name)
    }
    # The elements of a vector are listed themselves.
    vectors = {name.rpartition("[")[0] for name in left_out if name.endswith("]")}
    used_parts |= selected | vectors
    left_out = {name: why for name, why in left_out.items() if name not in used_parts}
    return columns, left_out


def _chosen_rotations(used: list[ChosenTable]) -> set[str]:
    """Return the elements of quaternions of which at least one that changes is chosen.

    The others may repeat a quaternion of the log: what is left of them never changes.
    """
    elements = set[str]().union(*(rotation_elements(table) for table, _ in used))
    turning = {
        _vector(column.name)
        for table, (selected, _) in used
        for column in selected.values()
        if column.name in elements and np.ptp(table.values[column.name][1]) > 0.0
    }
    return {name for name in elements if _vector(name) in turning}


def _vector(name: str) -> tuple[str, ...]:
    """Return the words of the vector of which a column is an element."""
    return tuple(split_words(name)[:-1])


def _choose(
    table: Table,
    instead: dict[str, str],
    unused: dict[str, str],
    outputs: dict[str, str],
    copies: dict[str, str],
    *,
    is_policy: bool = False,
) -> Choice:
    """Choose the best variant of each quantity of a log; return reasons for the others.

    Args:
        table: the log.
        instead: roles of columns that are selected otherwise than by name.
        unused: columns that are not channels in any log, with reasons.
        outputs: columns that are actions by the data, such as outputs of a controller, and why.
        copies: columns that repeat another one, and that.
        is_policy: whether all references are demonstrated, also of motions that follow them.
    """
    selected: dict[str, Guess] = {}
    left_out = {name: unused[name] for name in table.values if name in unused}
    facts = facts_of(table, copies)
    left_out |= {item.name: why for item in facts if (why := left_out_reason(item))}
    guesses = [_with_stated_unit(item.meaning, table) for item in facts if item.name not in unused]
    guesses = _doubted_readings(_with_cell_currents(_with_set_commands(guesses)))
    measured = _measured(guesses, table)
    is_driven = instead.get("reference") == "action" and not is_policy
    followed = _followed(guesses) if is_driven else set[str]()
    for column in sorted(guesses, key=lambda item: item.preference):
        # Unknown columns without other words are separate quantities.
        is_unknown = column.what == "unknown"
        family = column.name if is_unknown else f"{column.what} {column.family}"
        role, rule = _role(column, instead, measured, followed, outputs)
        if column.name in left_out:
            continue
        if role is None:
            is_reference = column.what == "reference"
            why = Reason(PLANNED, "reference") if is_reference else Reason(ASIDE, "aside")
            left_out[column.name] = why
        elif family in selected:
            why = Reason(f"another reading of {selected[family].name}", "reading")
            left_out[column.name] = why
        else:
            doubt = outputs.get(column.name, column.doubt)
            selected[family] = replace(column, role=role, doubt=doubt, rule=rule)
    order = list(table.values)
    return dict(sorted(selected.items(), key=lambda item: order.index(item[1].name))), left_out


def _role(
    column: Guess,
    instead: dict[str, str],
    measured: set[str],
    followed: set[str],
    outputs: dict[str, str],
) -> tuple[str | None, str]:
    """Return the role of a column in its log, and the rule that decided."""
    if column.name in outputs:
        return "action", rule_of(outputs[column.name])
    if column.name in measured:
        return "state", "measured command"
    if column.name in followed:
        return None, "followed reference"
    if column.what in instead:
        return instead[column.what], f"{column.what} instead"
    return column.role, column.rule


def _with_set_commands(guesses: list[Guess]) -> list[Guess]:
    """Return guesses in which set points of efforts and actuators are actions.

    They are left as references of a controller where another command is logged: a column of the
    same quantity that is no reading, an explicit command, or pulses.
    """
    actions = [g for g in guesses if g.role == "action" and not _is_current(g)]
    commands = [action for action in actions if not _words(action) & READ]
    if any(_words(command) & (EXPLICIT | MODULATED) for command in commands):
        return guesses
    commanded = set[str]().union(*(_quantities(command) for command in commands))
    return [
        replace(
            g,
            what="action",
            role="action",
            unit=g.unit or guess(f"{g.family} command").unit,
            rule="set command",
        )
        if g.what == "reference" and _acts(g) and not _quantities(g) & commanded
        else g
        for g in guesses
    ]


def _with_cell_currents(guesses: list[Guess]) -> list[Guess]:
    """Return guesses in which the current of a cell is the action, and its voltage follows."""
    actions = [column for column in guesses if column.role == "action"]
    is_cell = any(
        _words(column) & {"capacity", "soc"} or (column.unit == "V" and "cell" in _words(column))
        for column in guesses
    )
    if not is_cell or any(a.unit not in {"A", "V"} or _is_commanded(a) for a in actions):
        return guesses
    voltages = [column for column in actions if column.unit == "V"]
    state = {"what": "unknown", "role": "state", "rule": "cell"}
    return [replace(column, **state) if column in voltages else column for column in guesses]


def _doubted_readings(guesses: list[Guess]) -> list[Guess]:
    """Return guesses with a question at measured efforts that are actions next to a reference."""
    references = [column.name for column in guesses if column.what == "reference"]
    actions = [column for column in guesses if column.role == "action"]
    if not references or not all(_words(action) & READ for action in actions):
        return guesses
    doubt = f"a measurement by its name: is {references[0]} the command?"
    return [
        replace(column, doubt=column.doubt or doubt) if column in actions else column
        for column in guesses
    ]


def _acts(column: Guess) -> bool:
    """Return whether a set point acts on the plant: an effort, an actuator, a frequency."""
    unit = column.unit
    has_unit = unit is not None and any(has_same_dimension(unit, effort) for effort in EFFORTS)
    is_frequency = unit in _FREQUENCIES and not _words(column) & VELOCITY
    is_named = bool(_words(column) & (EFFORT | ACTUATORS | STEERED | {"frequency"}))
    return is_named or has_unit or is_frequency


def _with_stated_unit(column: Guess, table: Table) -> Guess:
    """Return a guess with the unit that the log states, as an attribute or in brackets.

    A column without a descriptive name, or with that of an axis such as `x`, is a position or a
    velocity by its unit.
    """
    stated = table.attributes_of(column.name).unit
    name, index = split_index(column.label or column.name)  # a repeated column is numbered
    bare, suffix = suffix_unit(name)
    if suffix:  # torque_mNm is the torque_Nm of other logs
        element = bare if index is None else f"{bare}[{index}]"
        column = replace(column, family=guess(element).family)
    unit = suffix or column.unit
    unit_read = read_unit(stated, frozenset(split_words(name))) if stated else None
    if unit_read or (stated and not is_no_unit(stated)):
        unit = unit_read
        column = replace(column, doubt="" if unit else f"the unit {stated!r} is not known")
    column = replace(column, unit=unit)
    is_motion = column.what == "velocity" and column.role == "state"
    if is_motion and unit and any(has_same_dimension(unit, u) for u in (*EFFORTS, "W", "degC")):
        column = replace(column, what="unknown")  # the W of power_W
    if column.what == "unknown" and unit and _TORQUE.match(unit) and "/" not in unit:
        return replace(column, what="action", role="action", doubt=TORQUE, rule="unit")
    if column.what not in {"unknown", "position"} or column.role != "state":
        return column
    what = _meaning_of(unit) or column.what
    rule = column.rule if what == column.what else "unit"
    return replace(column, what=what, role=ROLES.get(what, column.role), rule=rule)


def _meaning_of(unit: str | None) -> str | None:
    """Return what a column with this unit measures of a motion, or None."""
    if unit is None or unit in _FREQUENCIES:
        return None
    rates = (what for what, units in _MOTIONS.items() for rate_unit in units
             if has_same_dimension(unit, rate_unit))  # fmt: skip
    is_place = unit in {"rad", "deg"} or has_same_dimension(unit, "m")
    return "position" if is_place else next(rates, None)


def _measured(guesses: list[Guess], table: Table) -> set[str]:
    """Return the currents and forces that are not actions, because another column is one."""
    actions = [column for column in guesses if column.role == "action"]
    commands = [action for action in actions if _is_commanded(action)]
    unnamed = [action for action in actions if not _is_commanded(action)]
    currents = {action.name for action in unnamed if _is_current(action)}
    forces = {action.name for action in unnamed if action.unit == "N"}
    # A current acts by a force, and follows from anything else that acts.
    follows = forces if len(currents | forces) == len(actions) else currents
    measured = _responses(unnamed, table) or follows
    if any(_is_modulated(action) for action in actions):
        loads = {a.name for a in actions if _words(a) & COMMAND & LOADS}
        measured |= loads | {a.name for a in actions if a.rule == "unit" or a.unit == "V"}
    # The force of a cylinder is measured next to its valve.
    valve = {"valve", "valves"}
    if commands or any(a.unit == "percent" or _words(a) & valve for a in actions):
        measured |= {action.name for action in actions if _words(action) & COMMAND == {"force"}}
    observed = {action.name for action in actions if _group(action.name) in OBSERVATIONS}
    measured |= observed if len(observed) < len(actions) else set()
    # T_in is not inflow but inside, next to a setpoint of T.
    controlled = {f"{column.family} in" for column in guesses if column.what == "reference"}
    measured |= {action.name for action in actions if action.family in controlled}
    if commands:
        read = READ | {"state", "states"}  # /joint_states.effort
        measured |= {a.name for a in unnamed if _words(a) & read or a.rule == "unit"}
    # tau is measured next to a tau that is called a command.
    commanded = set[str]().union(*map(_quantities, commands))
    measured |= {action.name for action in unnamed if _quantities(action) & commanded}
    return measured if len(measured) < len(actions) else set()


def _responses(actions: list[Guess], table: Table) -> set[str]:
    """Return measured efforts that vary while those of another unit are held.

    A cycler holds the current of a cell, and its voltage follows.
    """
    efforts = dict[str, list[Guess]]()
    for action in actions:
        if action.unit in EFFORTS:
            efforts.setdefault(action.unit, []).append(action)
    is_input = {
        unit: {is_held(table.values[action.name][1]) for action in columns}
        for unit, columns in efforts.items()
    }
    if {True} not in is_input.values():
        return set()
    responses = (efforts[unit] for unit in efforts if is_input[unit] == {False})
    return {action.name for columns in responses for action in columns}


def _is_modulated(action: Guess) -> bool:
    """Return whether an action drives a motor by pulses, or sets the frequency of its inverter."""
    is_frequency = _is_commanded(action) and action.unit in _FREQUENCIES
    return bool(_words(action) & MODULATED) or action.unit in PULSES or is_frequency


def _group(name: str) -> str:
    """Return the group of a column: `observations` of `observations/effort`."""
    return re.split(r"[/.]", name)[0]


def _is_commanded(action: Guess) -> bool:
    return bool(_words(action) & (EXPLICIT | REFERENCE | SETPOINT))


def _quantities(column: Guess) -> set[str]:
    words = _words(column)
    return words & (COMMAND | SURFACES | ACTUATORS | {"frequency"}) - EXPLICIT - READ


def _followed(guesses: list[Guess]) -> set[str]:
    """Return references of motions next to those of forces, which act on the robot."""
    references = [column for column in guesses if column.what == "reference"]
    motions = {
        reference.name
        for reference in references
        if _words(reference) & (POSITION | VELOCITY) or _meaning_of(reference.unit)
    }
    return motions if len(motions) < len(references) else set()


def _is_current(column: Guess) -> bool:
    """Return whether a column is a measured current by name."""
    return bool(_words(column) & CURRENT) and not _words(column) & COMMAND


def _words(column: Guess) -> set[str]:
    return set(split_words(column.label or column.name))


def _column(readings: list[tuple[Table, Guess]]) -> Column:
    usual = Counter(name_guess.name for _, name_guess in readings).most_common(1)[0][0]
    first = next(name_guess for _, name_guess in readings if name_guess.name == usual)
    names = list(dict.fromkeys([usual, *(name_guess.name for _, name_guess in readings)]))
    units = differing_units(first, readings)
    samples = {
        (table.path, table.part): converted(
            table.values[candidate.name], units.get(candidate.name), first
        )
        for table, candidate in readings
    }
    stated = {
        table.attributes_of(candidate.name).range_of(split_index(candidate.name)[1])
        for table, candidate in readings
    }
    stated_range = stated.pop() if len(stated) == 1 else None  # logs that differ state none
    notes = [first.doubt] if first.doubt else []
    return Column(first, names, samples, stated_range=stated_range, notes=notes, units=units)
