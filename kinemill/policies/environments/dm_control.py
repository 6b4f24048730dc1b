"""The DeepMind Control Suite (Tassa et al. 2018) under Gymnasium ids, which shimmy registers.

`dm_control/DOMAIN-TASK-v0`, such as `dm_control/cartpole-swingup-v0`.
"""

import os
import sys
from ctypes.util import find_library
from importlib import import_module

PREFIX = "dm_control/"
STEP_INFO = ("timestep.discount", "timestep.step_type")  # in each `info`: not events of the task


def register_suite() -> None:
    """Register the ids of the suite with Gymnasium.

    dm_control 1.0.50 lists arrays of MuJoCo 3.17 by name and stops at the nine that MuJoCo 4 no
    longer has, all of deformable bodies. They are taken off its list before a model is loaded.
    On Linux without a display it renders with EGL, or not at all, unless MUJOCO_GL is set.

    Raises:
        ImportError: The extra `dm-control` is not installed.
    """
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = os.environ.get("MUJOCO_GL") or (
            "egl" if find_library("EGL") else "disabled"
        )
    structures = import_module("mujoco")
    listed = import_module("dm_control.mujoco.wrapper.mjbindings.sizes").array_sizes
    for name, structure in (("mjmodel", structures.MjModel), ("mjdata", structures.MjData)):
        for field in [key for key in listed[name] if not hasattr(structure, key)]:
            del listed[name][field]
    import_module("shimmy")
