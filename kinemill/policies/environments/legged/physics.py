"""Physics of many legged robots: MuJoCo on all cores, or MuJoCo Warp on a GPU (float32).

Symbols: B robots, J joints.
"""

import copy
import importlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.control.mujoco_batch import MujocoBatch
from kinemill.control.sim import MujocoModel
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.body import Body, Floats

_VARIED = (  # fields of a model that mass, friction and gain change
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "geom_friction",
    "actuator_gainprm",
    "actuator_biasprm",
)


class LeggedPhysics(Protocol):
    """A physics engine.

    Attributes:
        models: the MuJoCo model of each robot; call `update` after a change of one.
    """

    models: list[MujocoModel]

    def update(self, row: int) -> None:
        """Read the changed model of a robot."""
        ...

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Advance one time step: (B, 7 + J), (B, 6 + J), targets (B, J) rad -> the first two."""
        ...


class MujocoThreads:
    """MuJoCo in double precision, on all cores.

    Args:
        body: of every robot.
        count: B.
        substeps: steps of the physics in one time step.
    """

    def __init__(self, body: Body, count: int, substeps: int) -> None:
        self._batch = MujocoBatch(body.model, count, substeps)
        self.models = self._batch.models

    def update(self, row: int) -> None:
        """Do nothing: the batch reads the models themselves."""

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Advance one time step: (B, 7 + J), (B, 6 + J), targets (B, J) rad -> the first two."""
        states = np.concatenate([np.zeros((len(position), 1)), position, velocity], axis=1)
        after, _ = self._batch.advance(states, np.asarray(targets, float))
        split = 1 + position.shape[1]
        return after[:, 1:split], after[:, split:]


class MujocoWarp:
    """MuJoCo Warp: thousands of robots at once on a GPU; slower than MuJoCo on a CPU.

    Args:
        body: of every robot.
        count: B.
        substeps: steps of the physics in one time step.
        device: Warp's name of the device, such as `cuda:0` or `cpu`.

    Raises:
        BadInput: MuJoCo Warp is not installed.
    """

    def __init__(self, body: Body, count: int, substeps: int, device: str) -> None:
        try:
            self._warp = importlib.import_module("warp")
            self._library = importlib.import_module("mujoco_warp")
        except ModuleNotFoundError as error:
            fix = "pip install 'kinemill[warp]', or environment.physics: mujoco"
            raise BadInput("environment.physics: warp", "is not installed", fix=fix) from error
        self._warp.config.quiet = True
        self.models = [copy.copy(body.model) for _ in range(count)]
        self._substeps = substeps
        # Two contacts per sphere, four rows per contact, and the joints at their limits.
        contacts = 2 * sum(len(foot.radii) for foot in body.feet)
        rows = 4 * contacts + len(body.joints) + 6
        self._device = self._warp.get_device(device)
        self._is_stale = False
        self._varied = {name: _copies(getattr(body.model, name), count) for name in _VARIED}
        self._graph: object = None
        with self._warp.ScopedDevice(self._device):
            self._model = self._library.put_model(self.models[0])
            # MuJoCo has the same limit of iterations, and does not report it either.
            self._model.opt.warn_overflow &= ~self._library.OverflowType.LS_ITERATIONS
            self._data = self._library.make_data(
                self.models[0], nworld=count, nconmax=contacts, njmax=rows
            )
            self._send()
            self._launch()  # compile first: a capture cannot compile
            if not self._device.is_cpu:
                with self._warp.ScopedCapture() as capture:
                    self._launch()
                self._graph = capture.graph

    def update(self, row: int) -> None:
        """Read the changed model of a robot; it is sent before the next step."""
        for name, values in self._varied.items():
            values[row] = getattr(self.models[row], name)
        self._is_stale = True

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Advance one time step: (B, 7 + J), (B, 6 + J), targets (B, J) rad -> the first two."""
        data = self._data
        with self._warp.ScopedDevice(self._device):
            if self._is_stale:
                self._send()
            state = {"qpos": position, "qvel": velocity, "ctrl": targets}
            for name, values in state.items():
                getattr(data, name).assign(np.ascontiguousarray(values, np.float32))
            data.qacc_warmstart.zero_()  # the next step depends on the state alone
            if self._graph is None:
                self._launch()
            else:
                self._warp.capture_launch(self._graph)
            return data.qpos.numpy().astype(float), data.qvel.numpy().astype(float)

    def _launch(self) -> None:
        for _ in range(self._substeps):
            self._library.step(self._model, self._data)

    def _send(self) -> None:
        """Copy the varied fields of all models to the device."""
        for name, values in self._varied.items():
            target = getattr(self._model, name)
            sent = self._warp.array(values, dtype=target.dtype)
            if len(target) == len(values):
                self._warp.copy(target, sent)
            else:
                setattr(self._model, name, sent)
        self._is_stale = False


def _copies(values: Floats, count: int) -> NDArray[np.float32]:
    return np.repeat(np.asarray(values, np.float32)[None], count, axis=0)
