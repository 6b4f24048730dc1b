"""The reference pages are generated from the code and miss nothing."""

import importlib.util
import re
from types import ModuleType, SimpleNamespace

import pytest
import typer
import yaml

from kinemill.cli.app import app
from kinemill.task import load_task
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_reference", ROOT / "docs/reference/generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generator: ModuleType) -> dict[str, str]:
    return generator.pages()


def rows(page: str) -> list[list[str]]:
    """Return the cells of every row of every table, without the heads."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


def test_every_generated_page_is_in_the_navigation_and_not_in_the_repository(pages):
    navigation = (ROOT / "mkdocs.yml").read_text()
    for name in pages:
        assert f"reference/{name}" in navigation
        assert not (ROOT / "docs/reference" / name).exists()


def test_every_command_has_a_section_with_an_example(pages, generator):
    page = pages["commands.md"]
    section = re.compile(r"^## (kinemill [^{]+) \{[^\n]*\n(.*?)(?=^## |\Z)", re.M | re.S)
    sections = dict(section.findall(page))
    paths = {path for path, _ in generator.commands_of(typer.main.get_command(app), "kinemill")}
    assert set(sections) == paths
    assert {"kinemill run", "kinemill model show", "kinemill admin users add"} <= paths
    assert [name for name, text in sections.items() if "```sh\nkinemill" not in text] == []


def test_every_plug_in_and_every_tag_has_a_purpose(pages):
    for page in ("plugin-list.md", "metadata.md"):
        result = rows(pages[page])
        assert len(result) > 50
        assert [cells for cells in result if len(cells) < 2 or not cells[1].strip()] == []


def test_plug_in_list_distinguishes_the_log_formats(pages):
    _, _, rest = pages["plugin-list.md"].partition("`kinemill.ingest.readers`")
    section, _, _ = rest.partition("\n## ")
    purposes = [cells[1] for cells in rows(section)]
    assert len(purposes) > 10
    assert len(set(purposes)) == len(purposes)


def test_every_family_of_the_library_is_listed(pages):
    source = "\n".join(path.read_text() for path in (ROOT / "kinemill").rglob("*.py"))
    families = set(re.findall(r"\bRegistry\(\s*\"(kinemill[\w.]+)\"", source))
    listed = set(re.findall(r"entry point group: `([\w.]+)`", pages["plugin-list.md"]))
    assert families - listed == set()


def test_links_between_sections_lead_somewhere(pages):
    page = pages["task-keys.md"]
    anchors = set(re.findall(r"\{ #([\w-]+) \}", page))
    assert set(re.findall(r"\]\(#([\w-]+)\)", page)) <= anchors


def test_every_key_of_a_task_file_has_a_type_and_a_meaning(pages):
    keys = rows(pages["task-keys.md"])
    assert len(keys) > 700
    assert [cells for cells in keys if cells[1].strip() in {"", "any value"}] == []
    assert [cells for cells in keys if not cells[-1].strip()] == []


def test_task_file_page_example_is_valid(tmp_path):
    page = (ROOT / "docs/task-file.md").read_text()
    (tmp_path / "my_robot.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert load_task(tmp_path / "my_robot.yaml").learn.horizon == 25


@pytest.mark.parametrize(
    ("page", "word"),
    [("control", "MPC"), ("data", "Zip"), ("data", "Headerless"), ("projects", "Uninstall")],
)
def test_search_finds_a_word_on_its_page(page, word):
    plugins = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["plugins"]
    (search,) = (plugin["search"] for plugin in plugins if "search" in plugin)
    words = re.split(search["separator"], (ROOT / "docs" / f"{page}.md").read_text())
    assert word in words


def test_pages_of_results_are_not_searched(generator):
    for name, meta in (("results-speed.md", {"search": {"exclude": True}}), ("control.md", {})):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=name), meta={})
        generator.on_page_markdown("", page)
        assert page.meta == meta
