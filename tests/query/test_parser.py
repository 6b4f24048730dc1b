"""Queries: what is written is what is parsed, and an error names its character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.query import QueryError, parse, spell
from kinemill.query.parser import DEEPEST
from kinemill.query.syntax import (
    FUNCTIONS,
    Among,
    And,
    Compare,
    Date,
    Name,
    Not,
    Number,
    Or,
    Statistic,
    Text,
    View,
    Word,
)
from kinemill.query.tokens import COMPARISONS, LONGEST

names = st.text(min_size=1, max_size=12).filter(lambda text: "`" not in text)
texts = st.text(max_size=12).filter(lambda text: not ("'" in text and '"' in text)).map(Text)
numbers = st.builds(
    Number,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "deg/s", "N*m", "m/s^2", "°C", "%"]),
)
dates = st.dates().map(lambda day: Date(day.isoformat()))
columns = st.builds(Name, names) | st.builds(Statistic, st.sampled_from(FUNCTIONS), names)
literals = texts | numbers | dates
conditions = (
    st.builds(Compare, columns, st.sampled_from(COMPARISONS), literals | columns)
    | st.builds(Compare, columns, st.just("like"), texts)
    | st.builds(Among, columns, st.lists(literals, min_size=1, max_size=4).map(tuple))
    | st.builds(Word, names)
    | st.builds(View, st.from_regex(r"[a-z_][\w.-]{0,8}", fullmatch=True))
)
queries = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(queries)
def test_a_query_is_parsed_from_its_spelling(query):
    text = spell(query)
    if len(text) <= LONGEST:
        assert parse(text) == query


TOKENS = ("(", ")", ",", "=", "!=", "and", "or", "not", "in", "like", "max", "min", "a", "`b`")
TOKENS = (*TOKENS, "'c'", "3", "-2.5deg", "2026-01-02", "tag", "accepted")


def parse_result(text):
    """The query of a text, or the error that it is none."""
    try:
        return parse(text)
    except QueryError as error:
        return error


@given(st.text(max_size=200) | st.lists(st.sampled_from(TOKENS)).map(" ".join))
def test_any_text_is_a_query_or_an_error_at_one_of_its_characters(text):
    result = parse_result(text)
    if isinstance(result, QueryError):
        assert 1 <= result.position <= len(text) + 1
    else:
        assert parse(spell(result)) == result


def test_and_binds_stronger_than_or_and_not_strongest():
    a, b, c = (Compare(Name(name), "=", Number("1")) for name in "abc")
    assert parse("not a = 1 or b = 1 and c = 1") == Or((Not(a), And((b, c))))
    assert parse("(a = 1 OR b = 1) AND c = 1") == And((Or((a, b)), c))
    assert parse("20 < max(torque)") == parse("max(torque) > 20")
    assert parse("tag('slip')") == parse("tag = 'slip'")
    assert parse("a not in ('x')") == Not(Among(Name("a"), (Text("x"),)))


def test_a_number_has_its_unit_and_no_keyword_is_one():
    assert parse("max(v) > 20deg/s and std(v) < 3 m/s^2") == And(
        (
            Compare(Statistic("max", "v"), ">", Number("20", "deg/s")),
            Compare(Statistic("std", "v"), "<", Number("3", "m/s^2")),
        )
    )


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 1, "found the end of the query"),
        ("robot == 'r7'", 7, "`==` is not an operator; write `=`"),
        ("a = 1 && b = 2", 7, "write `and`"),
        ("robot = r7 and", 15, "found the end of the query"),
        ("robot = 'r7", 9, "the quote ' is not closed"),
        ("robot in ('a' 'b')", 15, "expected `,` or `)`"),
        ("robot in (r7)", 11, "quote texts: 'r7'"),
        ("firmware >= 2.1.3", 13, "quote it: '2.1.3'"),
        ("(a = 1", 7, "`)` for the bracket at character 1"),
        ("maximum(torque) > 1", 1, "`maximum` is not a function"),
        ("max(torque)", 12, "a comparison, such as `> 20`"),
        ("a = 'x' b = 2", 9, "expected `and`, `or` or the end"),
        ("name like 3", 11, "a text in quotes"),
        ("a ; drop", 3, "the character ';' is not valid here"),
    ],
)
def test_an_error_names_its_character_and_what_was_expected(text, position, message):
    with pytest.raises(QueryError) as raised:
        parse(text)
    assert raised.value.position == position
    assert message in str(raised.value)


def test_long_and_deep_queries_are_refused_without_exhausting_the_stack():
    with pytest.raises(QueryError, match=f"at most {LONGEST}"):
        parse("a = 1 or " * LONGEST)
    for text in ("(" * 4000, "not " * 2000, "(" * (DEEPEST + 1) + "a = 1" + ")" * (DEEPEST + 1)):
        with pytest.raises(QueryError, match=f"deeper than {DEEPEST}"):
            parse(text)
    assert parse("(" * DEEPEST + "accepted" + ")" * DEEPEST) == Word("accepted")
    wide = " or ".join(["a = 1"] * 1000)
    assert len(parse(wide).parts) == 1000
