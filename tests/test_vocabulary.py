"""The glossary, the deny list and the list of packages agree with the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_structure import tracked

ROW = re.compile(r"^\| (?P<term>[^|]+) \| (?P<definition>[^|]+) \| `(?P<module>[^|`]+)` \|$", re.M)
GLOSSARY = [match.groups() for match in ROW.finditer((ROOT / "docs/glossary.md").read_text())]


def found_by(term: str, module: Path) -> bool:
    """Return whether `git grep -i` for the term, or for its identifier form, finds the module."""
    identifier = re.sub(r"[- ]", "_", term)
    pattern = re.compile(rf"(?<![a-z])({re.escape(term)}|{re.escape(identifier)})", re.IGNORECASE)
    files = [module] if module.is_file() else sorted(module.rglob("*.py"))
    return any(pattern.search(file.read_text()) for file in files)


def test_the_glossary_has_at_least_100_terms_each_once():
    terms = [term.lower() for term, _, _ in GLOSSARY]
    assert len(terms) >= 100
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize(("term", "definition", "module"), GLOSSARY, ids=[r[0] for r in GLOSSARY])
def test_a_search_for_a_term_finds_its_module(term, definition, module):
    assert definition.endswith(".")
    assert definition.count(". ") == 0
    path = ROOT / module
    assert path.is_file() or (path.is_dir() and (path / "__init__.py").is_file())
    assert found_by(term, path)


SECTIONS = re.split(r"^\[.*\]$", (ROOT / "tests/denied_words.txt").read_text(), flags=re.M)[1:]
DENIED, REMAINING = (
    [line.split()[0] for line in section.splitlines() if line.strip() and line[0] != "#"]
    for section in SECTIONS
)


def defined_in(source: str) -> Iterator[tuple[str, int]]:
    """Yield each name that a module defines, without leading underscores, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found = name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                found = name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found = name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                found = name
            case _:
                continue
        yield found.lstrip("_").lower(), node.lineno


def test_every_kind_of_definition_counts():
    source = (
        "import os as alias_\nPLAIN = 1\n"
        "class Kind:\n    field: int\n"
        "def act(one, *rest, key=1, **more):\n"
        "    local = one\n    self.own = local\n    [each for each in rest]\n"
        "async def later(): pass\n"
        "try: pass\nexcept OSError as problem: pass\n"
    )
    assert {name for name, _ in defined_in(source)} == {
        *("alias_", "plain", "kind", "field", "act", "one", "rest", "key", "more", "local"),
        *("own", "each", "later", "problem"),
    }


def test_no_file_and_no_identifier_is_called_by_a_denied_word():
    denied, names = set(DENIED), []
    for file in tracked("kinemill/*.py", "assets/*.py", "resources/*.py", "pipelines/*.py"):
        folders = file.removesuffix(".py").split("/")
        names += [f"{file}: {part}" for part in folders if part.lstrip("_").lower() in denied]
        names += [
            f"{file}:{line} {name}"
            for name, line in defined_in((ROOT / file).read_text())
            if name in denied
        ]
    assert names == [], "rename these, or see tests/denied_words.txt"


def test_the_deny_list_names_each_word_once_in_order():
    assert sorted(set(DENIED)) == DENIED
    assert sorted(set(REMAINING)) == REMAINING
    assert not {*DENIED} & {*REMAINING}
    assert {term.lower().replace(" ", "_") for term, _, _ in GLOSSARY}.isdisjoint(DENIED)
