"""Resource of a run: its task with launchpad overrides, and the home.

One resource per task has the overrides, so that all stages of a run use the same effective task.
Bounds and names, which the launchpad's form cannot check, are checked at the launch of a run, when
Dagster builds the plan, and again when the resource starts, before any step.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from kinemill.errors import KinemillError
from kinemill.store import Json, digest
from kinemill.store.home import Home
from kinemill.store.locks import in_use
from kinemill.task import Plugin, Task, load_task
from kinemill.task.own_code import has_own_code
from kinemill.task.presets import list_presets, preset_overrides
from kinemill.task.setting_list import spell_bounds
from kinemill.tracking.database import open_registry
from kinemill_dagster.resources.compute import COMPUTE
from kinemill_dagster.resources.machine_check import check_inputs, check_machine
from kinemill_dagster.resources.retryable import note_refusal

# Recordings and episodes are cached by log; no decision is made twice.
RECOMPUTABLE = ("dataset", "training_set", "references", "model", "onnx_model", "verification")
_PRESETS = "presets"
_RECOMPUTE = "recompute"  # keys of the launchpad beside those of the task


def rules_of(task: Task) -> str:
    """Return the digest of the inputs of a result except logs: effective task and program."""
    return digest([task.model_dump(mode="json", by_alias=True), version("kinemill")])[:16]


class TaskResource(dg.ConfigurableResource[Any]):
    """The effective task of a run, and its home."""

    file: str = Field(description="path of the task file")
    web: bool = Field(
        default=False,
        description="whether the overrides come from a web request: they cannot set code, files or "
        "machines",
    )
    overrides: dict[str, Any | None] = Field(
        default={}, description="overrides, as in the task file"
    )
    recompute: list[str] = Field(
        default=[], description="assets to compute although they are cached"
    )

    @cached_property
    def task(self) -> Task:
        """The task with overrides."""
        return load_task(Path(self.file), self.overrides, web=self.web)

    @cached_property
    def home(self) -> Home:
        """The home of all data."""
        return Home.resolve()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["TaskResource"]:
        """Check the task and open the registry before any step of a run.

        Raises:
            KinemillError: The task file, an override, or what it refers to cannot be used, or
                the registry is lost.
        """
        run = context.run
        try:
            name = self.task.name
            check_machine(self.task)
            if _is_training(run):
                check_inputs(self.task, self.home)
        except KinemillError:
            if context.instance and run:
                note_refusal(context.instance, run.run_id)
            raise
        with in_use(self.home, f"run-{run.run_id[:8] if run else name}"):
            open_registry(self.home)
            yield self


def _is_training(run: dg.DagsterRun | None) -> bool:
    """Return whether a run trains: one that only prepares data needs no start model."""
    selected = run and run.asset_selection
    return not selected or any(key.path[-1] == "model" for key in selected)


def define_task_resource(task: Task, *, web: bool = True) -> dg.ResourceDefinition:
    """Return the resource of a task, configured by the launchpad's form.

    Args:
        task: task of the task file.
        web: whether the config comes from users of the server; if not, from a user of this machine,
            who can set code and files, and it is already checked.
    """
    path = task.path or Path(f"{task.name}.yaml")
    schema = launchpad(task) if web else dg.Permissive()

    def overrides_of(config: Json) -> Json:
        """Return the resource's config; Dagster calls this when it plans a run, before a launch.

        Raises:
            KinemillError: A key or value is invalid, with its bound.
        """
        overrides = dict(config)
        stages = overrides.pop(_RECOMPUTE, [])
        overrides = preset_overrides(overrides.pop(_PRESETS, []), task) | overrides
        if web and overrides:
            changed = load_task(path, overrides, web=True)
            COMPUTE[changed.compute.type]  # unknown targets fail before any step
        return {"file": str(path), "web": web, "overrides": overrides, "recompute": stages}

    return (
        TaskResource.configure_at_launch()
        .get_resource_definition()
        .configured(
            overrides_of,
            config_schema=dg.Field(schema, is_required=False),
            description=f"Overrides of {path.name} for this run; other values are unchanged.",
        )
    )


def launchpad(task: Task) -> dict[str, dg.Field]:
    """Return the launchpad's form of the task's models, with current values as descriptions.

    It has no defaults: Dagster would merge those of the old `type` into a new one.
    """
    fields = _fields(task)
    del fields["task"]
    names = (f"{part}={name}" for part, choices in list_presets().items() for name in choices)
    fields[_PRESETS] = dg.Field(
        [str],
        is_required=False,
        description=f"Presets, applied in this order before the other keys: {', '.join(names)}",
    )
    stages = dg.Enum("recompute", [dg.EnumValue(name) for name in RECOMPUTABLE])
    fields[_RECOMPUTE] = dg.Field(
        [stages],
        is_required=False,
        description=f"Stages to compute although they are cached: {', '.join(RECOMPUTABLE)}",
    )
    return fields


def _fields(part: BaseModel) -> dict[str, dg.Field]:
    return {
        info.alias or name: _field(type(part), name, info, getattr(part, name))
        for name, info in type(part).model_fields.items()
        if not (name == "source" and has_own_code(part))  # the text of a file
    }


def _field(owner: type[BaseModel], name: str, info: FieldInfo, value: object) -> dg.Field:
    """Return the field of a key, shared by equal parts of all tasks: a form has 280 fields."""
    key = (owner, name, value.model_dump_json()) if isinstance(value, BaseModel) else None
    if key is not None and key in _parts:
        return _parts[key]
    shape = _shape(info.annotation, value)
    field = dg.Field(shape, is_required=False, description=_describe(info, value))
    if key is not None:
        _parts[key] = field
    return field


_parts: dict[tuple[type[BaseModel], str, str], dg.Field] = {}  # by model, key and value


def _shape(annotation: Any, value: Any) -> Any:
    """Return Dagster's type of a key: known types and parts, else any."""
    if isinstance(value, Plugin):
        return dg.Permissive(_fields(value))
    if isinstance(value, BaseModel):
        plain = _is_single_model(annotation) and _spelled_by_field(value)
        return dg.Shape(_fields(value)) if plain else dg.Any
    if annotation in (bool, int, float, str):
        return annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    if len(choices) > 1:  # a single literal is the `type` of a plug-in, which can change
        return dg.Enum("_".join(choices), [dg.EnumValue(choice) for choice in choices])
    return dg.Any


def _is_single_model(annotation: object) -> bool:
    return get_origin(annotation) not in (Union, UnionType)


def _spelled_by_field(part: BaseModel) -> bool:
    """Return whether a task file has the part as a mapping of its fields."""
    names = {info.alias or name for name, info in type(part).model_fields.items()}
    spelled: Any = part.model_dump(by_alias=True)  # false with a custom serializer
    return isinstance(spelled, dict) and set(spelled) == names


def _describe(info: FieldInfo, value: object) -> str:
    now = "" if isinstance(value, BaseModel) else f"now {value!r}"
    return ". ".join(part for part in (now, spell_bounds(info), info.description or "") if part)
