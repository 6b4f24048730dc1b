"""The glossary, the deny list and the list of packages agree with the code."""

import ast
import re
import tomllib
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
                result = name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                result = name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                result = name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                result = name
            case _:
                continue
        yield result.lstrip("_").lower(), node.lineno


def test_no_file_and_no_identifier_is_called_by_a_denied_word():
    denied, names, defined = set(DENIED), [], set()
    folders = ("kinemill", "assets", "resources", "pipelines", "benchmarks", "plugins", "examples")
    for file in tracked(*(f"{folder}/*.py" for folder in folders)):
        parts = file.removesuffix(".py").split("/")
        names += [f"{file}: {part}" for part in parts if part.lstrip("_").lower() in denied]
        lines = dict(defined_in((ROOT / file).read_text()))
        names += [f"{file}:{lines[name]} {name}" for name in lines.keys() & denied]
        defined |= lines.keys()
    assert names == [], "rename these, or see tests/denied_words.txt"
    assert len(defined) > 5_000


def test_the_deny_list_names_each_word_once_in_order():
    assert sorted(set(DENIED)) == DENIED
    assert sorted(set(REMAINING)) == REMAINING
    assert not {*DENIED} & {*REMAINING}
    assert {term.lower().replace(" ", "_") for term, _, _ in GLOSSARY}.isdisjoint(DENIED)


ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
FAMILY = re.compile(r"\bRegistry\(\s*\"([\w.]+)\"")


def families() -> set[str]:
    """Return the folder of each family of plug-ins, from the calls that make its registry."""
    made = {
        package
        for file in tracked("kinemill/*.py", "resources/*.py")
        for package in FAMILY.findall((ROOT / file).read_text())
    }
    return {package.removeprefix("kinemill_dagster.").replace(".", "/") for package in made}


def test_contributing_lists_every_family_of_plug_ins_and_no_other():
    result = families()
    assert len(result) > 20
    folders = {name for name in result if (ROOT / name).is_dir()}
    assert result - folders == {"kinemill/task/compute"}  # settings of resources/compute
    listed = set(re.findall(r"\| `([\w/]+)/<\w+>\.py` \|", CONTRIBUTING))
    assert listed == folders


def test_the_examples_of_contributing_exist():
    rows = re.findall(r"\| `([\w/]+)/<\w+>\.py` \| (.*) \|", CONTRIBUTING)
    named = [(folder, file) for folder, text in rows for file in re.findall(r"`(\w+\.py)`", text)]
    assert len(named) > 20
    assert [
        f"{folder}/{file}" for folder, file in named if not (ROOT / folder / file).exists()
    ] == []


def test_every_package_of_the_library_is_described():
    packages = {path.parent.name for path in (ROOT / "kinemill").glob("*/__init__.py")}
    described = set(re.findall(r"^\| `kinemill/(\w+)/` \|", ARCHITECTURE, re.M))
    modules = {path.name for path in (ROOT / "kinemill").glob("*.py")} - {"__init__.py"}
    assert described == packages
    assert set(re.findall(r"^\| `kinemill/(\w+\.py)` \|", ARCHITECTURE, re.M)) == modules
    picture = CONTRIBUTING.partition("```mermaid")[2].partition("```")[0]
    assert set(re.findall(r"\w+", picture)) >= packages


def test_the_layers_of_the_architecture_are_those_of_the_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        contract["layers"] for contract in contracts["contracts"] if contract.get("exhaustive")
    )
    rows = re.findall(r"^\| \d+ \| ((?:`\w+`(?:, )?)+) \|$", ARCHITECTURE, re.M)
    assert [re.findall(r"\w+", row) for row in rows] == [re.findall(r"\w+", row) for row in layers]


@pytest.mark.parametrize("page", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_every_path_that_a_page_names_exists(page):
    roots = "kinemill|assets|resources|pipelines|tests|benchmarks|docs|tasks"
    paths = re.findall(rf"`((?:{roots})/[\w./]*)`", page)
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert missing <= {"kinemill/a/b.py", "tests/a/test_b.py"}  # of the rule for names of tests
