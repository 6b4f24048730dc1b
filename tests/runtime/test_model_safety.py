"""Model folders that would run code or read other files are rejected before any code runs."""

import os
import pickle
import shutil
import subprocess
import zipfile

import onnx
import pytest
from onnx import external_data_helper, helper

from kinemill.errors import BadInput
from kinemill.export.bundle import write_sums
from kinemill.runtime import load, model_safety
from kinemill.verify.bundle import check_folder, verify_folder

MESSAGES = {
    "Model": onnx.ModelProto,
    "Graph": onnx.GraphProto,
    "Node": onnx.NodeProto,
    "Attribute": onnx.AttributeProto,
    "Sparse": onnx.SparseTensorProto,
    "Training": onnx.TrainingInfoProto,
    "Function": onnx.FunctionProto,
    "Opset": onnx.OperatorSetIdProto,
    "Tensor": onnx.TensorProto,
}


class Canary:
    """Record that it was run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture(scope="module")
def exported(step_folders):
    return step_folders["mlp"]


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def changed(folder, name, change):
    model = onnx.load(folder / name)
    change(model)
    (folder / name).write_bytes(model.SerializeToString())


def refused(folder, message):
    write_sums(folder)  # whoever plants something can write those as well
    for open_it in (load, check_folder, verify_folder):
        with pytest.raises(BadInput, match=message):
            open_it(folder)


def test_the_fields_of_onnx_are_those_that_are_looked_through():
    names = {kind.DESCRIPTOR.full_name: name for name, kind in MESSAGES.items()}
    for name, kind in MESSAGES.items():
        inner = {
            field.number: names[field.message_type.full_name]
            for field in kind.DESCRIPTOR.fields
            if field.message_type is not None and field.message_type.full_name in names
        }
        assert model_safety._INSIDE[name] == inner
    numbers = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert numbers["external_data"].number == model_safety._DATA
    assert numbers["data_location"].number == model_safety._LOCATION
    for name, number in model_safety._DOMAIN.items():
        assert MESSAGES[name].DESCRIPTOR.fields_by_name["domain"].number == number


@pytest.mark.parametrize("name", ["model.pkl", "weights.pickle", "model.joblib", "model.pt"])
def test_pickles_are_refused(folder, canary, name):
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    refused(folder, f"{name}: is a pickle, or may be")


def test_a_pickle_inside_of_a_zip_of_torch_is_refused(folder, canary):
    with zipfile.ZipFile(folder / "weights.pth", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Canary(canary)))
    refused(folder, "is a pickle, or may be")


@pytest.mark.parametrize(
    "flavor",
    [
        "    loader_module: evil\n",
        "    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n",
        "    {data: model.onnx, 'loader_module': \"evil\"}\n",
        "    loader_module: mlflow.onnx\n    code: code\n",
        "    loader_module: mlflow.onnx\n    cloudpickle_version: 3.1.0\n",
    ],
)
def test_a_python_flavor_of_mlflow_is_refused(folder, canary, flavor):
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n")
    (folder / "MLmodel").write_text(f"flavors:\n  python_function:\n{flavor}")
    refused(folder, "MLmodel: (is loaded by the Python module|holds Python)")


def test_the_flavor_of_our_own_versions_is_taken(folder):
    (folder / "MLmodel").write_text(
        "flavors:\n  onnx: {code: null, data: model.onnx}\n  python_function:\n"
        "    loader_module: mlflow.onnx\n    code: null\n    data: model.onnx\n"
    )
    check_folder(folder)


@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx"])
@pytest.mark.parametrize("position", ["../canary", "/etc/passwd", "beside.bin"])
def test_weights_outside_of_the_file_are_refused(folder, tmp_path, name, position):
    (tmp_path / "canary").write_bytes(bytes(4096))  # it is there, and would be read

    def point(model):
        tensor = model.graph.initializer[0]
        external_data_helper.set_external_data(tensor, position)
        tensor.ClearField("raw_data")

    changed(folder, name, point)
    refused(folder, f"{name}: stores weights in another file")


def test_weights_outside_are_found_within_subgraphs_and_attributes(folder):
    def point(model):
        scan = next(node for node in model.graph.node if node.op_type == "Scan")
        body = next(item.g for item in scan.attribute if item.name == "body")
        tensor = helper.make_tensor("t", onnx.TensorProto.FLOAT, [1], [0.0])
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../canary")
        body.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))

    changed(folder, "rollout.onnx", point)
    refused(folder, "rollout.onnx: stores weights in another file")


@pytest.mark.parametrize("name", ["step.onnx", "rollout.onnx", "io.yaml"])
def test_symbolic_links_are_refused(folder, tmp_path, name):
    other_folder = tmp_path / "elsewhere"
    (folder / name).rename(other_folder) if (folder / name).is_file() else other_folder.write_text(
        "{}"
    )
    (folder / name).symlink_to(other_folder)
    refused(folder, f"{name}: is a symbolic link")


def test_a_link_to_a_folder_that_holds_a_pickle_is_refused_before_it_is_followed(folder, tmp_path):
    (tmp_path / "more").mkdir()
    (folder / "more").symlink_to(tmp_path / "more")
    refused(folder, "more: is a symbolic link")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_a_library_of_operators_is_refused_and_not_loaded(folder, canary, tmp_path):
    source = tmp_path / "ops.c"
    source.write_text(
        "#include <stdlib.h>\n__attribute__((constructor)) static void run(void) "
        f'{{ system("touch {canary}"); }}\n'
    )
    library = folder / "ops.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True
    )
    refused(folder, "ops.so: is a library")
    library.unlink()

    def ask(model):
        model.opset_import.append(helper.make_opsetid("com.acme", 1))
        model.graph.node[0].domain = "com.acme"

    changed(folder, "step.onnx", ask)
    refused(folder, "step.onnx: uses operators of 'com.acme'")


@pytest.mark.parametrize(
    "content", [b"", b"ORTM" + bytes(64), b"\x80\x04\x95 pickle", b"\xff" * 40]
)
def test_what_is_no_onnx_is_refused(folder, content):
    (folder / "step.onnx").write_bytes(content)
    write_sums(folder)
    with pytest.raises(BadInput, match=r"step\.onnx"):
        load(folder)


def test_no_cut_and_no_flipped_bit_gets_past_as_another_error(folder):
    whole = (folder / "step.onnx").read_bytes()
    for position in range(0, len(whole), len(whole) // 200):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x40
        for content in (whole[:position], bytes(spoiled)):
            try:
                model_safety.refuse_model(folder / "step.onnx", content)
            except BadInput:
                continue
