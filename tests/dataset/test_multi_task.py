"""Several tasks in one dataset, and how often training draws from each class."""

import pytest

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.store import MANIFEST, index_path, publish_json, read_json
from kinemill.task import load_task
from tests.dataset.conftest import publish, run_stage, spin, version_of

CHANNELS = """
channels:
  torque: {role: action, unit: N*m}
  angle: {role: state, unit: rad, kind: angle}
  speed: {role: state, unit: UNIT, derivative_of: angle}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def tasks(tmp_path):
    """Writes task files into one folder and reads one of them."""

    def write(name, dataset="{}", dt=0.01, unit="rad/s", extra=""):
        text = (
            f"task: {name}\ndt: {dt}\ndataset: {dataset}\n{CHANNELS.replace('UNIT', unit)}{extra}"
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return load_task(path)

    return write


def publish_last(home, contents, task):
    ref = publish(home, contents, task=task)
    pointer = {"format": 3, "rules": "", "snapshot": ref.to_json()}
    publish_json(index_path(home, task, "episodes.json"), pointer)
    return ref


OWN = "{validation: [val*], test: [test*], join: [leg]}"
LEG = ("leg_a.csv", "val_leg.csv", "test_leg.csv")


def test_another_tasks_episodes_join_training_whole_whatever_they_are_called(home, contents, tasks):
    tasks("leg")
    arm = tasks("arm", OWN.replace("[val*]", "{tail: 0.5}"))
    publish_last(home, [*(spin(name, rows=40) for name in LEG), contents[1]], "leg")
    artifact = run_stage(home, contents, arm)
    dataset = load_dataset(home, artifact.ref)
    leg = [episode for episode in dataset.episodes if episode.task == "leg"]
    assert {(one.name, one.split, one.rows) for one in leg} == {(n, "train", 40) for n in LEG}
    # `a.csv` is a recording of both tasks: the arm's own counts, once in each half of its tail.
    assert sum(episode.recording == contents[1].recording for episode in dataset.episodes) == 2
    inputs = read_json(home.root / artifact.ref.path / MANIFEST)["inputs"]
    assert list(inputs["join"]) == ["leg"]


def test_more_of_the_other_task_makes_a_new_version(home, contents, tasks):
    tasks("leg")
    arm = tasks("arm", OWN)
    own = publish(home, contents)
    publish_last(home, [spin("leg_a.csv")], "leg")
    first = dataset_stage.run(arm, home, own)
    publish_last(home, [spin("leg_a.csv"), spin("leg_b.csv")], "leg")
    second = dataset_stage.run(arm, home, own)
    assert (first.summary["episodes"]["train"], second.summary["episodes"]["train"]) == (3, 4)


def test_with_split_the_other_tasks_episodes_obey_the_same_rules(home, contents, tasks):
    tasks("leg")
    arm = tasks("arm", OWN.replace("[leg]", "[{task: leg, split: true}]"))
    publish_last(home, [spin(name) for name in LEG], "leg")
    dataset = version_of(home, contents, arm)
    splits = {episode.name: episode.split for episode in dataset.episodes if episode.task == "leg"}
    assert splits == dict(zip(LEG, ("train", "validation", "test"), strict=True))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"dt": 0.02}, "has a time step of 0.02 s; expected 0.01 s"),
        ({"unit": "deg/s"}, "has 'speed' with unit 'deg/s'; expected 'rad/s'"),
        ({}, "has no validated episodes yet; try: kinemill data validate leg"),
    ],
)
def test_tasks_that_do_not_fit_are_refused_with_what_differs(home, contents, tasks, other, said):
    tasks("leg", **other)
    with pytest.raises(BadInput) as caught:
        run_stage(home, contents, tasks("arm", OWN))
    assert said.split(";")[0] in str(caught.value)
    assert "dataset.join: leg" in str(caught.value)


def drawn(dataset):
    """Share of the training rows that each episode stands for."""
    train = dataset.of("train")
    total = sum(one.weight * one.rows for one in train)
    assert total == pytest.approx(sum(one.rows for one in train))
    return {one.name: one.weight * one.rows / total for one in train}


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        ("{group_by: episode}", [1 / 3, 1 / 3, 1 / 3]),
        ("{group_by: episode, power: 0}", [100 / 175, 50 / 175, 25 / 175]),
        ("{group_by: task}", [100 / 150 / 2, 50 / 150 / 2, 1 / 2]),
        # sqrt(150) : sqrt(25)
        ("{group_by: task, power: 0.5}", [2 / 3 * 0.71010, 1 / 3 * 0.71010, 0.28990]),
    ],
)
def test_classes_are_drawn_as_balance_says(home, tasks, balance, shares):
    tasks("leg")
    arm = tasks("arm", OWN.replace("}", f", balance: {balance}}}", 1))
    publish_last(home, [spin("leg.csv", rows=25)], "leg")
    own = [spin("a.csv", rows=100), spin("b.csv", rows=50), spin("val.csv"), spin("test.csv")]
    dataset = version_of(home, own, arm)
    shares_found = drawn(dataset)
    assert [shares_found[name] for name in ("a.csv", "b.csv", "leg.csv")] == pytest.approx(
        shares, abs=1e-4
    )


def test_classes_come_from_metadata_and_an_unknown_one_is_an_error(home, tasks):
    meta = "ingest: {meta: {name: '(?P<speed>slow|fast)_.*'}}\n"
    rules = "{validation: ['*val*'], test: ['*test*'], balance: {group_by: speed}}"
    arm = tasks("arm", rules, extra=meta)
    names = ["slow_a", "slow_b", "slow_c", "fast_a", "slow_val", "fast_test"]
    own = [spin(f"{name}.csv") for name in names]
    shares_found = drawn(version_of(home, own, arm))
    assert shares_found["fast_a.csv"] == pytest.approx(0.5)
    assert shares_found["slow_b.csv"] == pytest.approx(1 / 6)
    with pytest.raises(BadInput, match=r"balance.group_by: speed: is not known of 1 .* odd.csv"):
        run_stage(home, [*own, spin("odd.csv")], arm)
