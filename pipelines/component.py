"""Component `kinemill_dagster.KinemillTask`: one task of a `defs.yaml`, for `dg` and for editors.

    dg scaffold defs kinemill_dagster.KinemillTask arm              # a task to fill in
    dg scaffold defs kinemill_dagster.KinemillTask arm --log RUN.csv     # drafted from a log
    dg scaffold defs kinemill_dagster.KinemillTask arm --file tasks/arm.yaml

The attributes are those of a task file, with its JSON schema, or `file`.
"""

from pathlib import Path
from textwrap import indent
from typing import Any, cast

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from kinemill.errors import BadInput, KinemillError
from kinemill.store import publish_file
from kinemill.store.project import COMPONENT_FILE
from kinemill.task import load_task
from kinemill.task.yaml import scalar
from kinemill_dagster.pipelines.automation import retraining_sensor
from kinemill_dagster.pipelines.chain import broken_task, task_definitions

_REF = "#/$defs/"
_TASK = """\
task: {name}
description: "" # one line for the catalog
dt: 0.01 # s, the time step of the model
channels: # columns of the logs; `kinemill task show {name}` lists all keys with their values
  angle:    {{role: state, kind: angle, unit: rad, source: angle}}
  velocity: {{role: state, unit: rad/s, derivative_of: angle, source: velocity}}
  torque:   {{role: action, unit: N*m, source: torque}}
learn: {{type: dynamics, model: {{type: mlp}}}}
"""


class ScaffoldParams(BaseModel):
    """Options of `dg scaffold defs kinemill_dagster.KinemillTask`."""

    file: str | None = Field(default=None, description="an existing task file of the project")
    log: str | None = Field(default=None, description="a log, or a folder of logs, to draft from")


class TaskScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the `defs.yaml` of a task."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write `defs.yaml` into the folder, which gives the task its name.

        Raises:
            BadInput: The format is Python, or the component is appended to another one.
        """
        if request.scaffold_format != "yaml" or request.append:
            fix = "scaffold it into a separate folder, with --format yaml"
            raise BadInput(
                request.target_path, f"must be the only one in a {COMPONENT_FILE}", fix=fix
            )
        attributes = indent(_attributes(request.target_path.name, request.params), "  ")
        text = f"type: {request.type_name}\nattributes:\n{attributes}"
        publish_file(request.target_path / COMPONENT_FILE, text.encode())


def _attributes(name: str, params: ScaffoldParams) -> str:
    if params.file:
        return f"file: {params.file}\n"
    if params.log:
        from kinemill.draft.builder import draft

        return draft(name, Path(params.log))
    return _TASK.format(name=name)


class TaskAttributes(BaseModel):
    """Attributes of the component; `kinemill.task` checks the keys of a task.

    Attributes:
        file: path of a task file from the project, in place of all other attributes.
    """

    model_config = ConfigDict(extra="allow")

    file: str | None = None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of a task file with the key `file`, which no other key accompanies."""
        from kinemill.task.schema import task_schema

        del core_schema
        schema = _with_definitions(task_schema(), cast("Any", handler).generate_json_schema)
        file = {"type": "string", "description": "path of a task file, from the project"}
        required = schema.pop("required")
        return {
            **schema,
            "properties": {"file": file, **schema["properties"]},
            "examples": [scalar(_TASK.format(name="arm"))],
            "oneOf": [
                {"required": required, "not": {"required": ["file"]}},
                {"required": ["file"], "maxProperties": 1},
            ],
        }


def _with_definitions(schema: JsonSchemaValue, generator: Any) -> JsonSchemaValue:
    """Move the definitions of a schema to a schema that pydantic is generating; return the rest.

    Dagster puts the schemas of all components into one document for editors.
    """
    definitions: dict[str, JsonSchemaValue] = schema["$defs"]
    names = {
        name: generator.get_cache_defs_ref_schema(f"kinemill.{name}:0") for name in definitions
    }

    def renamed(value: object) -> object:
        if isinstance(value, list):
            return [renamed(item) for item in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        mapping = cast("dict[str, Any]", value)
        target = mapping.get("$ref")
        if isinstance(target, str) and target.startswith(_REF):
            return {**mapping, **names[target.removeprefix(_REF)][1]}
        return {key: renamed(item) for key, item in mapping.items()}

    for name, definition in definitions.items():
        generator.definitions[names[name][0]] = renamed(definition)
    return {key: renamed(part) for key, part in schema.items() if key not in ("$defs", "$schema")}


@dg.scaffold_with(TaskScaffolder)
class KinemillTask(dg.Component):
    """A robot's task: logs in, a verified and versioned model or controller out.

    Its assets are the stages from recordings to the registered model. The attributes are the keys
    of a task file, or `file`.

    Args:
        path: the task file, or the `defs.yaml` that holds the task.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the attributes."""
        return TaskAttributes

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return owners and tags of the component type, which `dg` lists."""
        return dg.ComponentTypeSpec(tags=["robotics", "system identification"])

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "KinemillTask":
        """Return the component of a `defs.yaml`."""
        file = attributes.file if isinstance(attributes, TaskAttributes) else None
        return cls(context.project_root / file if file else context.path / COMPONENT_FILE)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return assets, jobs and resources of the task; of an invalid file the errors."""
        del context
        try:
            task = load_task(self.path)
        except KinemillError as error:
            return dg.Definitions(assets=[broken_task(self.path, error)])
        made = task_definitions(task)
        sensors = retraining_sensor([task], [made], f"{task.name}_retraining")
        return dg.Definitions.merge(made, dg.Definitions(sensors=sensors))
