"""Pull from a hostile registry: nothing of the robot changes, and the last version stays."""

import hashlib
import itertools
import os
import threading

import pytest

from kinemill import bounded_http
from kinemill.errors import BadInput, KinemillError, Unreachable
from kinemill.runtime import __main__ as command
from kinemill.runtime import download, registry_client
from kinemill.runtime.download import pull, watch
from kinemill.runtime.integrity import PULLED, SUMS
from kinemill.runtime.registry_client import ServerSource, VersionRef
from tests.hostile_server import ANSWERS, hostile_server, listed, version


class Registry:
    """A registry in memory with one file per version.

    `resolve` and `copy` are those of `kinemill.runtime.registry_client.Source`.
    """

    def __init__(self, number=1):
        self.number = number

    def resolve(self):
        return VersionRef(self.number, hashlib.sha256(self._sums()).hexdigest())

    def copy(self, _ref, folder):
        (folder / "a.txt").write_bytes(self._content())
        (folder / SUMS).write_bytes(self._sums())

    def _content(self):
        return f"version {self.number}".encode()

    def _sums(self):
        return f"{hashlib.sha256(self._content()).hexdigest()}  a.txt\n".encode()


def accept(_folder):
    return True, "answered"


def snapshot(folder):
    """Return the content of all files, and the targets of all links."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def robot(tmp_path):
    """A robot with folders of its user, and version 1 in `models/arm`."""
    for name in ("code", "config", "documents", "models", "photos", "models/.cache", "models/leg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    pull(Registry(), tmp_path / "models" / "arm", accept)
    return tmp_path


@pytest.fixture(scope="module")
def server():
    with hostile_server() as served:
        yield served


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    monkeypatch.setattr(registry_client, "_DOCUMENT_TIME", 0.3)
    monkeypatch.setattr(registry_client, "_FILES_TIME", 0.3)
    monkeypatch.setattr(registry_client, "_MOST_BYTES", 2**21)


def describe(source, to):
    """Return the one line that a pull prints instead of an installed version."""
    try:
        result = pull(source, to, lambda _folder: (False, "ended with code 1"))
    except KinemillError as error:
        return str(error)
    assert result["status"] == "kept"
    return result["why"]


@pytest.mark.parametrize("name", ANSWERS)
def test_hostile_answer_leaves_every_file_of_the_robot(robot, server, name):
    before, server.answer = snapshot(robot), ANSWERS[name]
    source = ServerSource(server.url, "arm", "@champion", "secret")
    for to in (robot / "models" / "arm", robot / "models" / "new"):
        line = describe(source, to)
        assert line.isprintable()
        assert len(line) < 1000
        assert "secret" not in line
    assert snapshot(robot) == before


def test_hostile_files_are_limited_in_size_and_time(robot, server):
    before, source = snapshot(robot), ServerSource(server.url, "arm", "@champion")
    first = listed(f"{'0' * 64}  step.onnx\n")

    for rest in ("endless", "slow body"):

        def answer(connection, path, rest=rest):
            (ANSWERS[rest] if path.endswith("step.onnx") else first)(connection, path)

        server.answer = answer
        expected = {"endless": "sent more than", "slow body": "did not complete"}[rest]
        assert expected in describe(source, robot / "models" / "arm")
    assert snapshot(robot) == before


@pytest.mark.parametrize("token", ["secret\n", "sécret"])
def test_token_that_no_header_can_have_is_not_printed(server, token):
    with pytest.raises(BadInput, match="has characters") as error:
        ServerSource(server.url, "arm", "@champion", token).resolve()
    assert token.strip() not in str(error.value)


def test_requested_version_is_not_replaced_by_another(server):
    server.answer = version(version=2)
    with pytest.raises(Unreachable, match="expected 3, as requested"):
        ServerSource(server.url, "arm", ":3").resolve()


def test_watch_survives_every_answer_and_reports_each_change_once(robot, server, monkeypatch):
    monkeypatch.setattr(download, "_SLOWEST", 0.0)
    monkeypatch.setattr(registry_client, "_DOCUMENT_TIME", 0.1)
    answers = [ANSWERS[name] for name in ANSWERS for _ in range(2)]
    stop, reports = threading.Event(), []

    class Cycling(ServerSource):
        def resolve(self):
            if not answers:
                stop.set()
                return Registry(2).resolve()
            server.answer = answers.pop()
            return super().resolve()

        def copy(self, ref, folder):
            (Registry(2) if ref.version == 2 else super()).copy(ref, folder)

    watch(
        Cycling(server.url, "arm", "@champion"),
        robot / "models" / "arm",
        reports.append,
        stop,
        0.0,
        accept,
    )
    whys = [report.get("why") for report in reports]
    assert whys.pop() is None
    assert all(why != following for why, following in itertools.pairwise(whys))
    assert 40 < len(whys) <= len(ANSWERS)
    assert (reports[-1]["version"], reports[-1]["status"]) == (2, "pulled")


def test_watch_waits_longer_after_each_failure(tmp_path):
    delays = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            delays.append(timeout)
            return len(delays) == 6

    class Away(Registry):
        def resolve(self):
            raise Unreachable("the registry", "does not respond")

    reports = []
    watch(Away(), tmp_path / "model", reports.append, Stop(), 5.0, accept)
    assert delays == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert len(reports) == 1


def test_folder_without_the_marker_is_never_removed(robot):
    arm = robot / "models" / "arm"
    versions = arm.parent / ".arm.versions"
    for name in ("notes", "7-0123456789ab", ".aside-" + "0" * 32):
        (versions / name).mkdir()
        (versions / name / "file").write_text(name)
        os.utime(versions / name, (0, 0))
    (versions / "9-0123456789ab").symlink_to(robot / "photos")
    before = snapshot(robot)
    for number in range(2, 8):
        pull(Registry(number), arm, accept)
    after = snapshot(robot)
    kept = [name for name in before if name.startswith("models/.arm.versions/1-")]
    assert {n for n in before if after.get(n) != before[n]} == {*kept, "models/arm"}
    assert (
        sum((path / PULLED).is_file() for path in versions.iterdir()) == 1 + download.KEPT_VERSIONS
    )


def test_old_versions_and_abandoned_staging_are_removed_after_success_alone(robot):
    arm = robot / "models" / "arm"
    staged = arm.parent / ".arm.versions" / f".aside-{'0' * 32}"
    staged.mkdir()
    (staged / PULLED).touch()
    os.utime(staged, (0, 0))
    result = pull(Registry(2), arm, lambda _folder: (False, "ended with code 1"))
    assert (result["status"], staged.exists()) == ("kept", True)
    pull(Registry(2), arm, accept)
    assert not staged.exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link", "link of another pull"])
def test_target_that_was_not_pulled_is_refused_and_stays(robot, kind):
    to = robot / "models" / "target"
    if kind == "folder":
        to.mkdir()
    elif kind == "file":
        to.write_text("mine")
    else:
        to.symlink_to(robot / "photos" if kind == "link" else ".arm.versions")
    before = snapshot(robot)
    with pytest.raises(BadInput, match="exists and was not pulled"):
        pull(Registry(), to, accept)
    assert snapshot(robot) == before


def test_linked_versions_folder_is_refused(robot):
    (robot / "models" / ".new.versions").symlink_to(robot / "photos")
    before = snapshot(robot)
    with pytest.raises(BadInput, match="is not a folder"):
        pull(Registry(), robot / "models" / "new", accept)
    assert snapshot(robot) == before


def test_foreign_folder_with_the_name_of_a_version_is_refused(robot):
    arm = robot / "models" / "arm"
    taken = arm.parent / ".arm.versions" / download._name(Registry(2).resolve())
    taken.mkdir()
    (taken / "file").write_text("mine")
    with pytest.raises(BadInput, match="exists and was not pulled"):
        pull(Registry(2), arm, accept)
    assert (taken / "file").read_text() == "mine"


def test_command_ends_watch_on_a_signal_in_the_middle_of_a_download(
    server, robot, monkeypatch, capsys
):
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bounded_http.Reply, "chunks", interrupt)
    server.answer = ANSWERS["portal"]
    arguments = [
        "pull",
        server.url,
        "arm@champion",
        "--to",
        str(robot / "models" / "arm"),
        "--watch",
    ]
    assert command.main(arguments) == 0
    assert capsys.readouterr().err == ""


def test_command_prints_one_line_for_a_disk_error(server, robot, monkeypatch, capsys):
    def fail(*_):
        raise OSError(28, "No space left on device", "model")

    monkeypatch.setattr(command, "pull", fail)
    assert command.main(["pull", server.url, "arm", "--to", str(robot / "new")]) == 3
    assert capsys.readouterr().err == "[Errno 28] No space left on device: 'model'\n"
