"""Protect settings of code, files and machines from web requests.

A protected field has the annotation `Annotated[str, LOCAL]`. Its value comes from the task file or
from a user of this machine (`kinemill run --set`, Python), never from run configuration of the web
pages, GraphQL or REST. The value is checked before any other use.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema, to_jsonable_python

from kinemill.errors import BadInput
from kinemill.task.hooks import file_of
from kinemill.task.settings import children

Value = tuple[str, str]  # the name of a field, and a value of it as JSON


@dataclass(frozen=True)
class Context:
    """The pydantic validation context of a task.

    Attributes:
        folder: folder of the task file, for relative paths.
        allowed: values of marked fields in the task file, which web requests can use; None for a
            user of this machine.
        validated: validated values of marked fields.
    """

    folder: Path
    allowed: frozenset[Value] | None = None
    validated: set[Value] = field(default_factory=set[Value])

    def values(self) -> dict[str, object]:
        """Return the context as a mapping for pydantic."""
        return {"folder": self.folder, "settings": self}


@dataclass(frozen=True)
class Local:
    """Annotation of a field that web requests cannot set.

    Attributes:
        public: prefix of safe values, such as `models:/`.
        code: whether the value is code, `file.py:name` or `module:name`.
    """

    public: str | None = None
    code: bool = False

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the field with the check before it."""
        return core_schema.with_info_before_validator_function(self._checked, handler(source))

    def _checked(self, value: object, info: ValidationInfo) -> object:
        return self.check(str(info.field_name), value, info.context)

    def check(self, name: str, value: object, values: object) -> object:
        """Return the value of a field if the request is allowed to set it.

        Raises:
            ValueError: A web request set a value that is not in the task file.
        """
        context = values.get("settings") if isinstance(values, dict) else None
        if not isinstance(context, Context):
            return value
        named = name, _spell(value)
        context.validated.add(named)
        if context.allowed is None or (self.public and str(value).startswith(self.public)):
            return value
        if value is not None and named not in context.allowed:
            raise ValueError(
                "is code, a file or a machine, which web requests cannot set; set it in the task "
                "file, or use kinemill run on the machine itself"
            )
        path = file_of(value) if self.code and isinstance(value, str) else None
        if path is not None and not _lies_in(context.folder, path):
            raise ValueError(
                f"is outside of {context.folder}, the only folder with code that the server loads"
            )
        return value


def allow(name: str, value: object, values: object) -> None:
    """Record a value of a task file, which web requests can then use."""
    context = values.get("settings") if isinstance(values, dict) else None
    if isinstance(context, Context):
        context.validated.add((name, _spell(value)))


PLAIN = "a plain name"  # of a thing of the task: free text that the web can set
LOCAL = Local()
CODE = Local(code=True)
MODEL = Local(public="models:/")  # a registered model; the folder of a model is protected


def mark_of(info: FieldInfo) -> Local | None:
    """Return the annotation `Local` of a pydantic field, or None."""
    return next((mark for mark in info.metadata if isinstance(mark, Local)), None)


def marked_values(part: object) -> Iterator[Value]:
    """Yield the values of marked fields in a part of a task and in all parts below."""
    if isinstance(part, BaseModel):
        for name, info in type(part).model_fields.items():
            if mark_of(info):
                yield name, _spell(getattr(part, name))
            else:
                yield from marked_values(getattr(part, name))
        return
    for _, value in children(part):
        yield from marked_values(value)


def within(folder: Path, requested: Path) -> Path:
    """Return the resolved path of a web request; it cannot leave the folder by links.

    A relative path starts at `folder`.

    Raises:
        BadInput: The path is outside of `folder`.
    """
    if not _lies_in(folder, requested):
        expected = f"a path in {folder}"
        fix = "put the logs there, or use kinemill run --logs"
        raise BadInput(f"folder {requested}", "is outside", expected=expected, fix=fix)
    return (folder / requested).resolve()


def _lies_in(folder: Path, path: Path) -> bool:
    return (folder / path.expanduser()).resolve().is_relative_to(folder.resolve())


def _spell(value: object) -> str:
    return json.dumps(to_jsonable_python(value), sort_keys=True, default=str)
