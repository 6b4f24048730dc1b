"""The glossary, the deny list and the list of packages agree with the code."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

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
