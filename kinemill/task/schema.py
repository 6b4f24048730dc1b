"""JSON schema of task files, for completion and checks in an editor.

The schema covers every plug-in of every family, entry points included. It accepts more than the
loader: short forms (a string, a number, one item instead of a list) that the loader converts, and
any combination of keys.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from kinemill.extras import MissingPackage
from kinemill.registry import Registry
from kinemill.store import Json
from kinemill.task.blocks import BLOCKS, Block
from kinemill.task.compute import TARGETS, Compute
from kinemill.task.control import CONTROLLERS, Controller
from kinemill.task.document import Task, validate_settings
from kinemill.task.environment import KINDS, WRAPPERS, Environment, Wrapper
from kinemill.task.imitation import HEADS, IMAGES, TEXTS, Head, ImageEncoder, TextEncoder
from kinemill.task.learn import Learn
from kinemill.task.own_code import OWN_SCHEMA
from kinemill.task.plugins import (
    AUGMENTATIONS,
    COORDINATES,
    ENCODINGS,
    LOSSES,
    MODELS,
    OBJECTIVES,
    OPTIMIZERS,
    SCHEDULES,
    TRANSFORMS,
    Coordinates,
    Encoding,
    Loss,
    Model,
    Optimizer,
    Plugin,
    Schedule,
    Transform,
)
from kinemill.task.reinforcement import ALGORITHMS, RUNNERS, Algorithm, Runner
from kinemill.task.stages import ValidateBase
from kinemill.task.trackers import TRACKERS, Track

SCHEMA_FILE = ".kinemill.schema.json"  # in the folder of the task files
DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Annotated base class, and the plug-ins of its family.
_FAMILIES: dict[type[BaseModel], Registry[type[BaseModel]]] = {
    Plugin: AUGMENTATIONS,
    Learn: OBJECTIVES,
    Model: MODELS,
    Loss: LOSSES,
    Transform: TRANSFORMS,
    Coordinates: COORDINATES,
    Encoding: ENCODINGS,
    Optimizer: OPTIMIZERS,
    Schedule: SCHEDULES,
    Compute: TARGETS,
    Track: TRACKERS,
    Controller: CONTROLLERS,
    Algorithm: ALGORITHMS,
    Runner: RUNNERS,
    Head: HEADS,
    Block: BLOCKS,
    ImageEncoder: IMAGES,
    TextEncoder: TEXTS,
    Environment: KINDS,
    Wrapper: WRAPPERS,
}
_SHORT: JsonSchemaValue = {"type": ["string", "number", "array"]}
_CONVERTED: JsonSchemaValue = {"$comment": "accepts a short form"}


class _WithShortForms(GenerateJsonSchema):
    """Schema generator that allows short forms where a validator converts the value first."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Return the schema of an integer, with `1_000` as well: a string in YAML 1.2."""
        plain = super().int_schema(schema)
        return {**plain, "type": ["integer", "string"], "pattern": r"^[-+]?[0-9_]+$"}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a number, with `1e-3` as well: a string in YAML 1.1."""
        plain = super().float_schema(schema)
        return {**plain, "type": ["number", "string"], "pattern": r"^[-+]?[0-9_.]+([eE][-+]?\d+)?$"}

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Return the schema of a value, a single item, or a short form."""
        whole = super().function_before_schema(schema)
        if "properties" in whole:  # a whole model: its definition is changed afterwards
            return {name: part for name, part in whole.items() if name != "required"} | _CONVERTED
        options: list[JsonSchemaValue] = [whole]
        if "items" in whole:
            options.append(whole["items"])
        return {"anyOf": [*options, _SHORT]}


def task_schema() -> Json:
    """Return the JSON schema of a task file; imports the settings of every plug-in."""
    members = {base: _members(family) for base, family in _FAMILIES.items()}
    plugins = [plugin for family in members.values() for plugin in family.values()]
    models = dict.fromkeys([Task, *members, ValidateBase, validate_settings(), *plugins])
    references, whole = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, schema_generator=_WithShortForms
    )
    definitions: Json = whole["$defs"]
    definitions[_name(references, ValidateBase)] = references[validate_settings(), "validation"]
    for base, family in _FAMILIES.items():
        options = [references[model, "validation"] for model in members[base].values()]
        options += [_any_settings(name) for name in family if name not in members[base]]
        options += [OWN_SCHEMA] if family.own is not None else []
        definitions[_name(references, base)] = {"anyOf": options}
        for name, plugin in members[base].items():
            _name_type(definitions[_name(references, plugin)], name, family.usual)
    for name, definition in definitions.items():
        if definition.get("$comment") == _CONVERTED["$comment"]:
            definitions[name] = {"anyOf": [definition, _SHORT]}
    task = definitions.pop(_name(references, Task))
    return {"$schema": DIALECT, **task, "title": "kinemill task", "$defs": definitions}


def _members(family: Registry[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Return the members of a family whose packages are installed, by name."""
    members: dict[str, type[BaseModel]] = {}
    for name in family:
        with suppress(MissingPackage):
            members[name] = family[name]
    return members


def _any_settings(name: str) -> JsonSchemaValue:
    """Return the schema of a plug-in whose settings are unknown, because it needs an extra."""
    return {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]}


def _name(references: Mapping[Any, JsonSchemaValue], model: type[BaseModel]) -> str:
    """Return the name of a model's definition."""
    return references[model, "validation"]["$ref"].removeprefix("#/$defs/")


def _name_type(definition: Json, name: str, usual: str | None) -> None:
    """Require `type` for a plug-in, except for the default of its family."""
    definition["properties"]["type"] = {"const": name}
    required = set(definition.get("required", [])) - {"type"}
    definition["required"] = sorted(required | (set() if name == usual else {"type"}))
