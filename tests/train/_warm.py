"""Imported by the server that trainings are forked from: what each of them would load by itself.

Nothing here lets torch start a thread, which would not be there after a fork.
"""

import safetensors.torch
import torch._dynamo
import torch.profiler

import kinemill.train
import kinemill.train.loop
import kinemill.train.objectives._dynamics_setup
from tests.train.conftest import pendulum_task

LOADED = (safetensors.torch, torch._dynamo, torch.profiler, kinemill.train)
pendulum_task()  # reads pint's definitions, and the files of its plug-ins
