"""Views in queries: each stands for its query, and no query grows without limit."""

import pytest

from kinemill.query import QueryError, Vocabulary, check, expand, parse, spell, uses, view_names
from kinemill.query.parser import DEEPEST
from kinemill.task.units import factor

VIEWS = {"good": "accepted or partly", "r7": "robot = 'r7' and @good", "self": "not @self"}


def test_a_view_stands_for_its_query_in_brackets():
    tree = expand(parse("@r7 and not @good"), VIEWS)
    assert spell(tree) == "(robot = 'r7' and (accepted or partly)) and not (accepted or partly)"
    assert spell(parse("@r7 and not @good")) == "@r7 and not @good"
    assert [*view_names(parse("@r7 and not (@good or accepted)"))] == ["r7", "good"]
    assert uses(tree).metadata == {"robot"}
    checked = check(tree, Vocabulary({}, factor, ["robot"]))
    assert checked == parse(spell(tree))


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("accepted and @goood", 14, "there is no view @goood; did you mean 'good'?"),
        ("@self", 1, "character 5: the view @self refers to itself: @self -> @self"),
        ("accepted and @", 14, "`@` has no name"),
        ("@good = 3", 7, "found `=`"),
    ],
)
def test_an_unknown_or_recursive_view_is_an_error_with_its_position(text, position, message):
    with pytest.raises(QueryError) as error:
        expand(parse(text), VIEWS)
    assert (error.value.position, message in str(error.value)) == (position, True), error.value


def test_an_error_in_the_query_of_a_view_names_the_view():
    tree = expand(parse("accepted and @r7"), VIEWS)
    with pytest.raises(QueryError, match=r"in the view @r7, character 1: .* `robot`") as error:
        check(tree, Vocabulary({}, factor, ["operator"]))
    assert error.value.position == 14


def test_a_loop_of_views_and_their_first_use_are_named():
    views = {"a": "@b", "b": "accepted and @c", "c": "@a"}
    with pytest.raises(QueryError, match="refers to itself: @a -> @b -> @c -> @a"):
        expand(parse("@a"), views)
    with pytest.raises(QueryError, match="refers to itself: @a -> @b -> @c -> @a"):
        expand(parse(views["a"]), views, "a")


def test_views_that_double_or_nest_are_limited():
    doubled = {"v0": "accepted"} | {f"v{n}": f"@v{n - 1} or @v{n - 1}" for n in range(1, 40)}
    with pytest.raises(QueryError, match="at most 100 views"):
        expand(parse("@v39"), doubled)
    deep = "not " * (DEEPEST - 1)
    nested = {"v0": "accepted"} | {f"v{n}": f"{deep} @v{n - 1}" for n in range(1, 90)}
    with pytest.raises(QueryError, match="nested at most"):
        expand(parse("@v89"), nested)
    check(expand(parse(f"{deep} @v1"), nested), Vocabulary({}, factor, []))
