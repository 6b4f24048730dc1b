"""The store: whole or not there, found again, and never trusted when its bytes have changed."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.store import (
    MANIFEST,
    SUMMARY,
    ArtifactRef,
    canonical,
    digest,
    file_digest,
    find,
    get_or_build,
    open_ref,
    publish_file,
    publish_json,
    read_json,
    summary_of,
)
from kinemill.store.home import Home

INPUTS = {"version": 1, "rate": 0.01, "names": ["a", "b"]}


def build(folder: Path) -> dict:
    (folder / "data.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "deep").mkdir()
    (folder / "deep" / "note.txt").write_text("hello")
    return {"rows": 4}


def publish(home: Home):
    return get_or_build(home, "stage", "task", INPUTS, build)


def test_an_outcome_is_built_once_and_then_found(home):
    first = publish(home)
    second = get_or_build(home, "stage", "task", INPUTS, lambda _: pytest.fail("built twice"))
    assert (first.cached, second.cached) == (False, True)
    assert (first.ref, first.summary) == (second.ref, second.summary)
    assert summary_of(home, first.ref) == {"rows": 4}


def test_every_file_is_in_the_manifest_with_its_sha256(home):
    folder = open_ref(home, publish(home).ref)
    files = read_json(folder / MANIFEST)["files"]
    assert list(files) == ["data.bin", "deep/note.txt", SUMMARY]
    assert files["deep/note.txt"] == {
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "bytes": 5,
    }


def test_other_inputs_stages_and_tasks_are_other_outcomes(home):
    positions = {publish(home).ref.path}
    positions.add(get_or_build(home, "stage", "task", {**INPUTS, "version": 2}, build).ref.path)
    positions.add(get_or_build(home, "stage", "other", INPUTS, build).ref.path)
    positions.add(get_or_build(home, "other", "task", INPUTS, build).ref.path)
    assert len(positions) == 4


def test_the_same_inputs_publish_the_same_bytes_in_any_home(tmp_path):
    refs = [publish(Home(tmp_path / name)).ref for name in ("one", "two")]
    assert refs[0] == refs[1]


def test_a_reference_survives_json_and_a_moved_home(tmp_path):
    ref = publish(Home(tmp_path / "one")).ref
    (tmp_path / "one").rename(tmp_path / "two")
    restored = ArtifactRef.from_json(json.loads(json.dumps(ref.to_json())))
    assert open_ref(Home(tmp_path / "two"), restored).is_dir()
    assert not Path(ref.path).is_absolute()


def test_a_failed_build_publishes_nothing_and_leaves_nothing(home):
    def fail(folder):
        (folder / "half.bin").write_bytes(b"half")
        message = "disk on fire"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="disk on fire"):
        get_or_build(home, "stage", "task", INPUTS, fail)
    assert [path for path in home.store.rglob("*") if path.is_file()] == []
    assert publish(home).cached is False


def test_a_summary_with_nan_is_refused(home):
    with pytest.raises(ValueError, match="not JSON compliant"):
        get_or_build(home, "stage", "task", INPUTS, lambda _: {"loss": float("nan")})


def test_a_killed_build_is_as_if_it_had_never_begun(home):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from kinemill.store.home import Home\nfrom kinemill.store import get_or_build\n"
        "def build(folder):\n"
        "    (folder / 'half.bin').write_bytes(b'half')\n"
        "    print('building', flush=True)\n"
        "    time.sleep(60)\n"
        f"get_or_build(Home(Path(sys.argv[1])), 'stage', 'task', {INPUTS!r}, build)\n"
    )
    builder = subprocess.Popen(
        [sys.executable, "-c", script, str(home.root)], stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    assert builder.stdout.readline() == "building\n"
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert find(home, "stage", "task", digest(INPUTS)) is None
    assert publish(home).cached is False


@pytest.mark.parametrize("name", ["data.bin", "deep/note.txt", SUMMARY])
def test_a_flipped_bit_is_found(home, name):
    ref = publish(home).ref
    path = home.root / ref.path / name
    content = path.read_bytes()
    for position in (0, len(content) // 2, len(content) - 1):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        with pytest.raises(CorruptArtifact, match=Path(name).name):
            open_ref(home, ref)
    path.write_bytes(content)
    open_ref(home, ref)


def test_a_file_changed_together_with_its_manifest_is_found(home):
    ref = publish(home).ref
    folder = home.root / ref.path
    (folder / "data.bin").write_bytes(b"forged")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["data.bin"]["sha256"] = file_digest(folder / "data.bin")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    with pytest.raises(CorruptArtifact, match="was changed after publication"):
        open_ref(home, ref)


def test_a_missing_file_is_found(home):
    ref = publish(home).ref
    (home.root / ref.path / "data.bin").unlink()
    with pytest.raises(CorruptArtifact, match=r"data\.bin: is missing"):
        open_ref(home, ref)


@pytest.mark.parametrize("name", ["data.bin", SUMMARY, MANIFEST])
def test_a_damaged_outcome_is_set_aside_and_rebuilt(home, name):
    first = publish(home)
    path = home.root / first.ref.path / name
    path.write_bytes(path.read_bytes()[:-1])
    second = publish(home)
    assert second.cached is False
    assert second.ref == first.ref
    (aside,) = (home.store / ".corrupt").iterdir()
    assert (aside / "data.bin").exists()


def test_no_flipped_bit_in_a_manifest_passes_for_a_published_outcome(home):
    key = digest(INPUTS)
    path = home.root / publish(home).ref.path / MANIFEST
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 2]) + content[position + 1 :]
        )
        assert find(home, "stage", "task", key) is None, content[
            max(0, position - 20) : position + 5
        ]
        (aside,) = (home.store / ".corrupt").iterdir()
        (aside / MANIFEST).write_bytes(content)
        aside.rename(path.parent)
    assert find(home, "stage", "task", key) is not None


def test_an_outcome_whose_manifest_is_gone_is_rebuilt(home):
    first = publish(home)
    (home.root / first.ref.path / MANIFEST).unlink()
    assert publish(home).ref == first.ref


def _publish_slowly(root: Path) -> tuple[bool, str]:
    def slow(folder: Path) -> dict:
        time.sleep(0.3)
        return build(folder)

    artifact = get_or_build(Home(root), "stage", "task", INPUTS, slow)
    return artifact.cached, artifact.ref.digest


def test_processes_that_publish_the_same_key_agree(home):
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        artifacts = list(pool.map(_publish_slowly, [home.root] * 3))
    assert len({ref for _, ref in artifacts}) == 1
    assert sum(not history for history, _ in artifacts) == 1
    assert list((home.store / ".staging").iterdir()) == []
    assert len(list((home.store / "stage" / "task").iterdir())) == 1


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    publish_json(path, {"step": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish_file(path, b"half")
    assert read_json(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_reads_a_file_while_it_is_replaced_goes_on_reading_the_old_one(tmp_path):
    path = tmp_path / "state.json"
    publish_file(path, b"old, and longer")
    with path.open("rb") as reader:
        publish_file(path, b"new")
        assert reader.read() == b"old, and longer"
    assert path.read_bytes() == b"new"


def test_a_digest_is_of_the_value_and_not_of_its_spelling(tmp_path):
    assert canonical({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    (tmp_path / "empty").touch()
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


@pytest.mark.parametrize("path", ["../outside", "/etc", "store/../../outside", "artifacts/1/r"])
def test_reference_outside_of_the_store_is_refused(home, path):
    (home.root.parent / "outside").mkdir()
    (home.root.parent / "outside" / MANIFEST).write_text("{}")
    with pytest.raises(CorruptArtifact, match=r"outside of the (home|store)"):
        open_ref(home, ArtifactRef(path, "0" * 64))
