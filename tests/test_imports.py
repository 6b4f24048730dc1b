"""What a process does not import: heavy packages cost every command seconds."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT

HELP = """
from kinemill.cli.app import app
try:
    app(["--help"])
except SystemExit:
    pass
"""
PERTURBED = """
import torch
from kinemill.export.rounding import Rounding
with Rounding(0):
    torch.ones(2) + torch.ones(2)
"""
STEPS = """
import torch
from kinemill.task.plugins import OPTIMIZERS
from kinemill.train.optimizer_step import fused_step
from kinemill.train.training_state import load_optimizer, optimizer_tensors
weight = torch.nn.Parameter(torch.ones(2))
optimizer = OPTIMIZERS["adamw"]().build([weight])
weight.sum().backward()
fused_step(optimizer)()
load_optimizer(optimizer, optimizer_tensors(optimizer))
"""
FAMILIES = """
from kinemill.task import AUGMENTATIONS, MODELS, READERS
assert [*AUGMENTATIONS, *MODELS, *READERS]
"""
CACHED = """
import kinemill_dagster.pipelines.run
import kinemill_dagster.resources.training
from kinemill.export import stage
from kinemill.register import stage
from kinemill.selection import selected_model
from kinemill.selection.references import stage
from kinemill.train import jobs
from kinemill.verify import headline, stage
"""
COMMAND = "torch mlflow dagster polars numpy pydantic rich yaml sqlalchemy"
PROGRAMS = {
    "help": (HELP, COMMAND),
    "completion": ("from kinemill.cli.completion import *; complete_model('a')", COMMAND),
    "dir of the Dagster project": (
        "import kinemill_dagster; assert 'KinemillTask' in dir(kinemill_dagster)",
        "dagster",
    ),
    "rounding": (PERTURBED, "torch._dynamo"),  # takes 2 s of CPU time
    "steps of a training": (STEPS, "torch._dynamo"),
    "robot": (
        "import kinemill.runtime, onnxruntime",
        "torch polars pydantic onnx mlflow pandas yaml",
    ),
    "names of plug-ins": (FAMILIES, "torch polars mlflow great_expectations kinemill.ingest"),
    "schema of a task": ("from kinemill.task.schema import task_schema; task_schema()", "torch"),
    "run of a pipeline whose stages are cached": (CACHED, "torch scipy pint great_expectations"),
    "plants": ("import kinemill.control.sim", "mujoco"),
    "tracking": ("import kinemill.tracking", "mlflow psutil"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_process_imports_nothing_heavy(program, home):
    code, heavy = PROGRAMS[program]
    code += f"\nimport sys; print(sorted({set(heavy.split())} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_of_the_project_that_a_command_loads_by_name_exists():
    text = "".join(path.read_text() for path in (ROOT / "kinemill").rglob("*.py"))
    names = re.findall(r'project\("([\w.]+)"\)', text)
    assert len(names) > 10
    assert [name for name in names if find_spec(f"kinemill_dagster.{name}") is None] == []
