"""Reduce a GraphQL request to the one operation that it runs, within size limits.

The servers receive the printed form of that operation and its fragments, so that they cannot run
anything that was not authorized.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, parse, print_ast, value_from_ast_untyped
from graphql.language import (
    DefinitionNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

from kinemill.store import Json
from kinemill_dagster.pipelines.server.auth.calls import Refused

# The largest query of Dagster's pages has 639 fields, 11 levels, 4 aliases and 3 root fields.
_TOKENS = 20_000
_FIELDS = 5_000
_LEVELS = 30
_ALIASES = 30
_ROOTS = 20


@dataclass(frozen=True)
class Field:
    """A root field: its name in the schema, and its arguments with variables filled in."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """The operation of a request.

    Attributes:
        kind: query, mutation or subscription.
        fields: root fields, with fragments expanded.
        text: canonical document.
    """

    kind: OperationType
    fields: tuple[Field, ...]
    text: str
    variables: Mapping[str, Any]

    @property
    def is_mutation(self) -> bool:
        """Return whether it is a mutation."""
        return self.kind is OperationType.MUTATION

    @property
    def body(self) -> Json:
        """Return the request that a server receives."""
        return {"query": self.text, "variables": dict(self.variables)}


@dataclass(frozen=True)
class _Size:
    """Size of a selection with its fragments expanded."""

    fields: int = 0
    levels: int = 0
    aliases: int = 0


def parse_operation(body: Mapping[str, object]) -> Operation:
    """Return the operation of a GraphQL request.

    Raises:
        Refused: It has none, or several and no name, or exceeds a limit.
    """
    query = body.get("query")
    name = body.get("operationName")
    variables = body.get("variables")
    if not isinstance(query, str):
        raise Refused(400, "the body has no GraphQL query")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise Refused(400, "variables must be a JSON object, and operationName a text")
    try:
        document = parse(query, no_location=True, max_tokens=_TOKENS)
        return _operation(document, name, variables or {})
    except (GraphQLError, RecursionError) as error:
        raise Refused(400, f"this is not GraphQL ({str(error).splitlines()[0]})") from error


def _operation(document: DocumentNode, name: str | None, variables: Json) -> Operation:
    fragments, operations = _definitions(document)
    if name is None and len(operations) != 1:
        raise Refused(400, "the request must hold one operation, or name one in operationName")
    matching = [
        candidate
        for candidate in operations
        if name is None or (candidate.name and candidate.name.value == name)
    ]
    if len(matching) != 1:
        raise Refused(400, f"there are {len(matching)} operations {name!r}")
    operation = matching[0]
    sizes: dict[str, _Size | None] = {}
    _check_size(_measured(operation.selection_set, fragments, sizes))
    roots = _roots(operation.selection_set, fragments)
    defaults = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions
        if definition.default_value is not None
    }
    used: list[DefinitionNode] = [operation, *(fragments[name] for name in sorted(sizes))]
    values = {**defaults, **variables}
    fields = tuple(Field(node.name.value, _arguments(node, values)) for node in roots)
    text = print_ast(DocumentNode(definitions=tuple(used)))
    return Operation(operation.operation, fields, text, variables)


def _check_size(size: _Size) -> None:
    for what, count, most in (
        ("fields", size.fields, _FIELDS),
        ("levels", size.levels, _LEVELS),
        ("aliases", size.aliases, _ALIASES),
    ):
        if count > most:
            raise Refused(400, f"the query has {count} {what}, more than the limit of {most}")


def _definitions(
    document: DocumentNode,
) -> tuple[dict[str, FragmentDefinitionNode], list[OperationDefinitionNode]]:
    fragments: dict[str, FragmentDefinitionNode] = {}
    operations: list[OperationDefinitionNode] = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            operations.append(node)
        elif isinstance(node, FragmentDefinitionNode) and node.name.value not in fragments:
            fragments[node.name.value] = node
        else:
            raise Refused(
                400, "the request must hold only operations and fragments with unique names"
            )
    return fragments, operations


def _measured(
    selections: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    sizes: dict[str, _Size | None],
) -> _Size:
    """Return the size of a selection; `sizes` collects the fragments that it uses.

    Raises:
        Refused: A fragment contains itself, or does not exist.
    """
    total = _Size()
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            inner = _measured(node.selection_set, fragments, sizes)
            aliases = inner.aliases + (node.alias is not None)
            size = _Size(inner.fields + 1, inner.levels + 1, aliases)
        elif isinstance(node, FragmentSpreadNode):
            size = _of_fragment(node.name.value, fragments, sizes)
        else:
            size = _measured(getattr(node, "selection_set", None), fragments, sizes)
        levels = max(total.levels, size.levels)
        total = _Size(total.fields + size.fields, levels, total.aliases + size.aliases)
    return total


def _of_fragment(
    name: str, fragments: Mapping[str, FragmentDefinitionNode], sizes: dict[str, _Size | None]
) -> _Size:
    if name not in sizes:
        if name not in fragments:
            raise Refused(400, f"the fragment {name!r} is not defined")
        sizes[name] = None  # until it is measured
        sizes[name] = _measured(fragments[name].selection_set, fragments, sizes)
    size = sizes[name]
    if size is None:
        raise Refused(400, f"the fragment {name!r} contains itself")
    return size


def _roots(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> list[FieldNode]:
    """Return the root fields. Call `_check_size` first, so that the expansion is small.

    Raises:
        Refused: There are too many.
    """
    fields: list[FieldNode] = []
    waiting = [selections]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                fields.append(node)
            elif isinstance(node, FragmentSpreadNode):
                waiting.append(fragments[node.name.value].selection_set)
            else:
                waiting.append(getattr(node, "selection_set"))  # noqa: B009
    if len(fields) > _ROOTS:
        raise Refused(
            400, f"the query has {len(fields)} root fields, more than the limit of {_ROOTS}"
        )
    return fields


def _arguments(node: FieldNode, variables: Json) -> Json:
    return {
        argument.name.value: value_from_ast_untyped(argument.value, variables)
        for argument in node.arguments
    }
