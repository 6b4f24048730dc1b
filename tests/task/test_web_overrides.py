"""Run configuration from the web names no code, file or machine; every field is walked."""

import json
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from kinemill.errors import BadInput, TaskError
from kinemill.task import load_task
from kinemill.task.document import Task, validate_settings
from kinemill.task.overrides import _FAMILIES
from kinemill.task.plugins import RULES
from kinemill.task.web_overrides import PLAIN, mark_of, within
from tests.conftest import EXAMPLES

# Fields of free text that name channels, patterns, formulas or labels and nothing else. A field
# that names code, a command, a file, a machine or an address is marked LOCAL, CODE or MODEL.
# Formulas and queries (`derived`, `equations`, `where`) are parsed, the code that `checks` and
# `blocks` name is checked by itself, `task`, `sidecar` and `space` have patterns.
TEXT = {
    "action_joints", "actuators", "blocks", "bounds", "channel", "channels", "checks", "cron",
    "curves", "derivative_of", "derived", "description", "drives", "equations", "eval_variant",
    "exclude", "feet", "flip", "format", "formula", "freeze", "gains", "group_by", "groups",
    "healthy", "hidden", "ignore", "include", "joints", "keyframe", "keys", "limits", "locked",
    "max_rate", "max_std", "memory", "metric", "motions", "motors", "name", "noise", "observations",
    "observe", "of", "outputs", "owners", "pairs", "parameters", "parent", "parts", "policies",
    "powers", "random_agents", "randomize", "relations", "relative", "reward", "rules",
    "safe_action", "score", "sidecar", "space", "stance", "start", "std", "step", "swap", "task",
    "templates", "terms", "test", "texts", "time", "type", "unit", "unused", "validation",
    "variant", "vary", "weights", "where", "words",
}  # fmt: skip
CART_POLE = EXAMPLES / "cart_pole.yaml"


def models(annotation):
    """The models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def every_model():
    """All models of a task file, those of every family's members included."""
    waiting = [
        Task,
        validate_settings(),
        *(part_[name] for part_ in _FAMILIES.values() for name in part_),
        *(rule for rule in RULES.values() if isinstance(rule, type)),
    ]
    calls = []
    while waiting:
        model = waiting.pop()
        if model not in calls:
            calls.append(model)
            for info in model.model_fields.values():
                waiting += models(info.annotation)
    return calls


def is_free(annotation):
    """Whether a value may be any text, or anything."""
    if get_origin(annotation) is Literal:
        return False
    if annotation is Any or annotation in (dict, list):
        return True
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    if is_class and not issubclass(annotation, bool | int | float | type(None) | BaseModel):
        return True
    return any(is_free(part) for part in get_args(annotation) if part is not ...)


FIELDS = [
    pytest.param(name, info, id=f"{model.__name__}.{name}")
    for model in every_model()
    for name, info in model.model_fields.items()
    if is_free(info.annotation) and name not in getattr(model, "channel_keys", ())
]


@pytest.mark.parametrize(("name", "info"), FIELDS)
def test_every_field_of_free_text_is_classified(name, info):
    """A new one fails here: mark it, with PLAIN if it only names things of the task."""
    assert mark_of(info) or PLAIN in info.metadata or name in TEXT


SUSPICIOUS = (
    "path",
    "file",
    "folder",
    "module",
    "command",
    "image that",
    "url",
    "host:",
    "package",
)


PLAIN_NAMES = {  # fields whose descriptions mention files, columns or groups, and which name none
    "checks", "exclude", "format", "group_by", "groups", "include", "joints", "name",
    "observations", "parts", "sidecar", "time",
}  # fmt: skip


@pytest.mark.parametrize(("name", "info"), FIELDS)
def test_no_unmarked_field_says_that_it_names_a_file(name, info):
    """The descriptions of the fields that are not marked, as a second look."""
    text = (info.description or "").lower()
    assert mark_of(info) or name in PLAIN_NAMES or not any(word in text for word in SUSPICIOUS)


def test_no_unmarked_field_has_a_validator_that_may_read_a_file():
    """A validator before the type may take a text for more than it is."""
    refused = {
        getattr(part_.func, "__qualname__", repr(part_.func)).partition(".")[0]
        for model in every_model()
        for info in model.model_fields.values()
        if not mark_of(info)
        for part_ in info.metadata
        if type(part_).__name__ == "BeforeValidator"
    }
    assert refused <= READ, refused - READ


# Each was read: they choose a plug-in by its name, or take one item for a list of one. Those that
# take own code check it before they read the file, see tests/task/test_own_code.py.
READ = {
    *("pick", "pick_own", "pick_or_none", "pick_environment", "_named", "_validate_part"),
    "_pick_loss",
    *("as_list", "_as_physics", "_as_resample", "listed_by"),
    *("_formula", "_number", "_known_unit", "_rules"),
}


@pytest.fixture
def load(tmp_path):
    """Load cart_pole with keys of the file and overrides of the web."""

    def make(given=None, changes=None, *, web=True):
        document = yaml.safe_load(CART_POLE.read_text())
        for key, value in (given or {}).items():
            inner = document
            *above, last = key.split(".")
            for name in above:
                inner = inner.setdefault(name, {})
            inner[last] = value
        (tmp_path / "tasks").mkdir(exist_ok=True)
        path = tmp_path / "tasks" / "cart_pole.yaml"
        path.write_text(json.dumps(document))
        return load_task(path, changes or {}, web=web)

    return make


ENVIRONMENT = {"environment": "CartPole-v1"}
ENCODER = {"type": "imitation", "image": {"type": "conv", "checkpoint": "/x.safetensors"}}
CHANGES = {
    "a function in a file": {"learn.eval_callback": "/tmp/evil.py:f"},
    "a function of a module": {"learn.eval_callback": "os:system"},
    "in a mapping": {"learn": {"eval_callback": "/tmp/evil.py:f"}},
    "with the type": {"learn": {"type": "dynamics", "eval_callback": "evil.py:f"}},
    "weights of a folder": {"learn.start_from": "/tmp/model"},
    "a relative folder": {"learn.start_from": "../models:/x"},
    "a class in a file": {"environment": {"type": "python", "path": "/tmp/evil.py:C"}},
    "a class, in short": {"environment": "/tmp/evil.py:C"},
    "a class of a module": {"environment": "os:system"},
    "a package that is imported": {"environment": {"type": "gymnasium", "id": "evil:Cart-v0"}},
    "a package, in short": {"environment": "evil:Cart-v0"},
    "arguments of a class": {"environment.arguments": {"xml_file": "/etc/passwd"}},
    "a variant": {"environment.variants": {"a": {"xml_file": "/etc/passwd"}}},
    "a model of a folder": {"environment": {"type": "learned", "model": "/tmp/model"}},
    "weights of an encoder": {"learn": ENCODER},
    "a drop folder": {"ingest.watch": "/etc"},
    "a side-car elsewhere": {"ingest.meta.sidecar": "/../../x"},
    "an image": {"compute": {"type": "kubernetes", "image": "evil"}},
    "a cluster": {"compute": {"type": "ray", "address": "evil:6379"}},
    "a service that numbers are sent to": {"track": [{"type": "wandb", "mode": "online"}]},
    "a task file elsewhere": {"dataset.join": [{"task": "/tmp/evil"}]},
    "a choice of a search": {
        "tune.space": {"learn": {"eval_callback": {"select": ["evil.py:f", "evil.py:g"]}}}
    },
    "one choice of a search": {"tune.space": {"learn": {"eval_callback": "evil.py:f"}}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_web_names_no_code_file_or_machine(load, name):
    given = ENVIRONMENT if "environment" in next(iter(CHANGES[name])) else {}
    with pytest.raises(TaskError, match=r"web requests cannot set|String should match pattern"):
        load(given, CHANGES[name])


def test_a_user_of_this_machine_names_what_they_like(load, tmp_path):
    assert load({}, {"learn.eval_callback": "os:system"}, web=False).learn.eval_callback
    task = load({}, {"learn.start_from": str(tmp_path)}, web=False)
    assert task.learn.start_from == str(tmp_path)


def test_what_the_task_file_names_stays_in_force(load):
    given = {"learn.eval_callback": "look.py:f", "learn.start_from": "/models/3", **ENVIRONMENT}
    task = load(given, {"learn": {"steps": 3}})
    assert task.learn.eval_callback.endswith("tasks/look.py:f")
    dump = task.model_dump(mode="json", by_alias=True)
    dump["learn"]["steps"] = 4  # the whole form, as the launchpad prints it
    assert load(given, dump).learn.steps == 4
    assert load(given, {"learn.start_from": None}).learn.start_from is None
    assert load(given, {"learn.start_from": "models:/cart_pole/1"}).learn.start_from


def test_a_value_of_one_field_is_none_of_another(load):
    with pytest.raises(TaskError, match="web requests cannot set"):
        load({"learn.eval_callback": "look.py:f"}, {"environment": "look.py:f"})


@pytest.mark.parametrize("hook", ["../evil.py:f", "link.py:f", "/tmp/evil.py:f"])
def test_the_server_loads_no_code_from_outside_the_tasks_folder(load, tmp_path, hook):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "evil.py").touch()
    (tmp_path / "tasks" / "link.py").symlink_to(tmp_path / "evil.py")
    given = {"learn.eval_callback": hook}
    with pytest.raises(TaskError, match="the only folder with code that the server loads"):
        load(given, {"learn.steps": 3})
    assert load(given, {"learn.steps": 3}, web=False).learn.eval_callback


def test_a_task_file_with_mistakes_is_refused_whatever_the_web_adds(load):
    with pytest.raises(TaskError, match=r"cart_pole\.yaml"):
        load({"learn.steps": -1}, {"learn": {"steps": 3, "eval_callback": "evil.py:f"}})


def test_a_folder_of_logs_lies_in_the_drop_folder(tmp_path):
    drop, elsewhere = tmp_path / "drop", tmp_path / "other"
    for folder in (drop / "new", elsewhere):
        folder.mkdir(parents=True)
    (drop / "link").symlink_to(elsewhere)
    assert within(drop, drop / "new") == (drop / "new").resolve()
    assert within(drop, drop) == drop.resolve()
    for folder in (elsewhere, drop / "link", drop / ".." / "other", drop.parent):
        with pytest.raises(BadInput, match="is outside"):
            within(drop, folder)
