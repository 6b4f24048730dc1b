"""Lists of 20,000 versions and of 20,000 episodes are read by the page."""

from kinemill.dataset import catalog, list_datasets
from kinemill.store import publish_json
from tests.dataset.conftest import run_stage

MANY = 20_000


def test_of_many_versions_only_a_page_is_opened(home, contents, monkeypatch):
    ref = run_stage(home, contents).ref
    folder = home.store / "versions" / "arm" / "numbers"
    for number in range(2, MANY + 1):
        path = folder / f"{number:06d}.json"
        if number <= MANY - 5:
            path.touch()  # nobody opens them
        else:
            entry = {"version": number, **ref.to_json(), "created": "2026-01-01", "owner": "a"}
            publish_json(path, entry)
    opened = []
    read = catalog.read_json
    monkeypatch.setattr(catalog, "read_json", lambda path: opened.append(path) or read(path))
    result = list_datasets(home, "arm", offset=1, limit=3)
    assert [line["version"] for line in result["datasets"]] == [MANY - 1, MANY - 2, MANY - 3]
    assert result["total"] == MANY
    assert sum(path.parent == folder for path in opened) == 3
