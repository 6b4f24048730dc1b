"""`dataset.where`: a query selects the recordings of a dataset, and moves none between splits."""

import pytest

from kinemill.dataset import stage
from kinemill.dataset.catalog import find_version
from kinemill.dataset.listing import scan_listing
from kinemill.errors import BadInput, TaskError
from kinemill.ingest import stage as ingest
from kinemill.search.run import Page, search
from kinemill.search.tags import add_tag, remove_tag
from kinemill.task.loader import make_task
from kinemill.validate import stage as validate
from tests.search.conftest import arm, logs

__all__ = ["logs"]  # a fixture

QUERY = "not array_contains(tag, 'slip')"


def ruled(where=None, **dataset):
    return arm(dataset=dataset | ({"where": where} if where else {}))


@pytest.fixture
def episodes(home, logs):
    """Twelve accepted logs of two robots."""
    for number in range(12):
        folder = logs(f"{number:02d}.csv", number + 1, robot=f"r{number % 2}")
    recordings = ingest.run(arm(), home, folder).artifact.ref
    return validate.run(arm(), home, recordings).ref


def splits(home, artifact):
    listing = scan_listing(home.root / artifact.ref.path).collect()
    return {name: split for name, split in listing.select("name", "split").iter_rows()}


def test_only_recordings_that_match_are_packed_and_none_changes_its_split(home, episodes):
    every = splits(home, stage.run(ruled(), home, episodes))
    assert len(every) == 12
    query_text = " or ".join(
        f"name = '{name}'" for name, split in every.items() if split != "train"
    )
    for query in (f"robot = 'r0' or {query_text}", f"robot = 'r1' or {query_text}"):
        names = search(arm(), home, query, Page(["name"])).frame["name"].to_list()
        assert splits(home, stage.run(ruled(query), home, episodes)) == {
            name: every[name] for name in names
        }


def test_a_tag_makes_a_new_version_only_if_it_changes_what_the_rule_selects(home, episodes):
    plain = ruled(test=["0[01].csv"], validation=["02.csv"])
    task = ruled(QUERY, test=["0[01].csv"], validation=["02.csv"])
    without, first = stage.run(plain, home, episodes), stage.run(task, home, episodes)
    assert without.ref != first.ref  # the text of the rule
    hashes = dict(search(task, home, "", Page(["name", "recording"])).frame.iter_rows())
    add_tag(home, task.name, [hashes["05.csv"]], "good")
    assert stage.run(task, home, episodes).ref == first.ref
    add_tag(home, task.name, [hashes["05.csv"]], "slip")
    assert stage.run(plain, home, episodes).ref == without.ref
    second = stage.run(task, home, episodes)
    assert splits(home, first).keys() - splits(home, second).keys() == {"05.csv"}
    remove_tag(home, task.name, [hashes["05.csv"]], "slip")
    assert stage.run(task, home, episodes).ref == first.ref
    assert find_version(home, task.name, "3").ref == second.ref


def test_a_rule_that_selects_nothing_or_names_an_unknown_key_is_an_error(home, episodes):
    with pytest.raises(BadInput, match="matches no recording with an accepted episode"):
        stage.run(ruled("robot = 'r9'"), home, episodes)
    with pytest.raises(BadInput, match=r"dataset\.where: no recording .* did you mean 'robot'"):
        stage.run(ruled("robt = 'r1'"), home, episodes)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("robot = ", "dataset.where: .*expected a SQL condition"),
        ("max(torqe) > 1", "dataset.where: .*did you mean 'torque'"),
        ("max(torque) > 1 m", "dataset.where: .*a unit that converts to N"),
        ("array_contains(split, 'train')", "dataset.where: `split` depends on dataset versions"),
    ],
)
def test_a_wrong_rule_is_an_error_of_the_task_file(where, message):
    document = arm().model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document |= {"dataset": {"where": where}, "learn": {"type": "dynamics"}}
    with pytest.raises(TaskError, match=message):
        make_task(document)
