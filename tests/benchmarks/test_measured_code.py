"""Tables of docs/results-*.md that are older than the code that they measure are marked."""

from benchmarks._measured_code import MEASURED, TABLE, digest, on_page_markdown
from tests.conftest import ROOT


def test_each_table_names_existing_code():
    pages = sorted((ROOT / "docs").glob("results-*.md"))
    sections = [found["section"] for page in pages for found in TABLE.finditer(page.read_text())]
    assert sorted(sections) == sorted(MEASURED)
    assert [
        folder
        for folders in MEASURED.values()
        for folder in folders
        if not (ROOT / folder).is_dir()
    ] == []


def test_digest_changes_with_the_code_alone(tmp_path):
    (tmp_path / "kinemill/train").mkdir(parents=True)
    module = tmp_path / "kinemill/train/a.py"
    module.write_text("a = 1\n")
    before = digest("train", tmp_path)
    (tmp_path / "kinemill/train/notes.md").write_text("no code\n")
    assert digest("train", tmp_path) == before
    module.write_text("a = 2\n")
    assert digest("train", tmp_path) != before


def test_table_older_than_its_code_is_marked():
    current = f"<!-- train {digest('train')} -->\n| work |\n<!-- /train -->\n"
    old = current.replace(digest("train"), "0123456789ab")
    assert on_page_markdown(current) == current
    marked = "*Measured before the last change of `kinemill/models`, `kinemill/train`.*\n\n"
    assert on_page_markdown(f"text\n\n{old}") == f"text\n\n{marked}{old}"
