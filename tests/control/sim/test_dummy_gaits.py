"""Made-up clips of walkers: they repeat themselves, by command, and go through the chain."""

import numpy as np
import polars as pl
import pytest
import yaml

from kinemill.augment import stage as augment
from kinemill.control.sim import Dummy, dummy_overrides, write_dummy_logs
from kinemill.dataset import stage as dataset_stage
from kinemill.export import stage as export
from kinemill.ingest import stage as ingest
from kinemill.policies.motion.gaits import fit_gaits
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from kinemill.validate import stage as validate
from kinemill.verify import stage as verify_stage
from kinemill.verify.document import open_verification
from tests.conftest import EXAMPLES

TASKS = (EXAMPLES / "go_bdx.yaml", EXAMPLES / "mini_bdx.yaml")


def clips_of(file, folder, **settings):
    task = load_task(file)
    paths = write_dummy_logs(task, folder, Dummy(**settings))
    return task, [pl.read_csv(path) for path in paths]


@pytest.mark.parametrize("file", TASKS, ids=lambda file: file.stem)
def test_clips_are_gaits_of_one_cycle_that_follow_their_commands(file, tmp_path):
    """32 rows are a cycle; three commands lead in three directions, the rest is rounding."""
    task, clips = clips_of(file, tmp_path, episodes=8)
    joints = [*task.learn.joints(task.channels).values()]
    commands = [clip.select("command_x", "command_y", "command_yaw").to_numpy() for clip in clips]
    assert all((np.ptp(rows, axis=0) == 0.0).all() for rows in commands)
    assert (np.std([rows[0] for rows in commands], axis=0) > 0.02).all()  # m/s, m/s, rad/s
    angles = [clip.select(joints).to_numpy() for clip in clips]
    gaits = fit_gaits(angles, [rows[0] / 0.1 for rows in commands], 6, 8)
    assert gaits.cycle == pytest.approx(32.0, abs=0.01)
    sizes = np.linalg.norm(gaits.directions.reshape(len(gaits.directions), -1), axis=1)
    assert len(sizes) >= 3
    assert sizes[3:].sum() < 0.1 * sizes[:3].sum()
    assert gaits.rest.max() < 1e-3  # rad


def test_a_target_is_where_its_joint_will_be_at_the_next_row(tmp_path):
    """Also where `action_joints` of the task names the joints; 1e-4 of 0.7 rad is noise."""
    channels = {
        "hip": {"role": "state", "unit": "rad", "limits": [-1, 1]},
        "aim": {"role": "action", "unit": "rad", "limits": [-1, 1]},
    }
    learn = {"type": "motion", "action_joints": {"aim": "hip"}}
    path = tmp_path / "one_leg.yaml"
    path.write_text(
        yaml.safe_dump({"task": "one_leg", "dt": 0.02, "channels": channels, "learn": learn})
    )
    log = pl.read_csv(write_dummy_logs(load_task(path), tmp_path / "logs", Dummy(episodes=3))[0])
    hip, aim = log["hip"].to_numpy(), log["aim"].to_numpy()
    assert aim[:-1] == pytest.approx(hip[1:], abs=5e-4)
    assert np.ptp(hip) > 0.5


@pytest.mark.slow  # every stage but the registry
def test_a_task_of_motions_goes_from_made_up_logs_to_verification(home):
    dummy = Dummy(episodes=4, samples=160)
    path = EXAMPLES / "mini_bdx.yaml"
    task = load_task(path, {**dummy_overrides(load_task(path), dummy), "learn.steps": 10})
    write_dummy_logs(task, home.logs(task.name), dummy)
    snapshot = ingest.run(task, home, home.logs(task.name)).artifact.ref
    dataset = dataset_stage.run(task, home, validate.run(task, home, snapshot).ref).ref
    training_set, no_user = (augment.run(task, home, dataset).ref, (NullReporter(), NullReporter()))
    model = train.run(task, home, dataset, training_set, no_user)
    assert model.summary["steps"] == 10
    exported = export.run(task, home, model.ref, dataset).ref
    verdict = verify_stage.run(task, home, exported, model.ref, dataset)
    document = open_verification(home, verdict.ref)
    assert [line for line in document.gates if not line.passed] == []
