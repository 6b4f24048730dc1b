"""MkDocs hook: generate the reference pages from the code while the site is built.

`reference/commands.md` comes from the command line, `reference/task-keys.md` from the settings
models, `reference/plugin-list.md` from the registries, `reference/metadata.md` from the modules
that define the keys, and `reference/rest-operations.md` from the OpenAPI document. None of these
pages is in the repository.
"""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer

from kinemill.registry import Registry

ROOT = Path(__file__).parents[2]
Schema = dict[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the files of the site."""
    from mkdocs.structure.files import File  # installed for `make docs` alone

    for path, content in pages().items():
        files.append(File.generated(config, f"reference/{path}", content=content))
    return files


def on_page_markdown(_: str, page: Any, **__: Any) -> None:
    """Leave the pages of results out of the search: they mention everything and explain nothing."""
    if page.file.src_uri.startswith("results"):
        page.meta["search"] = {"exclude": True}


def pages() -> dict[str, str]:
    """Return the Markdown of each generated page by its file name."""
    return {
        "commands.md": commands(),
        "task-keys.md": task_keys(),
        "plugin-list.md": plugins(),
        "metadata.md": metadata(),
        "rest-operations.md": rest_operations(),
    }


def cell(text: object) -> str:
    """Return a text as it may stand in a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell(part) for part in line) + " |" for line in lines)


# Commands


def commands() -> str:
    """Return the page of all commands, from the help texts."""
    from kinemill.cli.app import app

    root = typer.main.get_command(app)
    parts = [
        "# Commands",
        "Each command takes `--help`. Commands that print a result take `--json`. The "
        "[exit codes](../runs.md#exit-codes) are the same for all commands. "
        "`kinemill --install-completion` installs completion for the current shell.",
    ]
    leaves = list(commands_of(root, "kinemill"))
    rows = [(f"[`{path}`](#{_slug(path)})", one.get_short_help_str(80)) for path, one in leaves]
    parts += [table(("command", "purpose"), rows), *(_command(path, one) for path, one in leaves)]
    return "\n\n".join(parts) + "\n"


def commands_of(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each command below a group with its full name."""
    if not hasattr(command, "commands"):
        yield path, command.load()
        return
    for name, child in command.commands.items():
        if not child.hidden:
            yield from commands_of(child, f"{path} {name}")


def _slug(path: str) -> str:
    return path.replace(" ", "-")


def _command(path: str, command: Any) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text, _, example = inspect.cleandoc(command.help or "").partition("Example:")
    parts = [f"## {path} {{ #{_slug(path)} }}", text.replace("\b", "").strip()]
    if example:
        parts.append(f"```sh\n{example.strip()}\n```")
    parts.append(f"Usage: `{path} {usage}`")
    rows = []
    for option in command.params:
        names = option.opts + option.secondary_opts
        name = ", ".join(f"`{each}`" for each in names) if names else f"`{option.name}`"
        rows.append((name, getattr(option, "help", "") or "", _default(option)))
    parts.append(table(("option", "meaning", "default"), rows))
    return "\n\n".join(parts)


def _default(option: Any) -> str:
    if option.required:
        return "required"
    value = option.default
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"`{value}`" if plain and value != "" else ""


# Task file


def task_keys() -> str:
    """Return the page of all keys of a task file, from the JSON schema."""
    from kinemill.task.schema import task_schema

    schema = task_schema()
    pages = _Keys(schema["$defs"])
    parts = [
        "# Keys of the task file",
        "The settings models of the code generate this page; every installed plug-in is included. "
        "[The task file](../task-file.md) explains the parts with examples. "
        "`kinemill task show TASK` prints a task with all defaults.",
        "## Top level",
        pages.table(schema),
    ]
    for name, key in schema["properties"].items():
        section = pages.sections(key, 3)
        if section:
            parts += [f"## {name}", key.get("description", ""), *section]
    return "\n\n".join(part for part in parts if part) + "\n"


class _Keys:
    """The definitions of a JSON schema, each documented at its first use."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions, self._written = definitions, set[str]()

    def sections(self, key: Schema, level: int) -> list[str]:
        """Return sections for all definitions that a key reaches and no earlier key reached."""
        parts, queue = [], list(self._references(key))
        while queue:
            name = queue.pop(0)
            if name in self._written:
                continue
            self._written.add(name)
            definition = self._object(name)
            if "properties" in definition:
                kind = definition["properties"].get("type", {}).get("const")
                title = f"`type: {kind}`" if kind else definition.get("title", name)
                parts += [
                    f"{'#' * level} {title} {{ #{_anchor(name)} }}",
                    definition.get("description", ""),
                    self.table(definition),
                ]
            queue[:0] = list(self._references(self.definitions[name]))
        return parts

    def table(self, definition: Schema) -> str:
        """Return the table of an object's keys."""
        required = set(definition.get("required", []))
        rows = []
        for key, schema in definition.get("properties", {}).items():
            if "const" in schema:
                continue
            default = "required" if key in required else _json(schema.get("default"))
            default = "" if default.startswith("`{") and default != "`{}`" else default
            text = schema.get("description") or self._description(schema)
            rows.append((f"`{key}`", self.kind(schema), default, text))
        return table(("key", "type", "default", "meaning"), rows) if rows else ""

    def kind(self, schema: Schema) -> str:
        """Return the type of a value in words."""
        if "$ref" in schema:
            return self._link(schema["$ref"].rpartition("/")[2])
        if "enum" in schema or "const" in schema:
            return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            kinds = [self.kind(option) for option in options if not _is_short(option)]
            return ", ".join(dict.fromkeys(kind for kind in kinds if kind))
        name = schema.get("type", "any value")
        if name in ("array", "object"):
            word, inner = {
                "array": ("list of", schema.get("items")),
                "object": ("mapping to", schema.get("additionalProperties")),
            }[name]
            return f"{word} {self.kind(inner)}" if isinstance(inner, dict) else word.split()[0]
        # A number may also be written as a string such as `1e-3`.
        name = name[0] if isinstance(name, list) else name
        return {"null": "none", "boolean": "true or false"}.get(name, name) + _bounds(schema)

    def _link(self, name: str) -> str:
        options = self.definitions[name].get("anyOf", [])
        names = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
        if names:
            return ", ".join(self._link(each) for each in names)
        definition = self._object(name)
        if "properties" not in definition:
            return self.kind(self.definitions[name]) if "enum" in definition else name
        kind = definition["properties"].get("type", {}).get("const")
        text = f"`{kind}`" if kind else definition.get("title", name)
        return f"[{text}](#{_anchor(name)})"

    def _object(self, name: str) -> Schema:
        """Return a definition without the short forms that it may be given in."""
        definition = self.definitions[name]
        options = [each for each in definition.get("anyOf", []) if "properties" in each]
        return options[0] if options else definition

    def _description(self, schema: Schema) -> str:
        if "$ref" not in schema:
            return ""
        text = self._object(schema["$ref"].rpartition("/")[2]).get("description", "")
        return re.split(r"(?<=\.)\s", text)[0]

    def _references(self, schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            if "$ref" in schema:
                yield schema["$ref"].rpartition("/")[2]
            for name, part in schema.items():
                if name != "default":
                    yield from self._references(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from self._references(part)


def _is_short(schema: Schema) -> bool:
    """Return whether a schema is the short form that every converted value allows."""
    return schema.get("type") == ["string", "number", "array"]


def _bounds(schema: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    parts = [f"{sign} {_number(schema[key])}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(parts)}" if parts else ""


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _json(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _anchor(name: str) -> str:
    return name.lower().replace("_", "-")


# Plug-ins


def registries() -> Iterator[Registry[Any]]:
    """Yield the registry of each family, in the order of its package."""
    from kinemill.control.sim import SIMULATORS
    from kinemill.dataset.writers import WRITERS
    from kinemill.register.gate.rules import RULES
    from kinemill.task import schema
    from kinemill.task.plugins import CHECKS, READERS

    families = {one.package: one for one in schema._FAMILIES.values()}
    families |= {one.package: one for one in (CHECKS, READERS, WRITERS, RULES, SIMULATORS)}
    yield from (families[package] for package in sorted(families))


def plugins() -> str:
    """Return the page of all plug-ins that kinemill ships, from the registries."""
    parts = [
        "# Plug-ins",
        "The registries of the code generate this page. A plug-in is one file in the folder of its "
        "family, or an entry point whose group is the folder's name: see "
        "[base classes](plugins.md).",
    ]
    for family in registries():
        rows = [(f"`{name}`", _summary(family[name])) for name in family]
        default = f" Default: `{family.usual}`." if family.usual else ""
        parts += [
            f"## {family.what.capitalize()} {{ #{family.package.replace('.', '-')} }}",
            f"Folder and entry point group: `{family.package}`.{default}",
            table(("name", "purpose"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def _summary(plugin: Any) -> str:
    """Return the first sentence of a plug-in's docstring, or of its module's."""
    own = plugin.__doc__ if inspect.isclass(plugin) or inspect.isfunction(plugin) else None
    if not own:
        # A reader of logs is an object of one class; its functions are in the module of the format.
        module = inspect.getmodule(getattr(plugin, "recognizes", plugin))
        own = module.__doc__ if module else ""
    return re.split(r"(?<=\.)\s", " ".join((own or "").split()))[0]


# Metadata keys


def metadata() -> str:
    """Return the page of the keys in Dagster and MLflow, from the modules that define them."""
    from kinemill.register import tags
    from kinemill_dagster.assets.metadata import DESCRIPTIONS

    rows = [(f"`{key}`", text) for key, text in sorted(DESCRIPTIONS.items())]
    parts = [
        "# Metadata keys",
        "## Assets in Dagster",
        "Each key has one meaning for all assets.",
        table(("key", "meaning"), rows),
        "## Tags in MLflow",
        "kinemill writes these tags, `mlflow.user` and `mlflow.source.*` to runs and versions.",
        table(("tag", "meaning"), list(_tags(Path(tags.__file__)))),
    ]
    return "\n\n".join(parts) + "\n"


def _tags(path: Path) -> Iterator[tuple[object, ...]]:
    """Yield each string constant of a module, with the comment on its line."""
    source = path.read_text()
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            name = str(node.value.value)
            comment = " ".join(lines[node.lineno - 1 : node.end_lineno]).partition("# ")[2]
            if re.match(r"(kinemill|mlflow)\.\w", name):
                yield f"`{name}`", comment.removesuffix(" )")


# REST


def rest_operations() -> str:
    """Return the page of all REST operations, from the OpenAPI document."""
    from kinemill_dagster.pipelines.server.rest.app import describe_app

    document = describe_app().openapi()
    schemas = document["components"]["schemas"]
    parts = [
        "# REST operations\n\nBelow `/api/v1`; [REST](../rest.md) shows how to use them. Generated "
        "from the OpenAPI document.\n"
    ]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            text = _operation(f"{method.upper()} {path}", operation, schemas)
            by_tag.setdefault(operation["tags"][0], []).append(text)
    for tag, texts in by_tag.items():
        parts += [f"\n## {tag.capitalize()}\n", *texts]
    return "\n".join(parts)


def _operation(title: str, operation: Schema, schemas: Schema) -> str:
    """Return the section of an operation: text, parameters, body and response."""
    parts = [f"\n### `{title}`\n", operation["description"], "", f"Role: {_role(title)}."]
    rows = [
        (
            f"`{one['name']}`",
            one["in"],
            one["schema"].get("default", ""),
            one.get("description", ""),
        )
        for one in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = schemas[_name(content["application/json"]["schema"])]
        rows += [
            (f"`{name}`", "body", json.dumps(one.get("default", "")), one.get("description", ""))
            for name, one in body.get("properties", {}).items()
        ]
    elif content:
        rows.append(("", "body", "", "the file"))
    if rows:
        parts += ["", table(("parameter", "in", "default", "description"), rows)]
    response = next(one for code, one in operation["responses"].items() if code.startswith("2"))
    result_name = _name(response.get("content", {}).get("application/json", {}).get("schema", {}))
    if result_name in schemas:
        fields = ", ".join(f"`{name}`" for name in schemas[result_name].get("properties", {}))
        parts += ["", f"Returns {fields}."]
    return "\n".join(parts)


def _role(title: str) -> str:
    """Return the role without which the guard refuses an operation."""
    from kinemill_dagster.pipelines.server.auth.request import Request
    from kinemill_dagster.pipelines.server.auth.rest_routes import PREFIX, rest_route
    from kinemill_dagster.pipelines.server.auth.rules import ROLE_OF

    method, _, path = title.partition(" ")
    request = Request(method, (*PREFIX, *path.strip("/").split("/")))
    return ROLE_OF[rest_route(request, lambda _: None).least]


def _name(schema: Schema) -> str:
    """Return the name of the model that a schema refers to."""
    return str(schema.get("$ref", "")).rpartition("/")[2]
