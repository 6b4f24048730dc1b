"""Mechanism drafts: an arm, a cart or another machine of an MJCF file that does not walk.

A model file states no goal. The reward of the draft is the largest in the pose of the file, or of
its keyframe `home`, so that training can start; the goal of the user takes its place.
"""

from pathlib import Path
from typing import Any

from kinemill.control.mujoco_model import RobotModel, load_model
from kinemill.draft.constants import MECHANISM_SECONDS, MECHANISM_START_NOISE, MECHANISM_WITHIN
from kinemill.draft.environment_writer import EnvironmentDraft
from kinemill.draft.robot_file import Ends, read_robot
from kinemill.store import Json

_HOME = "home"  # keyframe
_LEG = 2  # least joints of a leg


def is_legged(path: Path) -> bool:
    """Return whether a model may walk: a free trunk with joints, or a fixed one with two legs.

    The result is True for a file that MuJoCo cannot read.
    """
    import mujoco

    library: Any = mujoco
    try:
        spec = library.MjSpec.from_file(str(path))
    except ValueError:
        return True
    free = (joint.parent for joint in spec.joints if joint.type == library.mjtJoint.mjJNT_FREE)
    if any(len(_joints_below(body)) > 1 for body in free):  # else it is an object
        return True
    trunks = [body for body in spec.worldbody.bodies if body.bodies and not body.joints]
    # MuJoCo fuses the root of a URDF with the world.
    trunks += [spec.worldbody] if path.suffix.lower() == ".urdf" else []
    return any(
        sum(len(_joints_below(limb)) >= _LEG for limb in trunk.bodies) >= _LEG for trunk in trunks
    )


def _joints_below(body: Any) -> list[Any]:
    below = [joint for child in body.bodies for joint in _joints_below(child)]
    return [*body.joints, *below]


def mechanism_draft(name: str, path: Path, longest: float) -> EnvironmentDraft:
    """Draft the environment of a mechanism.

    Args:
        name: name of the task.
        path: its MJCF file, or its URDF, whose joints get motors of the stated effort.
        longest: desired time step, s; the draft has the closest multiple of the physics' step.

    Raises:
        BadInput: The model is not usable.
    """
    motors = _urdf_motors(path)
    robot = load_model(path, motors, ())
    step = float(robot.model.opt.timestep)
    dt = step * max(1, round(longest / step))
    keys = [robot.model.key(index).name for index in range(robot.model.nkey)]
    settings: Json = {
        "type": "mujoco",
        "model": str(path),
        **({"motors": motors} if motors else {}),
        "steps": round(MECHANISM_SECONDS / dt),
        "derived": {"error": _error(robot, is_home=_HOME in keys)},
        "reward": {"hold": "1 - tanh(error)"},
        "success": [{"of": "error", "within": MECHANISM_WITHIN}],
        "start_noise": MECHANISM_START_NOISE,
        **({"keyframe": _HOME} if _HOME in keys else {}),
    }
    goal = "reward: holds the pose of the file, which states no goal: write your own formulas"
    return EnvironmentDraft(name, str(path), settings, dt, "a multiple of the physics'", (goal,))


def _urdf_motors(path: Path) -> dict[str, Ends]:
    """Return the lowest and highest torque or force of each joint of a URDF; {} for an MJCF."""
    if path.suffix.lower() != ".urdf":
        return {}
    return {joint.name: joint.effort for joint in read_robot(path).joints.values() if joint.effort}


def _error(robot: RobotModel, *, is_home: bool) -> str:
    """Return the formula of the root mean square distance of hinges and slides from the pose."""
    model = robot.model
    pose = model.key(_HOME).qpos if is_home else model.qpos0
    positions = [name for name in robot.joints if robot.quantities[name].unit in ("rad", "m")]
    columns = [robot.quantities[name].column - 1 for name in positions]
    targets = [float(pose[column]) for column in columns]
    terms = [
        f"({name} - {target:.4g})" if target >= 0.0 else f"({name} + {-target:.4g})"
        for name, target in zip(positions, targets, strict=True)
    ]
    return f"sqrt(({' + '.join(f'{term} ** 2' for term in terms)}) / {len(terms)})"
