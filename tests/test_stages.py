"""Every stage has the same front door: `stage.py` with `VERSION`, `inputs` and `run`."""

import importlib
import inspect

import pytest

from kinemill.ingest import IngestReport
from kinemill.register.stage import Registration
from kinemill.store import Artifact

STAGES = ("ingest", "validate", "dataset", "augment", "train", "export", "verify", "register")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_a_version_inputs_and_run(stage):
    module = importlib.import_module(f"kinemill.{stage}.stage")
    assert isinstance(module.VERSION, int)
    for name in ("inputs", "run"):
        function = getattr(module, name)
        assert function.__module__.startswith(f"kinemill.{stage}.")
        assert next(iter(inspect.signature(function).parameters)) == "task"
        assert inspect.getdoc(function)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_returns_an_artifact(stage):
    module = importlib.import_module(f"kinemill.{stage}.stage")
    result = inspect.signature(module.run).return_annotation
    # An ingest also reports each file; a registration is a version in the registry.
    assert result in (Artifact, IngestReport, Registration)
