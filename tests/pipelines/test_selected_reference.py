"""A run whose network is worse than a linear model registers the linear one."""

import re
from pathlib import Path

import dagster as dg
import pytest

from kinemill.maintenance.gc import Limits, collect
from kinemill.maintenance.liveness import NoOrchestrator
from kinemill.register import find_version, start_of, tags
from kinemill.runtime import load
from kinemill.store import open_ref
from kinemill.task import load_task
from kinemill.task.promote import REFERENCES
from kinemill.task.protocols import NullReporter
from kinemill.verify.document import read_verification
from kinemill.verify.phrases import label
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.run import run_chain
from kinemill_dagster.resources.io import latest
from tests.pipelines.conftest import TASK

pytestmark = [pytest.mark.e2e, pytest.mark.ci, pytest.mark.usefixtures("in_this_process")]
EXPORTABLE = ("linear", "linear_sincos", "physics")
OFFERED = {"promote.allow_reference": True, "promote.beats": [*REFERENCES, "champion"]}


def metadata(workspace, asset):
    with open_instance(workspace.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey([TASK, asset]))
    return event.asset_materialization.metadata


def test_network_that_loses_to_a_reference_registers_the_reference(copy, capfd):
    trained, trainings = latest(copy.home, TASK, "model"), copy.home.runs / TASK
    previous = sorted(path.name for path in trainings.iterdir())
    document = run_chain(TASK, OFFERED)
    assert "dagster" not in "".join(capfd.readouterr())  # its messages are in the log of the run
    selected = document.selection.selected
    assert selected in EXPORTABLE
    assert "times the score of trained on the validation split" in document.selection.why
    names = [result.name for result in document.selection.candidates]
    assert names[0] == selected
    assert set(names) == {"trained", *EXPORTABLE}
    assert (document.version, document.alias) == (2, "champion")
    assert (
        sorted(path.name for path in trainings.iterdir()) == previous
    )  # nothing was trained again
    version = find_version(copy.home, TASK, ":2")
    assert version.tags[tags.TRAINED] == trained.digest
    assert version.tags[tags.REFERENCE] == selected
    bundle = copy.home.root / version.tags[tags.BUNDLE]
    assert load(bundle).interface.task == TASK
    verified = read_verification(bundle)
    assert verified.model.reference == selected
    assert document.metrics.nrmse == verified.metrics.nrmse
    heads = re.findall(r"<th[^>]*>([^<]+)<", Path(document.report).read_text())
    assert "this model" in heads
    assert label(selected) not in heads  # its column would repeat that of the model
    rows = metadata(copy, "model")["candidates"].value.records
    assert [row.data["candidate"] for row in rows] == names
    families = metadata(copy, "references")["references"].records
    assert {row.data["reference"] for row in families} >= {"persistence", "linear"}
    again = run_chain(TASK, OFFERED)
    assert (again.status, again.version, again.selection) == ("unchanged", 2, document.selection)
    collect(copy.home, Limits(unused=0.0, logs=0.0), NoOrchestrator(), NullReporter())
    assert open_ref(copy.home, trained).is_dir()


@pytest.mark.slow
def test_later_run_starts_from_the_network_of_the_run_that_registered_a_reference(copy):
    trained = latest(copy.home, TASK, "model")
    run_chain(TASK, OFFERED)
    address = f"models:/{TASK}/2"
    start = start_of(load_task(TASK, {"learn.start_from": address}), copy.home)
    assert (start.digest, start.address) == (trained.digest, address)
    assert "training starts from the model" in start.note
    later = OFFERED | {"learn.start_from": address, "learn.steps": 10}
    assert run_chain(TASK, later).version == 3
