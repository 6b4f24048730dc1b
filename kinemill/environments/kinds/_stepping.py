"""Physics of bipeds side by side: MuJoCo on all cores, or MuJoCo Warp on a GPU (float32).

Symbols: B bipeds, J = 10 leg joints.
"""

import copy
import importlib
import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinemill.environments.kinds._biped import mjcf
from kinemill.errors import BadInput

Floats = NDArray[np.floating]

_FEW = 8  # bipeds below which threads cost more than they save
_CONTACTS, _ROWS = 16, 80  # at most, of a biped: eight balls, and four rows each, joints at limits
_VARIED = (  # of a model, what mass, friction and gain change
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "geom_friction",
    "actuator_gainprm",
    "actuator_biasprm",
)


class BipedPhysics(Protocol):
    """What moves bipeds.

    Attributes:
        models: MuJoCo's of each, B; `changed` has to be told of what differs.
    """

    models: list[Any]

    def changed(self, row: int) -> None:
        """Take in what was changed in a model."""
        ...

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Return (B, 17) and (B, 16) a time step later; servos follow targets (B, J), rad."""
        ...


class Threads:
    """MuJoCo's own batches, in double precision, on all cores.

    Args:
        count: B.
        rows: steps of the physics for each of a biped's.
    """

    def __init__(self, count: int, rows: int) -> None:
        import mujoco
        from mujoco import rollout

        library: Any = mujoco
        self.models, self._rows = copies(library, count), rows
        threads = len(os.sched_getaffinity(0)) if count >= _FEW else 0
        self._data = [library.MjData(self.models[0]) for _ in range(max(1, threads))]
        self._rollout: Any = rollout.Rollout(nthread=threads)

    def changed(self, row: int) -> None:
        """Do nothing: the models themselves are used."""

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities a time step later."""
        states = np.concatenate([np.zeros((len(position), 1)), position, velocity], axis=1)
        control = np.repeat(np.asarray(targets, float)[:, None], self._rows, axis=1)
        found, _ = self._rollout.rollout(self.models, self._data, states, control, nstep=self._rows)
        split = 1 + position.shape[1]
        return found[:, -1, 1:split].copy(), found[:, -1, split:].copy()


class Warped:
    """MuJoCo Warp: thousands at once on a GPU; on a CPU it is the slower one.

    Args:
        count: B.
        rows: steps of the physics for each of a biped's.
        device: Warp's name of it, such as `cuda:0` or `cpu`.

    Raises:
        BadInput: it is not installed.
    """

    def __init__(self, count: int, rows: int, device: str) -> None:
        import mujoco

        try:
            self._warp: Any = importlib.import_module("warp")
            self._library: Any = importlib.import_module("mujoco_warp")
        except ModuleNotFoundError as error:
            fix = "pip install 'kinemill[warp]', or environment.physics: mujoco"
            raise BadInput("environment.physics: warp", "is not installed", fix=fix) from error
        self._warp.config.quiet = True
        self.models, self._rows = copies(mujoco, count), rows
        self._device, self._stale = self._warp.get_device(device), True
        self._graph: Any = None
        with self._warp.ScopedDevice(self._device):
            self._model = self._library.put_model(self.models[0])
            self._data = self._library.make_data(
                self.models[0], nworld=count, nconmax=_CONTACTS, njmax=_ROWS
            )
            self._send()
            self._launch()  # compiles what can then be captured
            if not self._device.is_cpu:
                with self._warp.ScopedCapture() as capture:
                    self._launch()
                self._graph = capture.graph

    def changed(self, row: int) -> None:
        """Send what differs before the next step."""
        del row
        self._stale = True

    def advance(self, position: Floats, velocity: Floats, targets: Floats) -> tuple[Floats, Floats]:
        """Return positions and velocities a time step later."""
        data = self._data
        with self._warp.ScopedDevice(self._device):
            if self._stale:
                self._send()
            given = {"qpos": position, "qvel": velocity, "ctrl": targets}
            for name, values in given.items():
                getattr(data, name).assign(np.ascontiguousarray(values, np.float32))
            data.qacc_warmstart.zero_()  # so that what comes next follows from the state alone
            if self._graph is None:
                self._launch()
            else:
                self._warp.capture_launch(self._graph)
            return data.qpos.numpy().astype(float), data.qvel.numpy().astype(float)

    def _launch(self) -> None:
        for _ in range(self._rows):
            self._library.step(self._model, self._data)

    def _send(self) -> None:
        """Give each biped of the device what its own model has."""
        for name in _VARIED:
            own = getattr(self._model, name)
            values = np.stack([getattr(model, name) for model in self.models])
            sent = self._warp.array(values.astype(np.float32), dtype=own.dtype)
            if len(own) == len(self.models):
                self._warp.copy(own, sent)
            else:
                setattr(self._model, name, sent)
        self._stale = False


def copies(library: Any, count: int) -> list[Any]:
    """Return so many models of the biped, equal at first."""
    model = library.MjModel.from_xml_string(mjcf())
    return [copy.copy(model) for _ in range(count)]
