"""Expectation of Great Expectations on the table of episodes, as a task or a suite file lists it.

It is checked against the JSON schemas that Great Expectations ships, so that a task loads without
the 3 s that its import takes.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import ConfigDict

from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.settings import Problems, Settings

STATISTICS = ("min", "max", "mean", "std", "max_jump", "nonfinite")
_USUAL = "expect_column_values_to_be_between"
_COLUMN_KEYS = ("column", "column_A", "column_B", "column_list")
# `mostly` is a share of a batch; batches differ in size, so it would depend on the batch.
_INTERNAL = ("batch_id", "catch_exceptions", "id", "metadata", "mostly", "rendered_content")


class Expectation(Settings):
    """An expectation on each episode: its type in Great Expectations, and its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    type: str
    """name of the expectation, as `expect_column_values_to_be_between`"""

    @property
    def arguments(self) -> Json:
        """All keys except the type."""
        return dict(self.model_extra or {})

    @property
    def columns(self) -> list[str]:
        """Columns of the table that it looks at."""
        return [name for key in _COLUMN_KEYS for name in _listed(self.arguments.get(key))]

    def problems(self, channels: Mapping[str, object]) -> Problems:
        """Return an unknown type, unknown or wrong arguments, and unknown columns."""
        if self.type not in _schemas():
            return [(("type",), f"unknown expectation; {nearest(self.type, [*_schemas()])}")]
        if "Map" not in _metadata(_schemas()[self.type])["domain_type"]["description"]:
            what = f"{self.type} is about a whole table, which holds new episodes only; "
            return [(("type",), f"{what}expected one about each episode, such as {_USUAL}")]
        return [*_argument_problems(self.type, self.arguments), *self._column_problems(channels)]

    def _column_problems(self, channels: Iterable[str]) -> Problems:
        names = ["recording", *episode_columns(channels)]
        return [
            ((key,), f"unknown column {name!r}; {nearest(name, names)}")
            for key in _COLUMN_KEYS
            for name in _listed(self.arguments.get(key))
            if name not in names
        ]


def episode_columns(channels: Iterable[str]) -> list[str]:
    """Return the columns of the table of episodes, in order."""
    statistics = [f"{name}:{what}" for name in channels for what in STATISTICS]
    return ["episode", "rows", "duration_s", "nulls", *statistics]


def _listed(value: object) -> list[str]:
    values: list[object] = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str)]


def _argument_problems(type_: str, arguments: Json) -> Problems:
    from jsonschema import Draft7Validator

    schema = _schemas()[type_]
    accepted = _kwargs(type_)
    problems: Problems = [
        ((key,), f"unknown argument of {type_}; {nearest(key, [*accepted])}")
        for key in arguments
        if key not in accepted
    ]
    problems += [((key,), "is missing") for key in schema["required"] if key not in arguments]
    if "min_value" in accepted and not {"min_value", "max_value"} & arguments.keys():
        problems.append((("min_value",), "is missing; expected min_value, max_value or both"))
    for key, value in arguments.items():
        part = {**accepted.get(key, {}), "definitions": schema["definitions"]}
        error = next(Draft7Validator(part).iter_errors(value), None)
        if error:
            kinds = [kind["type"] for kind in part.get("anyOf", [part]) if "type" in kind]
            expected = f"; expected {' or '.join(kinds)}" if kinds else ""
            problems.append(((key,), f"found {value!r}{expected}"))
    return problems


@cache
def _schemas() -> Json:
    """Return the JSON schema of each expectation by type."""
    package = find_spec("great_expectations")  # which does not import it
    folder = Path((package and package.origin) or "").parent / "expectations" / "core" / "schemas"
    schemas = (json.loads(path.read_bytes()) for path in sorted(folder.glob("Expect*.json")))
    return {_metadata(schema)["expectation_type"]["const"]: schema for schema in schemas}


def _metadata(schema: Json) -> Json:
    return schema["properties"]["metadata"]["properties"]


@cache
def _kwargs(type_: str) -> Json:
    """Return the JSON schemas of the arguments; a table of numbers needs no dates."""
    properties = _schemas()[type_]["properties"] if type_ in _schemas() else {}
    return {
        key: {**part, "anyOf": [kind for kind in part["anyOf"] if not _is_foreign(kind)]}
        if "anyOf" in part
        else part
        for key, part in properties.items()
        if key not in (*_INTERNAL, "result_format", "windows")
    }


def _is_foreign(schema: Json) -> bool:
    """Return whether it stands for a date, or for a parameter of a suite."""
    return "format" in schema or schema.get("type") == "object"
