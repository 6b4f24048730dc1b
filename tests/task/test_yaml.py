"""YAML 1.2 scalars, line numbers, and what is refused."""

import math
from itertools import pairwise

import pytest

from kinemill.errors import BadInput, TaskError
from kinemill.task.yaml import dump_line, dump_yaml, read_yaml, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("-.5", -0.5), ("5.", 5.0), ("on", "on"), ("off", "off"),
        ("yes", "yes"), ("no", "no"), ("true", True), ("False", False), ("012", 12), ("0o17", 15),
        ("0x1F", 31), ("+7", 7), ("1_000", "1_000"), ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"), ("~", None), ("", None), ("null", None), ("'1'", "1"),
        ("!!str 12", "12"), ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{type: gru, size: 1e2}", {"type": "gru", "size": 100.0}), (".inf", math.inf),
        ("-.Inf", -math.inf), ("1.2.3", "1.2.3"), ("-0x1F", -31), ("=", "="),
        ("{<<: {a: 1}}", {"<<": {"a": 1}}),  # YAML 1.2 has no merge keys
        ("N*m", "N*m"), ("0 3 * * *", "0 3 * * *"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    actual = scalar(text)
    assert (actual, type(actual)) == (value, type(value))


def test_nan_is_a_number_however_it_is_spelled():
    assert all(math.isnan(scalar(text)) for text in (".nan", ".NaN", ".NAN"))


def test_every_key_and_item_has_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n\nb:\n  - x\n  - {c: 2,\n     d: 3}\n")
    document = read_yaml(path)
    assert document.value == {"a": 1, "b": ["x", {"c": 2, "d": 3}]}
    assert document.line(("b",)) == 3
    assert document.line(("b", 1, "d")) == 6
    assert document.line(("b", 1, "d", "absent", "deeper")) == 6
    assert document.line(("absent",)) == 1


@pytest.mark.parametrize(
    ("content", "claims"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: 'a' is duplicated, first in line 1; keep one"),
        ("x: {k: 1, k: 2}\n", "a.yaml:1: 'k' is duplicated, first in line 1; keep one"),
        ("a: [1\n", "a.yaml:2: not YAML: expected ',' or ']'"),
        ("a:\n\t- 1\n", "a.yaml:2: not YAML: found character '\\t'"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: not YAML: but found another document"),
        ("a: *b\n", "a.yaml:1: not YAML: found undefined alias"),
        ("a: &b [*b]\n", "a.yaml:1: an alias that refers to its own parent"),
        (
            "a: &a [1, 1, 1, 1]\n"
            + "".join(
                f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}]\n"
                for old, new in pairwise("abcdefghijklmnopqrst")
            ),
            "more than 100000 values, aliases counted as often as they are used",
        ),
        ("[" * 5000, "a.yaml:1: not YAML: nested deeper than 100 levels"),
        ("a: !!int twelve\n", "a.yaml:1: 'twelve' is not a valid int"),
        ("a: !!float\n", "a.yaml:1: '' is not a valid float"),
        (f"a: {'9' * 5000}\n", "9' is not a valid int"),
        ("a: !!python/name:os.system\n", "python/name:os.system is not supported"),
        ("a: !!set {b, c}\n", "a.yaml:1: the tag tag:yaml.org,2002:set is not supported"),
        ("? [1, 2]\n: 3\n", "a.yaml:1: a key that is not plain text"),
        ("a: \0\n", "a.yaml: not YAML: unacceptable character"),
        (b"a: 1\nb: \xff\n", "a.yaml:2: has the byte 0xff, which is not UTF-8; save"),
        ("a: 1\nb 2\n", "a.yaml:2: not YAML: a key without `:`; write `key: value`"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(tmp_path, content, claims):
    path = tmp_path / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TaskError) as error:
        read_yaml(path)
    assert claims in str(error.value).replace(f"{tmp_path}/", "")


def test_two_double_keys_are_both_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    with pytest.raises(TaskError) as error:
        read_yaml(path)
    assert len(error.value.problems) == 2


def test_an_absent_file_and_a_byte_order_mark(tmp_path):
    with pytest.raises(TaskError, match="does not exist"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "a.yaml").value == {"a": 1}


def test_a_value_that_is_not_yaml_names_what_it_was_for():
    with pytest.raises(BadInput, match=r"--set a: '\[1' is not YAML"):
        scalar("[1", "--set a")
    with pytest.raises(BadInput, match="duplicated"):
        scalar("{a: 1, a: 2}")


def test_texts_of_several_lines_are_blocks(tmp_path):
    """Own code in `kinemill task show` can be read, and is the same when it is read back."""
    value = {"a": "x = 1\n\n\ndef f():\n    return 2\n", "b": "on", "c": 1e-3, "d": "no\nend"}
    text = dump_yaml(value)
    assert "a: |\n  x = 1\n" in text
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml").value == value


@pytest.mark.parametrize(
    "text", ["1e3", "0o7", ".5", "on", "null", "~", "", "a: b", "#c", "a\nb", "?a", ":"]
)
def test_a_text_is_written_so_that_it_reads_as_text(text):
    value = {"key": [text, 1e-5, None, True]}
    assert scalar(dump_line(value)) == value
    assert "\n" not in dump_line(value)
    assert scalar(dump_yaml(value)) == value
