"""A run whose network is worse than a linear model: both are registered, the linear one wins."""

import re
from pathlib import Path

import dagster as dg
import pytest

from kinemill.maintenance.gc import Limits, collect
from kinemill.maintenance.liveness import NoOrchestrator
from kinemill.register import find_version, start_of, tags
from kinemill.register.document import CandidateDecision
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


def test_the_reference_follows_the_refused_network_and_both_are_versions(copy):
    trained, trainings = latest(copy.home, TASK, "model"), copy.home.runs / TASK
    previous = sorted(path.name for path in trainings.iterdir())
    document = run_chain(TASK, OFFERED)
    selected = document.selection.selected
    assert selected in EXPORTABLE
    assert document.selection.why.startswith("version 2, the trained model, is refused: ")
    assert document.selection.candidates == [
        CandidateDecision("trained", 2, "refused"),
        CandidateDecision(selected, 3, "champion"),
    ]
    assert (document.version, document.alias) == (3, "champion")
    assert (document.status, document.provisional) == ("done", "")
    assert (
        sorted(path.name for path in trainings.iterdir()) == previous
    )  # nothing was trained again
    refused, version = (find_version(copy.home, TASK, which) for which in (":2", ":3"))
    assert tags.REFERENCE not in refused.tags
    assert refused.tags[tags.MODEL] == version.tags[tags.TRAINED] == trained.digest
    assert version.tags[tags.REFERENCE] == selected
    bundle = copy.home.root / version.tags[tags.BUNDLE]
    assert load(bundle).interface.task == TASK
    verified = read_verification(bundle)
    assert verified.model.reference == selected
    assert document.metrics.nrmse == verified.metrics.nrmse  # of the champion
    heads = re.findall(r"<th[^>]*>([^<]+)<", Path(document.report).read_text())
    assert "this model" in heads
    assert label(selected) not in heads  # its column would repeat that of the model
    displayed = metadata(copy, "registered_model")
    assert [row.data["version"] for row in displayed["candidates"].value.records] == ["2", "3"]
    families = metadata(copy, "references")["references"].records
    assert {row.data["reference"] for row in families} >= {"persistence", "linear"}
    again = run_chain(TASK, OFFERED)
    assert (again.status, again.version, again.selection) == ("unchanged", 3, document.selection)
    collect(copy.home, Limits(unused=0.0, logs=0.0), NoOrchestrator(), NullReporter())
    assert open_ref(copy.home, trained).is_dir()


@pytest.mark.slow
def test_a_later_network_that_loses_to_the_champion_is_what_its_run_reports(copy):
    trained = latest(copy.home, TASK, "model")
    run_chain(TASK, OFFERED)
    start = start_of(load_task(TASK, {"learn.start_from": f"models:/{TASK}/3"}), copy.home)
    assert (start.digest, start.address) == (trained.digest, f"models:/{TASK}/3")
    assert "training starts from the model" in start.note
    later = OFFERED | {"learn.start_from": f"models:/{TASK}/3", "learn.steps": 10}
    document = run_chain(TASK, later)
    assert (document.status, document.version) == ("refused", 4)
    assert document.selection.selected == "trained"
    assert document.selection.candidates[1].version == 3
    assert find_version(copy.home, TASK, "@champion").number == 3
