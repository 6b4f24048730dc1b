"""GraphQL: one operation, its fragments, and limits of size."""

import pytest
from graphql import parse, print_ast
from graphql.utilities import get_introspection_query
from hypothesis import given
from hypothesis import strategies as st

from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.operation import parse_operation

NAMES = st.sampled_from(["a", "b", "version", "launchRun", "runs"])


def refused(**body):
    with pytest.raises(Refused) as why:
        parse_operation(body)
    assert why.value.status == 400
    return why.value.why


def test_document_is_reduced_to_the_named_operation():
    text = "query Q { version } mutation M { deleteRun(runId: 1) { x } } fragment F on X { y }"
    result = parse_operation({"query": text, "operationName": "Q", "variables": None})
    assert result.text.split() == ["query", "Q", "{", "version", "}"]
    assert not result.is_mutation
    assert "operation" in refused(query=text)
    assert "0 operations" in refused(query=text, operationName="N")
    assert "0 operations" in refused(query=text, operationName="")


def test_fields_in_fragments_are_found():
    text = """mutation ($id: String = "r1") { ...A } fragment A on M { ... on M { ...B } }
    fragment B on M { version: deleteRun(runId: $id) { __typename } }"""
    (field,) = parse_operation({"query": text}).fields
    assert (field.name, field.arguments) == ("deleteRun", {"runId": "r1"})
    (field,) = parse_operation({"query": text, "variables": {"id": "r2"}}).fields
    assert field.arguments == {"runId": "r2"}


def test_expensive_document_is_refused():
    assert "aliases" in refused(query="{" + " ".join(f"a{n}: version" for n in range(1500)) + "}")
    assert "root fields" in refused(query="{" + " version" * 100 + "}")
    assert "levels" in refused(query="{ a" * 60 + "}" * 60)
    assert "GraphQL" in refused(query="{ a" * 30_000 + "}" * 30_000)
    twice = "".join(f"fragment F{n} on X {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    bomb = f"query {{ x {{ ...F0 }} }} {twice} fragment F60 on X {{ a }}"
    assert "fields" in refused(query=bomb)
    assert "itself" in refused(query="{ ...A } fragment A on X { ...B } fragment B on X { ...A }")
    assert "not defined" in refused(query="{ ...A }")


def test_invalid_document_is_refused():
    for query in (None, 3, "", "type X { a: Int }", "{ a", "fragment F on X { a }"):
        refused(query=query)
    refused(query="{ a }", variables="{}")
    refused(query="{ a }", operationName=3)
    refused(query="{ ...F } fragment F on X { a } fragment F on X { b }")


def test_introspection_of_graphiql_is_accepted():
    assert parse_operation({"query": get_introspection_query()}).fields


@given(st.lists(NAMES, min_size=1, max_size=5), NAMES)
def test_printed_operation_equals_the_parsed_one(names, alias):
    text = "query Q {" + " ".join(f"{alias}: {name}(x: [1, {{y: 2.5}}])" for name in names) + "}"
    get_or_build = parse_operation({"query": text})
    again = parse_operation({"query": get_or_build.text})
    assert get_or_build == again
    assert get_or_build.text == print_ast(parse(text))
