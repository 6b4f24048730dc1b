"""`python -m kinemill.runtime verify`: an intact copy passes, each damage is reported."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.export.bundle import assemble, deliver, write_sums
from kinemill.runtime.__main__ import main
from kinemill.runtime.self_test import verify
from kinemill.verify.bundle import verify_folder

PARITY = ["rollout parity", "rollout parity, batch 1", "step parity"]


@pytest.fixture(scope="module")
def exported(step_folders):
    return step_folders["gru"]


@pytest.fixture
def folder(exported, tmp_path):
    (tmp_path / "bundle").mkdir()
    assemble(tmp_path / "bundle", exported)
    return tmp_path / "bundle"


def failed(result):
    return [line["name"] for line in result["lines"] if not line["passed"]]


def test_a_sound_copy_passes_and_is_timed(folder, capsys):
    assert main(["verify", str(folder), "--calls", "20", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["passed"]
    assert [line["name"] for line in result["lines"]] == ["hashes", "interface", *PARITY]
    for times in result["latency_ms"].values():
        assert 0.0 < times["p50"] <= times["p99"] <= times["worst"]
    assert main(["verify", str(folder), "--calls", "20", "--p99-ms", "1e-6"]) == 1
    assert "FAILED latency" in capsys.readouterr().out


def test_only_numpy_and_onnxruntime_are_imported(folder):
    code = (
        "import sys; from kinemill.runtime.__main__ import main\n"
        f"assert main(['verify', {str(folder)!r}, '--calls', '5']) == 0\n"
        "known = sys.stdlib_module_names | {'kinemill', 'numpy', 'onnxruntime'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - known))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    assert {name for name in others if not name.startswith("_")} <= {"sitecustomize"}


def test_a_changed_a_missing_and_an_unlisted_file_are_named(folder):
    (folder / "io.yaml").write_text("task: another\n")
    (folder / "notes.txt").write_text("hello")
    (folder / "cases.npz").unlink()
    result = verify(folder, calls=5)
    assert not result["passed"]
    (line,) = result["lines"]
    for message in ("notes.txt is not listed", "cases.npz is missing", "io.yaml has changed"):
        assert message in line["found"]


def test_channels_that_are_swapped_are_named_by_both_commands(folder, capsys):
    io = (folder / "io.yaml").read_text()
    swapped = io.replace("angle", "?").replace("velocity", "angle").replace("?", "velocity")
    (folder / "io.yaml").write_text(swapped)
    write_sums(folder)
    assert main(["verify", str(folder), "--calls", "5"]) == 1
    result = capsys.readouterr().out
    assert "FAILED interface: rollout.onnx its metadata and io.yaml differ" in result
    document = verify_folder(folder)
    assert [gate.name for gate in document.gates if not gate.passed] == ["interface"]


def test_sums_that_lead_out_of_the_folder_open_nothing(folder, tmp_path):
    (tmp_path / "outside").write_text("secret")
    with (folder / "sha256sums").open("a") as sums:
        sums.write(f"{'0' * 64}  ../outside\n")
    with pytest.raises(CorruptArtifact, match=r"sha256sums:\d+: is '0+  \.\./outside'"):
        verify(folder, calls=5)


@pytest.mark.parametrize("planted", [1e-3, np.nan])
def test_a_model_that_says_otherwise_fails_parity(planted, folder):
    stored = dict(np.load(folder / "cases.npz"))
    stored["next_states"][2, 1, 1] += planted  # as if the file's weights had been changed
    np.savez(folder / "cases.npz", allow_pickle=False, **stored)
    write_sums(folder)
    assert failed(verify(folder, calls=5)) == PARITY


def test_cases_that_allow_anything_or_are_none_are_refused(folder, capsys):
    stored = dict(np.load(folder / "cases.npz"))
    for wrong in ({"allowed": stored["allowed"] + np.inf}, {"states": stored["states"][:0]}):
        np.savez(folder / "cases.npz", allow_pickle=False, **(stored | wrong))
        write_sums(folder)
        with pytest.raises(CorruptArtifact, match=r"cases.npz: holds no case"):
            verify(folder, calls=5)
    np.savez(folder / "cases.npz", states=np.array([{}], dtype=object))
    write_sums(folder)
    with pytest.raises(CorruptArtifact, match=r"cases.npz: cannot be read"):
        verify(folder, calls=5)
    assert main(["verify", str(folder / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_delivered_bundle_is_whole_and_may_hold_c(folder, tmp_path):
    result = deliver(folder, tmp_path / "to", c99=True)
    assert {"step.c", "step.h", "io.yaml"} <= set(result.files)
    assert result.c99.difference < 1e-5
    assert verify(tmp_path / "to", calls=5)["passed"]
    with pytest.raises(BadInput, match="exists and is not empty"):
        deliver(folder, tmp_path / "to")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".aside")]
