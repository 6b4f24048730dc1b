"""A new version takes over from the last one what both have, and is the same to the byte."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kinemill.control.sim import Dummy, dummy_overrides, write_dummy_logs
from kinemill.dataset import dataset_versions, load_dataset, multi_task, segments
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.incremental import find_unchanged, runs
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest import stage as ingest
from kinemill.store import MANIFEST
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_episodes
from tests.dataset.conftest import make_task, publish, run_stage, spin
from tests.dataset.test_leakage import note


@pytest.fixture(scope="module", autouse=True)
def _small_segments():
    """Segments of at most 100 rows of three channels: a version has several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LARGEST", 100 * 3 * 4)
        yield


NEW = [spin("c.csv", 2.0, 5.0), spin("test2.csv", 1.0, 1.5, 70), spin("0.csv", speed=4.0, rows=31)]


def files_of(home, ref):
    """All bytes of a version, by file."""
    folder = home.root / ref.path
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def made_anew(tmp_path, task, contents):
    """The same version in a home where there was none before."""
    home = Home(tmp_path / "anew")
    return files_of(home, run_stage(home, contents, task).ref)


def lose(home, episodes, *names):
    """Remove the rows of recordings: whoever asks for them is told so."""
    for episode in load_episodes(home, episodes):
        if episode.name in names:
            shutil.rmtree(episode.path.parent)


def test_only_new_episodes_are_read_and_the_bytes_are_those_of_a_version_made_anew(
    home, contents, tmp_path
):
    task, old = make_task(), [one.name for one in contents]
    run_stage(home, contents, task)
    grown, shrunk = publish(home, [*contents, *NEW]), publish(home, contents[:-1])
    lose(home, grown, *old)
    assert files_of(home, dataset_stage.run(task, home, grown).ref) == made_anew(
        tmp_path / "grown", task, [*contents, *NEW]
    )
    assert files_of(home, dataset_stage.run(task, home, shrunk).ref) == made_anew(
        tmp_path / "shrunk", task, contents[:-1]
    )


def test_an_episode_that_was_judged_otherwise_is_read_again(home, contents, tmp_path):
    task = make_task()
    run_stage(home, contents, task)
    changed = [*contents[:-1], replace(contents[-1], values=contents[-1].values[:44] + 0.125)]
    ref = run_stage(home, changed, task).ref
    assert files_of(home, ref) == made_anew(tmp_path, task, changed)


@pytest.mark.ci
@pytest.mark.parametrize("file", ["values-*", "episodes-*", "moments-*", MANIFEST])
def test_a_damaged_last_version_is_not_taken_over_from(home, contents, tmp_path, file):
    task = make_task()
    first = run_stage(home, contents, task).ref
    path = next((home.root / first.path).glob(file))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    ref = run_stage(home, [*contents, *NEW], task).ref
    assert files_of(home, ref) == made_anew(tmp_path, task, [*contents, *NEW])


def test_a_last_version_that_is_gone_or_of_other_channels_is_not_taken_over_from(
    home, contents, tmp_path
):
    task, episodes = make_task(), publish(home, contents)
    first = dataset_stage.run(task, home, episodes).ref
    turned = task.model_copy(update={"channels": dict(reversed(task.channels.items()))})
    second = dataset_stage.run(turned, home, episodes).ref
    assert files_of(home, second) == made_anew(tmp_path, turned, contents)
    shutil.rmtree(home.root / second.path)
    grown = publish(home, [*contents, *NEW])
    lose(home, grown, contents[0].name)
    with pytest.raises(CorruptArtifact):
        dataset_stage.run(task, home, grown)
    assert load_dataset(home, first)


SHARES = {"validation": 0.3, "test": 0.3}


@pytest.mark.ci
@pytest.mark.parametrize("rules", [SHARES, {}, {"validation": {"tail": 0.4}, "group_by": "part"}])
def test_only_episodes_of_changed_recordings_are_listed(home, tmp_path, monkeypatch, rules):
    task = make_task(**rules)
    names = ["val.csv", "test.csv", *(f"run{number}.csv" for number in range(30))]
    before = [spin(name, speed=1.0 + number / 9) for number, name in enumerate(names)]
    now = [*before[:-1], *NEW]  # one is gone, and three are new
    run_stage(home, before, task)
    note(home, before[5], before[3])
    listed = list[str]()

    def load(home, ref, hashes=None):
        own = load_episodes(home, ref, hashes)
        listed.extend(one.name for one in own)
        return own

    monkeypatch.setattr(multi_task, "load_episodes", load)
    ref = run_stage(home, now, task).ref
    assert sorted(listed) == sorted([before[5].name, *(one.name for one in NEW)])
    note(Home(tmp_path / "anew"), before[5], before[3])
    assert files_of(home, ref) == made_anew(tmp_path, task, now)


@pytest.mark.parametrize(
    "rules", [{"test": [{"rows": [10, 30], "of": "a*"}]}, {"balance": {"group_by": "recording"}}]
)
def test_rules_on_other_recordings_or_rows_list_every_episode(home, contents, rules):
    task, episodes = make_task(**rules), publish(home, contents)
    dataset_stage.run(task, home, episodes)
    version = next(dataset_versions(home, "arm"))
    settings = {"version": dataset_stage.VERSION}
    assert find_unchanged(task, home, episodes, settings) is None
    assert find_unchanged(make_task(), home, episodes, settings)
    assert find_unchanged(make_task(), home, episodes, {"version": 0}) is None
    shutil.rmtree(home.root / version.ref.path)
    assert find_unchanged(make_task(), home, episodes, settings) is None


RULES = st.sampled_from(
    [
        {},
        {"validation": {"tail": 0.4}},
        {"unused": ["a*"]},
        {"test": 0.3, "validation": 0.2},
        {"unused": [{"rows": [5, 12], "of": "b*"}]},
        {"test": ["test*", {"rows": [10, 30], "of": "c*"}]},
    ]
)
BASE = [spin("val.csv", speed=1.0), spin("test.csv", 9.0, 20.0), spin("a.csv"), spin("b.csv")]
VISITS = st.tuples(st.sets(st.sampled_from(range(len(NEW)))), RULES)


@pytest.mark.ci
@settings(max_examples=4)
@given(st.lists(VISITS, min_size=2, max_size=3))
@example([({0, 1}, {"test": 0.3, "validation": 0.2}), (set(), {"test": 0.3, "validation": 0.2})])
def test_whatever_comes_and_goes_every_version_is_as_if_made_anew(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("history")
    home = Home(folder / "home")
    for number, (visitors, rules) in enumerate(history):
        contents = [*BASE, *(NEW[index] for index in sorted(visitors))]
        task = make_task({"validate": {"min_steps": 5}}, **rules)
        try:
            ref = run_stage(home, contents, task).ref
        except BadInput as error:
            # All that is left was trained on, so nothing may fill the test split.
            if "test" in rules and "leaves it empty" in str(error):
                continue
            raise
        # What an earlier version assigned to fill an empty split stays assigned.
        assigned = "store/versions/arm/assigned"
        if (home.root / assigned).is_dir():
            shutil.copytree(home.root / assigned, folder / f"{number}/anew" / assigned)
        assert files_of(home, ref) == made_anew(folder / f"{number}", task, contents)


def test_what_lies_beside_the_rows_is_taken_over_too(tmp_path):
    made = Dummy(episodes=6, samples=40, image=(4, 6), instructions=["go", "stop"])
    path = tmp_path / "arm.yaml"
    path.write_text(
        "task: arm\ndt: 0.02\nchannels:\n  angle: {role: state, unit: rad, kind: angle}\n"
        "  speed: {role: state, unit: rad/s, derivative_of: angle}\n"
        "  torque: {role: action, unit: N*m}\n  reward: {role: reward, unit: '1'}\n"
        "  camera: {role: image}\n  said: {role: text}\n"
        "learn: {type: dynamics, model: {type: mlp}, history: 2, horizon: 2}\n"
    )
    own = {"verify.horizon": 5, "learn.history": 2} | dummy_overrides(load_task(path), made)
    task = load_task(path, own)
    write_dummy_logs(task, tmp_path / "logs", made)
    late = max((tmp_path / "logs").iterdir())
    late.rename(tmp_path / late.name)

    def accepted(home):
        return validate.run(task, home, ingest.run(task, home, tmp_path / "logs").artifact.ref).ref

    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    dataset_stage.run(task, home, accepted(home))
    (tmp_path / late.name).rename(late)
    grown = dataset_stage.run(task, home, accepted(home)).ref
    anew = dataset_stage.run(task, other, accepted(other)).ref
    assert any((home.root / grown.path).glob("references-*.npy"))
    assert files_of(home, grown) == files_of(other, anew)


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=12), st.randoms())
def test_runs_copy_each_row_that_was_there_to_its_place(pieces, random):
    rows = np.array([length for length, _ in pieces])
    stops = np.cumsum(rows)
    starts, is_old = stops - rows, np.array([old for _, old in pieces])
    order = random.sample(range(len(pieces)), len(pieces))
    copied = np.zeros(len(pieces), np.int64)
    copied[order] = np.cumsum(rows[order]) - rows[order]
    new, old = np.full(stops[-1], -1), np.arange(stops[-1])
    for now, then in runs(starts, stops, np.where(is_old, copied, -1)):
        assert (new[now] < 0).all()
        new[now] = old[then]
    expected = [
        row + np.arange(length) if was_there else np.full(length, -1)
        for (length, was_there), row in zip(pieces, copied, strict=True)
    ]
    np.testing.assert_array_equal(new, np.concatenate(expected))
