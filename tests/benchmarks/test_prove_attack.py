"""A reduced form of `make prove-attack`: a few cases of each section that needs no server."""

import pytest

from benchmarks import _attack_machines, prove_attack
from benchmarks._attack_answers import attack_registry
from benchmarks._attack_files import attack_reader
from benchmarks._attack_kills import attack_by_kills
from benchmarks._attacked import Result, Row, new_workspace

REPLIES = ["sums: path", "version: bool", "portal", "name: parent"]
FORMS = ["npz, a pickle", "gzip, cut", "an open quote over 240 MB", "npz, 10^12 rows", "a FIFO"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return prove_attack.Site(tmp_path_factory.mktemp("attack"))


def failed(rows):
    assert sum(row.attempts for row in rows) > 0
    return [problem for row in rows for problem in row.failed]


def test_hostile_registry_leaves_the_surroundings_of_a_model(site, tmp_path):
    assert failed(attack_registry(site.commands, tmp_path, REPLIES, ["runtime pull"])) == []


@pytest.mark.parametrize(
    "forms", [FORMS[:1], pytest.param(FORMS[1:], marks=pytest.mark.ci)], ids=len
)
def test_hostile_files_are_read_within_the_memory_limit(tmp_path, forms):
    assert failed(attack_reader(new_workspace(tmp_path / "mill", 1), forms)) == []


@pytest.mark.slow
def test_killed_ingest_is_completed_by_the_next(site):
    folder = site.scratch("kills")
    row = attack_by_kills(site.commands, site.bare, folder, "data ingest", 2)
    assert failed([row]) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["refused", "closed", "garbage"])
def test_command_without_its_database_names_the_server(site, mode):
    command = ["data", "ingest", "tiny", str(site.bare.logs)]
    missing = "PostgreSQL", mode
    assert _attack_machines.run_without(site.commands, missing, site.bare, command, 60.0) == ""


@pytest.mark.slow
def test_many_files_and_a_growing_file_are_ingested(site):
    folder = site.scratch("logs")
    assert failed(_attack_machines.attack_logs(site.commands, site.bare, folder, 60, 2)) == []


def test_traceback_and_wrong_exit_code_are_problems():
    assert Result(0, "", "", 1.0).problem() == ""
    assert "exit code 2" in Result(2, "", "bad input", 1.0).problem()
    assert "a traceback" in Result(3, "", "This is a bug in kinemill.", 1.0).problem((3,))


def test_table_counts_tries_that_held(capsys):
    row = Row("pull")
    row.add("first", "")
    row.add("second", "deletes a folder")
    assert "| pull | 2 | 1 |" in prove_attack.table([row], 3.0)
    assert "NOT HELD  pull: second: deletes a folder" in capsys.readouterr().err
