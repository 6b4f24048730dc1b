"""Policies that learn in what a dynamics task learned, and are tried in true physics."""

import numpy as np
import pytest

from kinemill.augment import stage as augment
from kinemill.control.sim import write_logs
from kinemill.dataset import stage as dataset_stage
from kinemill.export import stage as export
from kinemill.ingest import stage as ingest
from kinemill.policies.environments.card import make_card
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from kinemill.validate import stage as validate
from tests.conftest import EXAMPLES

SILENT = (NullReporter(), NullReporter())


def learned_pendulum(home, seed):
    """Return the exported model of a pendulum, from the logs that `kinemill.control.sim` makes."""
    task = load_task(EXAMPLES / "pendulum.yaml", {"ingest.min_file_age": 0})
    write_logs(home.root / "logs", "pendulum", seed=seed)
    accepted = validate.run(task, home, ingest.run(task, home, home.root / "logs").artifact.ref)
    dataset = dataset_stage.run(task, home, accepted.ref).ref
    model = train.run(task, home, dataset, augment.run(task, home, dataset).ref, SILENT).ref
    return home.root / export.run(task, home, model).ref.path


@pytest.mark.slow  # a minute each
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_policy_that_never_met_the_rod_swings_it_up(home, seed):
    """From hanging to within 0.2 rad of upright for the last 2 s of 6, in 19 of 20 starts."""
    model = {"environment.model": str(learned_pendulum(home, seed))}
    task = load_task(EXAMPLES / "pendulum_swing_up.yaml", model)
    card = make_card(task, home).ref
    final = train.run(task, home, card, card, SILENT).summary["final"]
    assert len(final["successes"]) == task.environment.trials.episodes
    assert np.mean(final["successes"]) >= 0.95
