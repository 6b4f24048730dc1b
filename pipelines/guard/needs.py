"""What a request asks for: to look, to operate, to administer, or something that nobody gets.

Whatever changes something and is not listed needs an administrator in Dagster and is closed in
MLflow, whose server also brings an assistant, a gateway and jobs that the mill does not use.
"""

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, GraphQLError, parse
from graphql.language import (
    DocumentNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

SAFE = {"GET", "HEAD", "OPTIONS"}
_TOKENS = 50_000  # of a GraphQL document; Dagster's pages send some thousands

OPERATING = {  # Dagster's mutations that start and end runs, or look for new task files
    "launchRun",
    "launchPipelineExecution",
    "launchMultipleRuns",
    "launchRunReexecution",
    "launchPipelineReexecution",
    "terminateRun",
    "terminateRuns",
    "terminatePipelineExecution",
    "reloadRepositoryLocation",
    "reloadWorkspace",
    "scheduleDryRun",
    "sensorDryRun",
}

_API = r"^/(?:ajax-)?api/\d\.\d/?mlflow"
_READING = re.compile(  # questions that MLflow takes by POST
    rf"{_API}/(?:"
    r"(?:experiments|runs|logged-models|traces|datasets|issues)/(?:search|search-datasets)"
    r"|metrics/get-history-bulk(?:-interval)?|registered-models/get-latest-versions"
    r"|traces/(?:batchGetInfos|calculate-filter-correlation|metrics)"
    r"|artifacts/presigned-download-url)$"
)
_CLOSED = re.compile(
    r"/(?:assistant|gateway|scorers|jobs|mcp\w*|mcp-servers|webhooks|workspaces|sandbox)\b"
    r"|prompt-optimization"
)
_ADMINISTERING = re.compile(
    rf"{_API}/(?:registered-models/(?:alias|rename|set-tag|update)|model-versions/(?:set-tag|update"
    r"|transition-stage)|logged-models/[^/]+/tags)$|delete|restore"
)
_OPERATING = re.compile(
    rf"{_API}(?:-artifacts)?/(?:experiments|runs|artifacts|mpu|logged-models|model-versions"
    r"|registered-models|metrics|datasets|traces|upload-artifact)(?:/|$)"
)


class Need(IntEnum):
    """What somebody must be allowed to do; a role allows its own and all below."""

    LOOK = 0
    OPERATE = 1
    ADMINISTER = 2
    NOBODY = 3


class Unclear(ValueError):
    """A request that cannot be read; it is refused."""


@dataclass(frozen=True)
class Asked:
    """A request as far as its rights depend on it.

    Attributes:
        method: of HTTP, in capitals.
        path: decoded.
        query: what follows the `?`, raw.
        body: of a POST to `/graphql`; None for all others.
    """

    method: str
    path: str
    query: bytes = b""
    body: bytes | None = None


def is_graphql(path: str) -> bool:
    """Tell whether a path is where GraphQL is asked, on either server."""
    return path.rstrip("/").endswith("/graphql")


def of_dagster(asked: Asked) -> Need:
    """Return what a request to Dagster's webserver needs.

    Raises:
        Unclear: it is no GraphQL, or GraphQL by GET.
    """
    if is_graphql(asked.path):
        return _of_graphql(asked)
    return Need.LOOK if asked.method in SAFE else Need.ADMINISTER


def of_mlflow(asked: Asked) -> Need:
    """Return what a request to MLflow's server needs.

    Raises:
        Unclear: it is no GraphQL, or GraphQL by GET.
    """
    if is_graphql(asked.path):
        return Need.LOOK if _of_graphql(asked) is Need.LOOK else Need.NOBODY
    if _CLOSED.search(asked.path):
        return Need.NOBODY
    if asked.method in SAFE or (asked.method == "POST" and _READING.match(asked.path)):
        return Need.LOOK
    if asked.method == "DELETE" or _ADMINISTERING.search(asked.path):
        return Need.ADMINISTER
    return Need.OPERATE if _OPERATING.match(asked.path) else Need.NOBODY


def _of_graphql(asked: Asked) -> Need:
    if asked.method in SAFE:
        if asked.query:
            message = "GraphQL is asked by POST, never by GET"
            raise Unclear(message)
        return Need.LOOK
    try:
        found = json.loads(asked.body or b"")
    except ValueError as error:
        message = f"this is no JSON ({error})"
        raise Unclear(message) from error
    if not isinstance(found, dict):
        message = "this is no GraphQL request: a JSON object with a query"
        raise Unclear(message)
    return of_query(found.get("query"))


def of_query(query: Any) -> Need:
    """Return what a GraphQL document needs: that of its most demanding mutation.

    Raises:
        Unclear: it is no document.
    """
    changed = mutations(query)
    if not changed:
        return Need.LOOK
    return Need.OPERATE if changed <= OPERATING else Need.ADMINISTER


def mutations(query: Any) -> set[str]:
    """Return the fields of all mutations in a GraphQL document, whichever of them is meant.

    Raises:
        Unclear: it is no document.
    """
    if not isinstance(query, str):
        message = "there is no GraphQL query in it"
        raise Unclear(message)
    try:
        document = parse(query, no_location=True, max_tokens=_TOKENS)
    except (GraphQLError, RecursionError) as error:
        message = f"this is no GraphQL ({str(error).splitlines()[0]})"
        raise Unclear(message) from error
    found: set[str] = set()
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION:
            found |= _fields(document, node.selection_set) or {"nothing"}
    return found


def _fields(document: DocumentNode, chosen: SelectionSetNode) -> set[str]:
    """Return the fields that a selection names, by itself and through fragments."""
    fragments = {
        node.name.value: node.selection_set
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [chosen]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                found.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                waiting += [fragments[node.name.value]] if node.name.value in fragments else []
    return found
