import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.export.bundle import write_sums
from kinemill.runtime import load
from tests.export.conftest import batch, published, random_step


@pytest.fixture(scope="module")
def exported(step_folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gru") / "model"
    shutil.copytree(step_folders["gru"], folder)
    write_sums(folder)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


def test_rollout_onnx_alone_is_enough_to_run_it(folder, tmp_path):
    alone = shutil.copy(folder / "rollout.onnx", tmp_path / "elsewhere.onnx")
    inputs = [part.numpy() for part in batch(2, 4, 5)]
    result, expected = load(alone).rollout(*inputs), load(folder).rollout(*inputs)
    np.testing.assert_array_equal(result, expected)
    with pytest.raises(BadInput, match=r"step.onnx: does not exist"):
        load(alone).step(inputs[0][:, -1], inputs[2][:, 0], np.zeros((2, 1, 128)))


@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx", "io.yaml"])
def test_a_folder_without_a_line_for_a_file_is_refused(name, folder):
    lines = (folder / "sha256sums").read_text().splitlines(keepends=True)
    (folder / "sha256sums").write_text("".join(line for line in lines if name not in line))
    with pytest.raises(CorruptArtifact, match=f"holds {name}, which sha256sums does not list"):
        load(folder)
    with pytest.raises(CorruptArtifact, match="is not listed in sha256sums"):
        load(folder / "rollout.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no sha256sums"),
        ("", "sha256sums: is empty"),
        ("0123\n", "sha256sums:1: is '0123'"),
    ],
)
def test_a_folder_without_sums_is_refused(content, message, folder):
    (folder / "sha256sums").unlink()
    if content is not None:
        (folder / "sha256sums").write_text(content)
    with pytest.raises(CorruptArtifact, match=message):
        load(folder)


@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx", "io.yaml"])
def test_a_folder_without_a_file_of_the_model_is_refused(name, folder):
    (folder / name).unlink()
    write_sums(folder)
    with pytest.raises(CorruptArtifact, match=f"has no {name}"):
        load(folder)


def test_a_file_that_was_added_is_refused_unless_it_is_of_the_store(folder):
    for name in ("MANIFEST.json", "summary.json"):
        (folder / name).write_text("{}")
    assert load(folder).interface.task == "pendulum"
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(CorruptArtifact, match=r"holds notes.txt, which sha256sums does not list"):
        load(folder)


@pytest.mark.parametrize("position", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx", "io.yaml"])
def test_a_flipped_bit_is_found_wherever_it_is(name, position, folder):
    content = bytearray((folder / name).read_bytes())
    content[int(position * len(content))] ^= 4
    (folder / name).write_bytes(content)
    with pytest.raises(CorruptArtifact, match=f"{name}: its bytes differ"):
        load(folder)


def test_channels_that_are_swapped_in_io_yaml_are_found(folder):
    io = (folder / "io.yaml").read_text()
    swapped = io.replace("angle", "?").replace("velocity", "angle").replace("?", "velocity")
    (folder / "io.yaml").write_text(swapped)
    write_sums(folder)
    with pytest.raises(CorruptArtifact, match=r"its metadata and io.yaml differ in names"):
        load(folder)


@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx"])
def test_channels_that_are_swapped_in_the_metadata_are_found(name, folder):
    import onnx

    model = onnx.load(folder / name)
    for item in model.metadata_props:
        if item.key == "states":
            item.value = json.dumps(json.loads(item.value)[::-1])
    onnx.save(model, folder / name)
    write_sums(folder)
    with pytest.raises(CorruptArtifact, match=f"{name}: its metadata and io.yaml differ"):
        load(folder)


def test_what_is_no_model_is_said_so(folder, tmp_path):
    with pytest.raises(BadInput, match="nowhere: does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"its inputs are \['state', 'action', 'carry_0'\]"):
        load(folder / "step.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(BadInput, match=r"noise.onnx: is not an ONNX file"):
        load(tmp_path / "noise.onnx")
    with pytest.raises(BadInput, match="models:/arm@champion is the address of a version"):
        load("arm@champion")
    with pytest.raises(BadInput, match="threads: 0"):
        load(folder, threads=0)
    with pytest.raises(BadInput, match="threads: '2'"):
        load(folder, threads="2")
    with pytest.raises(BadInput, match="expected 'raise' or 'pass'"):
        load(folder, non_finite="drop")


def test_metadata_of_somebody_else_is_refused(folder, tmp_path):
    import onnx

    model = onnx.load(folder / "rollout.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(BadInput, match="lacks or misspells 'format'"):
        load(tmp_path / "bare.onnx")


def test_an_address_without_the_registry_extra_says_what_to_install():
    code = (
        "import sys; sys.modules['mlflow'] = sys.modules['pydantic'] = None\n"
        "import kinemill.runtime\n"
        "try: kinemill.runtime.load('models:/pendulum@champion')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "BadInput models:/pendulum@champion: a registry address needs" in done.stdout
    assert "pip install 'kinemill[registry]'" in done.stdout


def test_a_step_of_another_model_is_refused(folder, tmp_path):
    (folder / "step.onnx").write_bytes((folder / "rollout.onnx").read_bytes())
    write_sums(folder)
    with pytest.raises(BadInput, match=r"step.onnx: its inputs are \['states'"):
        load(folder)
    stranger = published(random_step("gru", history=2), tmp_path / "other")
    shutil.copy(stranger / "step.onnx", folder / "step.onnx")
    write_sums(folder)
    with pytest.raises(CorruptArtifact, match=r"step.onnx: its metadata and io.yaml differ"):
        load(folder)
    for name in ("io.yaml", "sha256sums"):
        (folder / name).unlink()  # files alone, each named by its path
    with pytest.raises(BadInput, match=r"step.onnx: is of another model than the rollout.onnx"):
        load(folder / "rollout.onnx")


def test_metadata_that_is_no_text_is_refused(folder, tmp_path):
    content = (folder / "rollout.onnx").read_bytes()
    assert b"pendulum" in content
    (tmp_path / "alone.onnx").write_bytes(content.replace(b"pendulum", b"pend\xfflum"))
    with pytest.raises(BadInput, match="ONNX Runtime cannot load it"):
        load(tmp_path / "alone.onnx")
