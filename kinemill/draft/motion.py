"""Motion drafts: a task that learns a policy from reference clips of a gait.

Each joint is a state, and its next value an action. Clips of other robots in the same folder are
named and left out. With the model file of a legged robot, the task learns in physics too: trunk and
joint velocities are observed. Columns that `learn.type: motion` does not use are omitted.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from kinemill.draft.clip_names import ClipColumns, clip_columns
from kinemill.draft.column import Column
from kinemill.draft.constants import MIRROR_ROUNDED, MOTION_LEAST, MOTION_VALIDATION, SPLIT_TEST
from kinemill.draft.logs import log_names, read_tables
from kinemill.draft.mirror_pairs import Mirror, cycle, find_mirror
from kinemill.draft.motion_physics import (
    MIRRORED,
    VALIDATE,
    Physics,
    clip_column,
    find_physics,
    measured_rates,
)
from kinemill.draft.ranges import with_range
from kinemill.draft.robot_file import RobotFile
from kinemill.draft.schema_inference import form_of
from kinemill.draft.stated_limits import LimitFinding, match_joints, with_stated_limits
from kinemill.draft.table import Table
from kinemill.draft.task_draft_writer import Draft, LearnPart, pattern_of, quote
from kinemill.errors import BadInput, join_first
from kinemill.ingest.channels import TURN
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import guess
from kinemill.ingest.raw import split_index
from kinemill.ingest.readers._csv_layout import COLUMN

JSON_FORM = "motion_json"
COMMANDS = {  # channel: its columns, the best one first, and its unit
    "command_x": (("walked_x", "Vel_x", "command_x"), "m/s"),
    "command_y": (("walked_y", "Vel_y", "command_y"), "m/s"),
    "command_yaw": (("walked_yaw", "Yaw", "command_yaw"), "rad/s"),
}
LATERAL = ("command_y", "command_yaw")  # opposite in a mirror image
LOOP = "Wrap"  # `LoopMode` of a clip that repeats itself
_NAMED = 4  # clips that a remark names
_SHORTEST = f"  min_steps: {MOTION_LEAST}  # parts of a clip are test and validation"


@dataclass(frozen=True)
class _Clips:
    """The clips of one robot, the columns of its joints by name, and why others are not used.

    Names of clips are as in `log_names`.
    """

    tables: list[Table]
    columns: ClipColumns
    unused: dict[str, str]
    names: dict[Path, str]

    @property
    def joints(self) -> dict[str, str]:
        """Columns of the joints by name."""
        return self.columns.joints


def build_motion(
    name: str,
    source: Path,
    rate: float | None = None,
    robot: RobotFile | None = None,
    joints: Sequence[str] = (),
) -> Draft:
    """Draft a motion task from clips; arguments as in `builder.build`.

    `joints` names the joints of rows without names, in their order.

    Raises:
        BadInput: There is no clip, or none names its joints.
        BadLog: The only clip cannot be read.
    """
    read = read_tables(source, rate, is_motion=True)
    tables = read.tables
    problems = read.problems
    clips, is_degrees = _in_radians(_same_robot(tables, source, robot, joints))
    tables = clips.tables
    physics = None
    conclusion = ""
    commands = _commands(tables)
    if robot:
        physics, conclusion = find_physics(tables, clips.columns, robot.path, commands)
    resting = _resting(clips, physics)
    if physics:
        commands = physics.commands
        clips = replace(clips, columns=replace(clips.columns, joints=physics.joints))
    columns = [
        replace(column, guess=replace(column.guess, what="position"))
        for joint, source in clips.joints.items()
        if (column := clip_column(joint, [source], "rad", tables))
    ]
    columns, findings = _with_limits(columns, robot)
    limits = {column.channel: column.limits for column in columns}
    step, is_mixed = _usual_step(tables)
    angles, means = _arrays(columns, commands, step)
    odd = [
        table.path
        for table, angle_columns in zip(tables, angles, strict=True)
        if not cycle([angle_columns])
    ]
    mirror = find_mirror([*clips.joints], angles, means, limits)
    columns, obstacle = _mirrored_limits(columns, mirror)
    if odd:
        obstacle = f"mirror: none, as {_spell_paths(odd)} have no cycle"
    if is_degrees:
        note = "deg, not rad, by the name or the values"
        columns = [
            replace(column, log_unit="deg", notes=[*column.notes, note]) for column in columns
        ]
    observed = [*physics.trunk, *columns, *physics.velocities] if physics else columns
    inputs = physics.inputs if physics else []
    loops = sum(_loop_mode(table.path) == LOOP for table in tables)
    return Draft(
        name,
        tables,
        float(f"{step:.12g}"),
        step,
        [*observed, *commands, *map(_target, columns), *inputs],
        _left_out(tables[0], [*observed, *commands, *inputs], resting),
        problems | clips.unused,
        joints=findings,
        part=LearnPart(
            learn=_learn(physics, commands, step, [table.path for table in tables], odd=odd),
            augment=() if obstacle else tuple(_augment(mirror, commands, [*observed, *inputs])),
            ingest=tuple(_ingest(clips, is_mixed=is_mixed)),
            dataset=_dataset(tables, step),
            validate=_checks(clips, physics, has_odd=bool(odd), is_loop=loops == len(tables)),
        ),
        remarks=[
            f"control rate: {1.0 / step:.4g} Hz, that of most clips",
            f"command: {', '.join(c.channel for c in commands) or 'none in all clips'}",
            f"loop mode: {LOOP} in {loops} of {len(tables)} clips",
            obstacle or _spell(mirror),
            *([_spell_odd(odd, physics, robot)] if odd else []),
            *filter(None, (clips.columns.conclusion, conclusion)),
        ],
    )


def _target(column: Column) -> Column:
    """Return the action that sets a joint: its angle in the next row."""
    name = f"{column.guess.name} of the next row"
    action = replace(column.guess, role="action", name=name)
    return replace(column, guess=action, channel=f"{column.channel}_target", lead=1, notes=[])


def _learn(
    physics: Physics | None, commands: list[Column], step: float, clips: list[Path], *, odd: object
) -> tuple[str, ...]:
    """Return the lines from `learn` on; clips that have no cycle are tracked in physics."""
    if physics is None:
        return _LEARN
    if odd:
        return (*_LEARN[:1], "  type: motion  # clips in physics", *physics.track_clips(clips))
    return (*_LEARN[:2], *physics.environment(commands, step))


def _spell_odd(odd: list[Path], physics: Physics | None, robot: RobotFile | None) -> str:
    tracking = "physics would track them" if robot else "--robot FILE drafts their tracking"
    fix = f"{tracking}; without it the dataset is refused"
    fix = "all clips are tracked in physics as they are" if physics else fix
    return f"cycles: none in {_spell_paths(odd)}; {fix}"


def _spell_paths(paths: list[Path]) -> str:
    return join_first([path.name for path in paths], _NAMED)


_LEARN = (
    "learn:",
    "  type: motion  # gaits of the clips, by phase and command; the next joint angles are actions",
    "  history: 20",
    "  epochs: 20",
    "  eval_every: 20",
)


def _same_robot(
    tables: list[Table], source: Path, robot: RobotFile | None, order: Sequence[str]
) -> _Clips:
    """Return the clips with the same joints: those of the robot file, else of most clips."""
    excluded = {source for sources, _ in COMMANDS.values() for source in sources}
    columns = [clip_columns(table, robot, excluded, order) for table in tables]
    groups = Counter(tuple(clip.joints) for clip in columns if clip.joints)
    if not groups and order:
        problem = f"has {len(order)} names for {len(tables[0].values)} columns of {source.name}"
        expected = "one for each joint, in order; 7 columns may hold the root before them"
        raise BadInput("--joints", problem, expected=expected)
    if not groups:
        raise _unnamed(source, tables[0], robot)
    limited = set(robot.joints) if robot else set[str]()
    most = max(
        groups, key=lambda joints: (-len(limited ^ set(joints)) if robot else 0, groups[joints])
    )
    is_used = [tuple(clip.joints) == most for clip in columns]
    used = [table for table, is_kept in zip(tables, is_used, strict=True) if is_kept]
    names = log_names(table.path for table in tables)
    difference = f"joints are not the {len(most)} of the other clips"
    unused = {
        names[table.path]: f"its {len(clip.joints)} {difference}"
        for table, clip, is_kept in zip(tables, columns, is_used, strict=True)
        if not is_kept
    }
    return _Clips(used, columns[is_used.index(True)], unused, names)


def _in_radians(clips: _Clips) -> tuple[_Clips, bool]:
    """Return clips with joint angles in rad, and whether they are in deg in the files.

    Angles are in deg by the names of their columns, or if a joint would turn twice in rad. Clips
    in another unit than most are left out. Joint velocities in deg/s are left out as well, as
    they follow from the angles.
    """
    names = [*clips.joints.values()]
    is_stated = any(guess(name).unit == "deg" for name in names)
    are_degrees = [
        is_stated or max(np.nanmax(np.abs(table.values[name][1])) for name in names) > 2.0 * TURN
        for table in clips.tables
    ]
    is_degrees = 2 * sum(are_degrees) > len(are_degrees)
    units = ("deg", "rad") if is_degrees else ("rad", "deg")
    others = {
        clips.names[table.path]: f"its joints are in {units[1]}, those of most clips in {units[0]}"
        for table, in_degrees in zip(clips.tables, are_degrees, strict=True)
        if in_degrees != is_degrees
    }
    used = zip(clips.tables, are_degrees, strict=True)
    tables = [table for table, in_degrees in used if in_degrees == is_degrees]
    if is_degrees:
        tables = [_converted(table, names) for table in tables]
    return replace(clips, tables=tables, unused=clips.unused | others), is_degrees


def _converted(table: Table, angles: list[str]) -> Table:
    """Return a clip with angles in rad instead of deg, and without their measured velocities."""
    rates = {rate for name in angles for rate in measured_rates(name)}
    values = {
        name: (seconds, np.deg2rad(values) if name in angles else values)
        for name, (seconds, values) in table.values.items()
        if name not in rates
    }
    return replace(table, values=values)


def _unnamed(source: Path, table: Table, robot: RobotFile | None) -> BadInput:
    """Return the error for clips whose joints nothing names."""
    names = ", ".join([*table.values][:6]) or "none"
    fixes = [
        "name the columns",
        *([] if robot else ["name them with --robot FILE or --joints a,b,c"]),
    ]
    if table.time and table.time.startswith(COLUMN):
        fixes.append(f"state --rate HZ, as {table.time} is not a time")
    return BadInput(
        source,
        f"no clip names its joints; columns are {names}",
        expected="`joints_pos` with the names under `Joints`, columns called after joints, "
        "`joint_names` or `dof_names` in the file, or with --robot a column for each hinge, maybe "
        "behind position and quaternion of the root",
        fix=f"{', or '.join(fixes)}, or write the task by hand: docs/motion.md",
    )


def _with_limits(
    columns: list[Column], robot: RobotFile | None
) -> tuple[list[Column], list[LimitFinding]]:
    """Set limits of the robot file, else the observed ranges; clips show no hard limits."""
    findings = list[LimitFinding]()
    if robot:
        columns, findings = with_stated_limits(columns, match_joints(columns, robot), robot)
    return [
        column if column.limits else _observed(with_range(column)) for column in columns
    ], findings


def _observed(column: Column) -> Column:
    """Return a column whose limits are observed ones."""
    observed = column.limits or column.observed_range
    return replace(column, observed_range=observed, limits=None)


def _commands(tables: list[Table]) -> list[Column]:
    """Return the commands that all clips have."""
    return [
        replace(column, guess=replace(guess(column.names[0]), role="observation"))
        for channel, (sources, unit) in COMMANDS.items()
        if (column := clip_column(channel, sources, unit, tables))
    ]


def _arrays(
    columns: list[Column], commands: list[Column], step: float
) -> tuple[list[Floats], Floats]:
    """Return the joint angles (n, J) of each clip at the same step, s, and its mean command (E, M).

    Without the same step, the clips would have cycles of different lengths.
    """
    logs = [*columns[0].samples]
    clips = list[Floats]()
    for log in logs:
        seconds = columns[0].samples[log][0]
        times = np.arange(seconds[0], seconds[-1] + 1e-3 * step, step)
        same = len(times) == len(seconds)
        clip = [
            values if same else np.interp(times, seconds, values)
            for values in (column.samples[log][1] for column in columns)
        ]
        clips.append(np.stack(clip, axis=1))
    means = [[float(np.mean(column.samples[log][1])) for column in commands] for log in logs]
    return clips, np.array(means).reshape(len(logs), len(commands))


def _mirrored_limits(columns: list[Column], mirror: Mirror) -> tuple[list[Column], str]:
    """Make limits that differ by rounding mirror images; return why there is no mirror, or ''."""
    if not mirror.pairs:
        return columns, "mirror: no left and right joints by name"
    limits = {column.channel: column.limits for column in columns}
    partners = {**dict(mirror.pairs), **{second: first for first, second in mirror.pairs}}
    images = {name: limits[partners.get(name, name)] for name in limits}
    # The image of [low, high] under a change of sign is [-high, -low].
    images |= {name: (-ends[1], -ends[0]) for name in mirror.flipped if (ends := images[name])}
    for name, ends in limits.items():
        pair = np.array([ends or (np.nan, np.nan), images[name] or (np.nan, np.nan)])
        if not np.allclose(*pair, rtol=0.0, atol=MIRROR_ROUNDED, equal_nan=True):
            return columns, f"mirror: none, as the limits of {name} do not mirror its partner's"
    limits |= {mirrored: images[mirrored] for _, mirrored in mirror.pairs}
    return [replace(column, limits=limits[column.channel]) for column in columns], ""


def _augment(mirror: Mirror, commands: list[Column], observed: list[Column]) -> list[str]:
    names = {column.channel for column in observed}
    has_rates = any(f"{joint}_velocity" in names for joint, _ in mirror.pairs)
    ends = ("", "_velocity", "_target") if has_rates else ("", "_target")
    flipped = [name for name in MIRRORED if name in names]
    flipped += [f"{name}{end}" for name in mirror.flipped for end in ends]
    flipped += [column.channel for column in commands if column.channel in LATERAL]
    return [
        "augment:",
        "  - type: mirror  # a turn to the left is one to the right, half a cycle later",
        *([f"    flip: [{', '.join(flipped)}]"] if flipped else []),
        "    swap:",
        *(
            f"      - [{first}{end}, {second}{end}]"
            for first, second in mirror.pairs
            for end in ends
        ),
    ]


def _spell(mirror: Mirror) -> str:
    unclear = ", ".join(mirror.unclear)
    checked = f"; the clips do not show the signs of {unclear}: check them" if unclear else ""
    return (
        f"mirror: {len(mirror.pairs)} pairs; opposite signs, by the clips: "
        f"{', '.join(mirror.flipped) or 'none'}{checked}"
    )


def _usual_step(tables: list[Table]) -> tuple[float, bool]:
    """Return the time step of most clips, s, the shorter one of two; and whether others differ."""
    steps = Counter(float(f"{table.step:.6g}") for table in tables)
    most = max(steps, key=lambda step: (steps[step], -step))
    exact = next(table.step for table in tables if float(f"{table.step:.6g}") == most)
    return exact, len(steps) > 1


def _ingest(clips: _Clips, *, is_mixed: bool) -> list[str]:
    parts = [f"format: {JSON_FORM}"] if form_of(clips.tables[0].path) == JSON_FORM else []
    if clips.unused:
        names = [clips.names[table.path] for table in clips.tables]
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
        front = "".join(letters[0] for letters in same)
        is_telling = front and not any(name.startswith(front) for name in clips.unused)
        patterns = [quote(f"*{front}*")] if is_telling else [*map(pattern_of, names)]
        parts.append(f"include: [{', '.join(patterns)}]")
    return [*parts, *(["resample: {method: cubic}"] if is_mixed else [])]


def _dataset(tables: list[Table], step: float) -> str:
    validation = f"validation: {{tail: {MOTION_VALIDATION}}}"
    spans = [float(np.ptp(next(iter(table.values.values()))[0])) for table in tables]
    if len(tables) == 1:
        rows = round((1.0 - SPLIT_TEST) * spans[0] / step)
        return f"dataset: {{{validation}, test: [{{rows: [{rows}, null]}}]}}  # its end"
    *_, next_to_last, last = map(pattern_of, log_names(table.path for table in tables).values())
    if (
        len(tables) > 2 and MOTION_VALIDATION * max(spans) / step < MOTION_LEAST
    ):  # too short for a tail
        validation = f"validation: [{next_to_last}]"
    return f"dataset: {{{validation}, test: [{last}]}}  # name your own"


def _checks(
    clips: _Clips, physics: Physics | None, *, has_odd: bool, is_loop: bool
) -> tuple[str, ...]:
    """Return the lines of `validate`."""
    lines = list[str](VALIDATE if physics else ())
    lines += [_SHORTEST] if has_odd else []
    loop = f"  loop_closure: {{channels: [{', '.join(clips.joints)}]}}  # LoopMode is {LOOP}"
    return (*lines, *([loop] if is_loop else []))


def _loop_mode(path: Path) -> str:
    """Return the `LoopMode` of a clip in JSON, which its reader has read before; '' for others."""
    if form_of(path) != JSON_FORM:
        return ""
    return str(json.loads(path.read_bytes()).get("LoopMode", ""))


def _left_out(table: Table, used: list[Column], resting: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of a clip that are not used, or their vectors, with reasons.

    Args:
        table: a clip.
        used: all channels but the actions.
        resting: columns of joints that are not channels, with reasons.
    """
    names = {name for column in used for name in column.names}
    names |= {name for sources, _ in COMMANDS.values() for name in sources}
    vectors = {name.partition("[")[0] for name in names}
    rest = [
        name if name.partition("[")[0] in vectors else name.partition("[")[0]
        for name in (*table.values, *table.left_out)
        if name not in names and name not in resting and not _is_numbered_twice(name, table)
    ]
    return {**dict.fromkeys(rest, "no joint, trunk or command that it learns from"), **resting}


def _is_numbered_twice(name: str, table: Table) -> bool:
    """Return whether an element of a vector has a name as well, such as `joints_pos[left_knee]`."""
    vector, index = split_index(name)
    elements = (value for value in table.values if value.startswith(f"{vector}["))
    return index is not None and any(split_index(element)[1] is None for element in elements)


def _resting(clips: _Clips, physics: Physics | None) -> dict[str, str]:
    """Return the columns of the joints that are not servos of the robot, with reasons."""
    if physics is None:
        return {}
    why = "a joint at rest in all clips: the simulated robot has it locked"
    not_hinge = f"a joint that is not a hinge of {physics.robot.name}"
    return {
        column: why if name in physics.locked else not_hinge
        for name, column in clips.joints.items()
        if name not in physics.joints
    }
