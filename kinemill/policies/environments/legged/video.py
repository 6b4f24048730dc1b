"""Pictures of robots from their own model, rendered offscreen by MuJoCo in a separate process.

MuJoCo selects the graphics library when it is imported, and drivers may crash: a separate process
renders, with EGL (on a GPU or in software) unless MUJOCO_GL names another library.

`python -m kinemill.policies.environments.legged.video FOLDER` renders `poses.npy` of `robot.mjb`
there.

Symbols: N rows, P robots side by side, J joints, Q coordinates of a scene, K pictures.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import mujoco
import numpy as np
from numpy.typing import NDArray

from kinemill.control.sim import MujocoModel
from kinemill.errors import BadInput

library: ModuleType = mujoco  # it has no type stubs
Floats = NDArray[np.float64]

SIZE = (240, 240)  # height and width of one robot's picture, px
BUDGET = 30.0  # s of rendering; slow graphics give fewer pictures of the same episode
MOST = 120  # pictures
_TIMEOUT = 60.0  # s, more than `BUDGET`: start and the first picture
_DISTANCE = 4.2
_MIDDLE = 0.8  # in heights of the standing trunk
_AZIMUTH = 130.0
_ELEVATION = -12.0  # degrees


@dataclass(frozen=True)
class Scene:
    """A robot with everything that its file shows, which the physics leaves out.

    Attributes:
        model: a `mujoco.MjModel`.
        rest: (Q,) its coordinates in stance.
        columns: (7 + J,) those of the free joint and of the joints.
    """

    model: MujocoModel
    rest: Floats
    columns: NDArray[np.intp]


def render_video(
    scene: Scene, height: float, poses: Sequence[Floats]
) -> tuple[NDArray[np.uint8], int]:
    """Render robots side by side.

    Args:
        scene: of all of them.
        height: of the standing trunk, m; the camera is as far away as this needs.
        poses: P arrays (N, 7 + J), m and rad, of as many rows.

    Returns:
        Pictures (K, H, P W, 3), and the rows from one to the next.

    Raises:
        BadInput: No offscreen graphics are available.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        library.mj_saveModel(scene.model, str(folder / "robot.mjb"))
        coordinates = np.tile(scene.rest, (len(poses), len(poses[0]), 1))
        coordinates[:, :, scene.columns] = np.stack(poses)
        values = {"poses": coordinates, "height": height, "trunk": scene.columns[:2]}
        np.savez(folder / "poses.npz", allow_pickle=False, **values)
        graphics = os.environ.get("MUJOCO_GL") or ("egl" if sys.platform == "linux" else "")
        command = [sys.executable, "-m", __name__, temporary]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "MUJOCO_GL": graphics},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _unavailable(graphics, f"took more than {_TIMEOUT:g} s") from None
        path = folder / "video.npz"
        if done.returncode or not path.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
            raise _unavailable(graphics, reason)
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["pictures"], int(arrays["stride"])


def _unavailable(graphics: str, reason: str) -> BadInput:
    return BadInput(
        f"offscreen graphics ({graphics or 'default'})",
        reason,
        expected="OpenGL for MuJoCo",
        fix="install libegl1 and a driver such as Mesa's, or set MUJOCO_GL to osmesa or glfw",
    )


def _main(folder: Path) -> None:
    """Render within the budget: the time of the first picture limits their number."""
    model = library.MjModel.from_binary_path(str(folder / "robot.mjb"))
    with np.load(folder / "poses.npz", allow_pickle=False) as arrays:
        poses = arrays["poses"]
        height = float(arrays["height"])
        trunk = arrays["trunk"]
    if not model.nlight:
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.4, 0.6
    rows = poses.shape[1]
    with library.Renderer(model, *SIZE) as renderer:
        camera = _camera(height)
        data = library.MjData(model)

        def picture(row: int) -> NDArray[np.uint8]:
            return np.concatenate(
                [_picture(renderer, camera, data, pose[row], trunk) for pose in poses],
                axis=1,
            )

        picture(0)  # compiles shaders
        began = time.perf_counter()
        first = picture(0)
        most = min(MOST, max(2, int(BUDGET / max(time.perf_counter() - began, 1e-6))))
        stride = max(1, -(-rows // most))
        pictures = [first, *(picture(row) for row in range(stride, rows, stride))]
    np.savez(folder / "video.npz", allow_pickle=False, pictures=np.stack(pictures), stride=stride)


def _camera(height: float) -> MujocoModel:
    camera = library.MjvCamera()
    camera.distance = _DISTANCE * height
    camera.azimuth = _AZIMUTH
    camera.elevation, camera.lookat[2] = _ELEVATION, _MIDDLE * height
    return camera


def _picture(
    renderer: MujocoModel,
    camera: MujocoModel,
    data: MujocoModel,
    pose: Floats,
    trunk: NDArray[np.intp],
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of a pose (Q,), with the trunk at columns (2,) in its middle."""
    data.qpos[:], camera.lookat[:2] = pose, pose[trunk]
    library.mj_kinematics(renderer.model, data)
    library.mj_camlight(renderer.model, data)
    renderer.update_scene(data, camera)
    for flag in ("mjRND_SHADOW", "mjRND_REFLECTION"):  # they take 6 of 7 parts of the time
        renderer.scene.flags[getattr(library.mjtRndFlag, flag)] = False
    return renderer.render()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
