"""Spaces in a task file, and the one that is searched where it names none."""

import random
from dataclasses import replace

import pytest
import yaml

from kinemill.errors import TaskError
from kinemill.selection.facts import channel_facts
from kinemill.selection.tune import DataFacts, default_space
from kinemill.selection.tune.defaults import SIMULATORS, USUAL_HISTORY
from kinemill.task import MODELS, load_task
from kinemill.task.portfolio import RIDGES
from kinemill.task.search import FixedChooser, labels_of, select_values, single_choices
from tests.conftest import EXAMPLES, ROOT
from tests.selection.tune.conftest import TASK

TASKS = [*sorted(EXAMPLES.glob("*.yaml")), *sorted((ROOT / "tests" / "tasks").glob("*.yaml"))]


class Dice:
    """A chooser that throws dice."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def select(self, name, labels):
        return self.random.randrange(len(labels))

    def range(self, name, low, high, step, log):
        whole = isinstance(low, int)
        return self.random.randint(low, high) if whole else self.random.uniform(low, high)


def wrong(task_file, space: str) -> str:
    head, _, _ = TASK.partition("tune:")
    task_file.write_text(f"{head}tune:\n  space:\n{space}")
    with pytest.raises(TaskError) as caught:
        load_task(task_file)
    return str(caught.value).replace(f"{task_file.parent}/", "")


def test_each_architecture_has_its_own_keys(pendulum):
    space = pendulum().tune.space
    gru = select_values(space, FixedChooser({"learn.model": 1, "learn.model[gru].hidden_size": 8}))
    assert gru == {
        "learn.model": {"type": "gru", "hidden_size": 8},
        "learn.history": 2,
        "learn.optimizer.lr": 1e-3,
    }
    expected = {"type": "mlp", "hidden_sizes": [4]}
    assert select_values(space, FixedChooser())["learn.model"] == expected


def test_every_item_and_both_ends_are_tried_once(pendulum):
    # 2 models, 3 sizes of one, 2 ends of the other, 2 of the history, 2 of the rate
    assert len(list(single_choices(pendulum().tune.space))) == 2 + 3 + 2 + 2 + 2


def test_an_item_of_a_list_may_be_left_out():
    space = {"augment": [{"select": [None, {"type": "mirror"}]}, {"type": "gaussian_noise"}]}
    assert select_values(space, FixedChooser())["augment"] == [{"type": "gaussian_noise"}]
    (_, pair) = [
        select_values(space, FixedChooser(decision))["augment"]
        for decision in single_choices(space)
    ]
    assert [item["type"] for item in pair] == ["mirror", "gaussian_noise"]


def test_items_have_names_that_tell_them_apart():
    items = [3, "a", [64, 64], {"type": "gru"}, {"type": "gru", "layers": 2}, [], [{"type": "b"}]]
    assert labels_of(items) == ["3", "a", "[64, 64]", "gru", "gru 5", "[]", "b"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "    learn: {model: {select: [{type: mlp}, {type: gru, hidden_sise: 3}]}}\n",
            "pendulum.yaml:21: tune.space.learn.model.select.1.hidden_sise: unknown key; "
            "did you mean 'hidden_size'?",
        ),
        (
            "    learn:\n      histroy: {select: [5]}\n",
            "pendulum.yaml:22: tune.space.learn.histroy.select.0: unknown key; "
            "did you mean 'history'?",
        ),
        (
            "    learn: {model: {select: [{type: mlpp}]}}\n",
            "tune.space.learn.model.select.0: model 'mlpp': unknown name; did you mean 'mlp'?",
        ),
        ("    learn: {history: {range: [0, 4]}}\n", "Input should be greater than 0; found 0"),
        ("    learn: {history: {range: [5, 2]}}\n", "goes from 5 to 2; expected low below high"),
        ("    learn: {history: {range: [5]}}\n", "`range` is [5]; expected [low, high]"),
        ("    learn: {history: {range: [1, 4, 9]}}\n", "step 9 of `range` is not between 0 and 3"),
        (
            "    learn: {optimizer: {lr: {range: [0, 1], log: true}}}\n",
            "with `log` begins above 0 and has no step",
        ),
        ("    learn: {history: {select: []}}\n", "needs a list of at least one item; found []"),
        ("    learn: {history: {select: [3, 3]}}\n", "`select` has 3 twice"),
        (
            "    learn: {history: {range: [1, 4], lg: true}}\n",
            "unknown key 'lg'; did you mean 'log'",
        ),
        ("    learn: {history: {rnge: [1, 2]}}\n", "expected a value, {select: [...]} or {range: "),
        ("    lern: 3\n", "tune.space.lern: cannot be searched: all trials must use the same"),
        ("    learn: {device: {select: [cpu]}}\n", "is fixed in a search"),
        ("    augment: [{type: mirror, flip: {select: [[velo]]}}]\n", "did you mean 'velocity'?"),
    ],
)
def test_a_wrong_space_is_told_with_line_and_key(task_file, space, message):
    assert message in wrong(task_file, space)


STRIDE = 4  # each model gets every fourth task, and all models together get all tasks


@pytest.mark.parametrize(("offset", "model"), [*enumerate(MODELS)], ids=list(MODELS))
def test_default_space_of_a_model_makes_valid_tasks(offset, model):
    """The space of another plug-in can: its default cannot be sampled."""
    attempted, untold = 0, []
    paths = TASKS[offset % STRIDE :: STRIDE]
    for path in paths:
        try:
            task = load_task(path, {"learn.model.type": model})
        except TaskError as error:
            untold.append(str(error))
            continue
        space = default_space(task, DataFacts({name: 1.0 for name in task.states}))
        for seed in range(2):
            settings = select_values(space, Dice(seed))
            assert load_task(path, settings).learn.model.type in {*SIMULATORS, model}
            attempted += 1
    # A model may have to be told of each robot, or not know what one of them has.
    assert attempted == 2 * (len(paths) - len(untold))
    assert attempted > 0 or len(untold) > 0


def test_the_default_space_holds_the_own_settings_and_more():
    task = load_task("cart_pole", {"learn.model": {"type": "mlp", "hidden_sizes": [96, 96]}})
    space = default_space(task)
    learn = space["learn"]
    assert learn["model"]["select"][0]["hidden_sizes"]["select"][0] == [96, 96]
    assert learn["history"]["select"] == [5, 2, 10]
    assert {item["type"] for item in learn["schedule"]["select"]} >= {"cosine_warmup", "one_cycle"}
    assert {item["type"] for item in learn["optimizer"]["select"]} >= {"adamw", "sgd"}
    assert [] in space["augment"]["select"]


def without_a_model():
    task = load_task("cart_pole")
    learn = task.learn.model_copy(update={"model": None})
    return task.model_copy(update={"learn": learn})


def test_a_search_of_a_task_without_a_model_searches_the_space_of_the_portfolio():
    """Every family, structure and setting that the portfolio tries can be drawn."""
    task = without_a_model()
    facts = replace(channel_facts(task), history=USUAL_HISTORY)
    items = default_space(task)["learn"]["select"]
    structures = [one for model in MODELS for one in MODELS[model].structures(facts)]
    candidates = [one for model in MODELS for one in MODELS[model].candidates(facts)]
    assert len(items) == len(structures) + len(candidates)
    assert {item["model"]["type"] for item in items} >= {"arx", "physics", "narx", "rigid_body"}
    firsts = [FixedChooser({"learn": index}) for index in range(len(items))]
    drawn = [select_values({"learn": {"select": items}}, first)["learn"] for first in firsts]
    for structure, item in zip(structures, items, strict=False):
        assert item["history"]["select"] == list(structure.histories(facts))
        assert item["model"]["ridge"]["select"] == list(RIDGES)
    for candidate, values in zip(candidates, drawn[len(structures) :], strict=True):
        assert values["history"] == candidate.settings["history"]
        model, own = values["model"], candidate.settings["model"]
        assert MODELS[own["type"]](**model) == MODELS[own["type"]](**own)
        assert values.get("outputs") == candidate.settings.get("outputs")


def test_every_part_of_that_space_makes_a_task(tmp_path):
    """No trial runs a portfolio."""
    text = (EXAMPLES / "cart_pole.yaml").read_text()
    raw = yaml.safe_load(text)
    raw["learn"] = {"type": "dynamics"}
    path = tmp_path / "cart_pole.yaml"
    path.write_text(yaml.safe_dump(raw))
    space = default_space(load_task(path))
    for seed in range(20):
        task = load_task(path, select_values(space, Dice(seed)))
        assert task.learn.model is not None
    # It can be written into the task file, and a wrong key in it is an error with its place.
    raw["tune"] = {"space": space}
    path.write_text(yaml.safe_dump(raw))
    assert load_task(path).tune.space == space
    raw["tune"]["space"]["learn"]["select"][2]["device"] = "cpu"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(TaskError, match=r"tune.space.learn.select.2.device: is fixed in a search"):
        load_task(path)
