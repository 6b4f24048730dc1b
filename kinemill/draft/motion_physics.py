"""Physics of a motion draft: observations of a legged robot, and its environment."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinemill.draft.clip_names import ClipColumns
from kinemill.draft.clip_rates import derived, turning_rates, walked_commands
from kinemill.draft.column import Column
from kinemill.draft.constants import (
    MOTION_COMMANDS,
    MOTION_HORIZON,
    MOTION_QUICK,
    MOTION_STILL,
    ROBOT_SECONDS,
)
from kinemill.draft.mechanism import is_legged
from kinemill.draft.table import Table
from kinemill.errors import BadInput
from kinemill.ingest.name_heuristics import guess
from kinemill.policies.environments.legged.body import CROUCHED, Body, load_body
from kinemill.policies.environments.legged.robot_file import RobotOptions

_COMMAND_SIZE = 3  # velocities of a command
_Sources = dict[str, tuple[tuple[str, ...], str]]  # columns, the best one first, and their unit


def _elements(channel: str, vector: str, axes: str, unit: str) -> _Sources:
    """Return the sources of a channel for each element of a vector."""
    return {
        f"{channel}_{axis}": ((f"{vector}[{at}]", f"{vector}_{axis}", f"{channel}_{axis}"), unit)
        for at, axis in enumerate(axes)
    }


ATTITUDE = _elements("trunk", "root_quat", "xyzw", "1")
_TURN = _elements("turn", "world_angular_vel", "xyz", "rad/s")
_ROOT = _elements("root", "root_pos", "xy", "m")
MIRRORED = (  # opposite in a mirror image
    *("trunk_x", "trunk_z", "turn_x", "turn_z"),
    *("trunk_x_rate", "trunk_z_rate", "root_y", "root_y_rate", "heading_y"),
)
_FIXED_BASE = "the policy imitates the clips alone; --learn reinforcement drafts an environment"


@dataclass(frozen=True)
class Physics:
    """A legged robot that can follow the clips.

    Attributes:
        joints: columns of its joints by name, in the order of the robot.
        trunk: channels of attitude and turning rate.
        velocities: channels of the joints' velocities.
        locked: joints that do not move in the clips.
        robot: its model file.
        stance: joint angles of standing by joint, rad; empty: those of the model file.
        commands: channels of the commands, which may be computed from the motion of the trunk.
        inputs: channels that others are computed from, and that no policy observes.
    """

    joints: dict[str, str]
    trunk: list[Column]
    velocities: list[Column]
    locked: list[str]
    robot: Path
    stance: dict[str, float]
    commands: list[Column]
    inputs: list[Column]

    def track_clips(self, clips: Sequence[Path]) -> tuple[str, ...]:
        """Return the lines of `environment` and `promote` for acyclic clips."""
        names = ", ".join(str(path.absolute()) for path in clips)
        return (
            *self._robot_lines(),
            f"  clips: [{names}]  # each selected by its command",
            *_TRIALS,
        )

    def _robot_lines(self) -> tuple[str, ...]:
        locked = f"  locked: [{', '.join(self.locked)}]  # at rest in all clips"
        return (
            "environment:",
            "  type: legged",
            f"  robot: {self.robot.absolute()}",
            *([locked] if self.locked else []),
        )

    def environment(self, commands: Sequence[Column], step: float) -> tuple[str, ...]:
        """Return the lines of `learn`, `environment` and `promote` for gaits in physics.

        Args:
            commands: channels of the commands.
            step: time step of the task, s.
        """
        means = [
            [float(np.mean(values)) for _, values in column.samples.values()] for column in commands
        ]
        bins = np.array(means).T.round(2) + 0.0 if len(means) == _COMMAND_SIZE else np.zeros((0, 3))
        drawn = np.unique(bins, axis=0)
        rows = np.linspace(0, len(drawn) - 1, min(MOTION_COMMANDS, len(drawn))).round().astype(int)
        spelled = ", ".join(f"[{x:g}, {y:g}, {yaw:g}]" for x, y, yaw in drawn[rows])
        angles = ", ".join(f"{name}: {angle:g}" for name, angle in self.stance.items())
        stance = f"  stance: {{{angles}}}  # mean pose of the clips, as the file has no keyframe"
        gamma = math.exp(-step / MOTION_HORIZON)
        quick = "quick" if step > MOTION_QUICK else "quick_60hz"
        algorithm = f"{{type: ppo, n_steps: 32, n_epochs: 4, gamma: {gamma:.3g}}}"
        return (
            *_TRACKING,
            f"    steps: 6000000  # 23 to 70 min on two cores; --with physics={quick}: about 20",
            f"    algorithm: {algorithm}  # rewards of the next {MOTION_HORIZON:g} s",
            *self._robot_lines(),
            *([stance] if angles else []),
            f"  steps: {round(ROBOT_SECONDS / step)}  # {ROBOT_SECONDS:g} s",
            *([f"  commands: [{spelled}]  # m/s, m/s, rad/s, of clips"] if spelled else []),
            *_TRIALS,
        )


_TRACKING = (
    "  tracking:",
    "    reward: {command_weight: 0.6}  # of the velocity, on the scale of the commands",
    "    episode: 5  # s; longer ones leave few steps to commands under which robots fall early",
    "    task_commands: 0.7  # share of episodes with `environment.commands`",
    "  physics:",
    "    num_envs: 128  # half as many steps per update as usual",
    "    batch_size: 1024",
)
_TRIALS = (
    "  push: 0.1  # m/s, once a second",
    "  randomize: {friction: [0.7, 1.3], mass: [0.8, 1.2], latency: [0, 1], noise: [0, 1]}",
    "  trials: {episodes: 50, n_eval_episodes: 8}",
    "promote: {metric: success}  # of the trials",
)
VALIDATE = (
    "  stuck: {on_fault: warn}  # an attitude may rest",
    *(
        f"  {check}: {{on_fault: warn}}  # velocities of clips are differences of frames"
        for check in ("velocity", "slip", "spike")
    ),
    "  placeholder: {on_fault: split}  # velocities of the first frame",
)


def find_physics(
    tables: Sequence[Table], clip: ClipColumns, robot: Path, commands: Sequence[Column]
) -> tuple[Physics | None, str]:
    """Return the physics of the clips' robot, or None, and the conclusion or the reason.

    Args:
        tables: the clips.
        clip: columns of joints and attitude.
        robot: model file of the robot.
        commands: commands that the clips hold; if some are missing, all are computed.
    """
    joints = clip.joints
    if not is_legged(robot):
        return None, f"physics: none, {robot.name} has a fixed base and no two legs; {_FIXED_BASE}"
    try:
        still = _still_joints(tables, joints, load_body(robot))
        body = load_body(robot, RobotOptions(locked=tuple(still)))
    except BadInput as error:
        return None, f"physics: none, {error}"
    if missing := [name for name in body.joints if name not in joints]:
        return None, f"physics: none, the clips have no {', '.join(missing)}"
    attitude = _columns(ATTITUDE, tables, clip.trunk)
    if not attitude:
        return None, f"physics: none, the clips have no column for {', '.join(ATTITUDE)}"
    attitude = [replace(column, kind="quaternion") for column in attitude]
    turn = _columns(_TURN, tables)
    inputs = list[Column]()
    if not turn:
        turn, inputs = turning_rates(attitude)
    root = [] if len(commands) == _COMMAND_SIZE else _columns(_ROOT, tables, clip.trunk)
    if root:
        root = [replace(column, guess=replace(column.guess, role="output")) for column in root]
        commands, command_inputs = walked_commands(root, attitude, turn[-1])
        inputs = [*inputs, *command_inputs]
    rates = {
        f"{name}_velocity": ((*measured_rates(joints[name]), f"{name}_velocity"), "rad/s")
        for name in body.joints
    }
    velocities = _columns(rates, tables)
    velocities = [
        replace(column, derivative_of=joints[name])
        for name, column in zip(body.joints, velocities, strict=False)
    ] or [
        derived(angle, "state", channel=f"{name}_velocity")
        for name in body.joints
        for angle in _columns({name: ((joints[name],), "rad")}, tables)
    ]
    physics = Physics(
        {name: joints[name] for name in body.joints},
        [*attitude, *turn],
        velocities,
        still,
        robot,
        _stance(tables, joints, body),
        [*commands],
        inputs,
    )
    computed = [column.channel for column in (*turn, *velocities, *commands) if column.formula]
    rest = f"; computed: {', '.join(computed)}" if computed else ""
    feet = ", ".join(foot.name for foot in body.feet)
    return physics, f"physics: {len(body.joints)} servos; feet: {feet}{rest}"


def measured_rates(position: str) -> list[str]:
    """Return the possible columns of the rate of a joint, such as `joints_vel[3]`."""
    pairs = (("positions", "velocities"), ("pos", "vel"))
    vector, bracket, element = position.partition("[")
    return [vector.replace(*pair) + bracket + element for pair in pairs if pair[0] in vector]


def _stance(tables: Sequence[Table], joints: Mapping[str, str], body: Body) -> dict[str, float]:
    """Return the mean pose of clips that crouch below the zero position of a model, rad by joint.

    Empty if the clips walk upright (see `CROUCHED`) or the model file has a keyframe of standing.
    """
    means = {
        name: float(np.mean(np.concatenate([table.values[joints[name]][1] for table in tables])))
        for name in body.joints
    }
    height = body.trunk_height(np.array([*means.values()]))
    has_keyframe = not np.allclose(body.stance, body.model.qpos0[7:])
    if has_keyframe or height >= CROUCHED * body.standing_height:
        return {}
    return {name: round(angle, 2) + 0.0 for name, angle in means.items()}


def _still_joints(tables: Sequence[Table], joints: Mapping[str, str], body: Body) -> list[str]:
    """Return the joints of the body that rest at the model's own zero in all clips."""
    return [
        name
        for name, zero in zip(body.joints, body.model.qpos0[7:].tolist(), strict=True)
        if name not in joints
        or all(
            np.abs(table.values[joints[name]][1] - zero).max(initial=0.0) < MOTION_STILL
            for table in tables
        )
    ]


def _columns(
    sources: _Sources, tables: Sequence[Table], names: Mapping[str, str] | None = None
) -> list[Column]:
    """Return channels that all clips have; none if a clip lacks one.

    Args:
        sources: columns of each channel.
        tables: the clips.
        names: columns of channels that are named otherwise.
    """
    renamed = {channel: (name,) for channel, name in (names or {}).items()}
    columns = [
        clip_column(channel, renamed.get(channel, names), unit, tables)
        for channel, (names, unit) in sources.items()
    ]
    present = [column for column in columns if column]
    return present if len(present) == len(columns) else []


def clip_column(
    channel: str, sources: Sequence[str], unit: str, tables: Sequence[Table]
) -> Column | None:
    """Return a channel that all clips have; None if one lacks it."""
    selected = [next((name for name in sources if name in table.values), None) for table in tables]
    if None in selected:
        return None
    samples = {
        (table.path, table.part): table.values[name]
        for table, name in zip(tables, selected, strict=True)
        if name
    }
    names = [name for name in sources if name in selected]
    role = replace(guess(names[0], channel), role="state")
    return Column(role, names, samples, unit=unit, sure=True, channel=channel)
