"""Reading MATLAB files of both generations, and what they hold besides numbers."""

import struct

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from kinemill.ingest.files import recognize
from kinemill.ingest.raw import RawLog
from kinemill.ingest.readers._arrays import Array, rows_first
from kinemill.ingest.readers.mat import about, read
from tests.ingest.conftest import refusals

VARIABLES = {
    "t": np.arange(5.0)[:, None] * 0.01,
    "position": np.arange(5.0)[None],  # a row vector
    "x": np.arange(10.0).reshape(5, 2),
    "torque": np.array([[1], [0], [1], [0], [1]], np.uint8),
}


@pytest.fixture
def drive(make_task):
    return make_task(channels__velocity__source="x[1]")


def save_73(path, variables) -> None:
    """Write as MATLAB does: HDF5 behind a block of 512 bytes, columns first."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = values.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def save_recording_73(path) -> None:
    """Write a recording of dSPACE: structs of references to names, units and numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:

        def text(name, content):
            file[name] = np.array([[ord(letter)] for letter in content], np.uint16)
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
            return file[name].ref

        signals = {"Name": [], "Unit": [], "Data": []}
        for at, (name, unit) in enumerate((("m/angle", "deg"), ("m/torque", "Nmm"))):
            file[f"#refs#/d{at}"] = (1.0 + at) * VARIABLES["t"]
            signals["Name"].append(text(f"#refs#/n{at}", name))
            signals["Unit"].append(text(f"#refs#/u{at}", unit))
            signals["Data"].append(file[f"#refs#/d{at}"].ref)
        for field, references in signals.items():
            file[f"rec/Y/{field}"] = np.array(references, h5py.ref_dtype)[:, None]
        file["rec/X/Data"] = VARIABLES["t"]
        text("rec/X/Name", " ")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(124) + b"\0\2IM")


def test_structs_of_signals_of_version_73_are_arrays(logs, make_task):
    save_recording_73(path := logs / "a.mat")
    sources = {"angle": "angle", "velocity": "torque", "torque": "torque"}
    task = make_task(**{f"channels__{name}__source": own for name, own in sources.items()})
    assert read(path, task).frame.rows()[3:] == [(0.03, 0.03, 0.06, 0.06), (0.04, 0.04, 0.08, 0.08)]
    units = {name: column.unit for name, column in about(path).columns.items()}
    assert units == {"angle": "deg", "torque": "Nmm"}


@pytest.mark.parametrize("form", ["5", "5 compressed", "7.3"])
def test_vectors_and_columns_of_matrices_are_channels(logs, drive, form):
    path = logs / "a.mat"
    if form == "7.3":
        save_73(path, VARIABLES)
    else:
        savemat(path, VARIABLES, do_compression=form.endswith("compressed"))
    log = read(path, drive)
    assert log.frame.rows()[3:] == [(0.03, 3.0, 7.0, 0.0), (0.04, 4.0, 9.0, 1.0)]
    assert recognize(drive, path) == "mat"


@pytest.mark.parametrize("form", ["5", "7.3"])
def test_a_matrix_with_a_channel_in_each_row_is_transposed(logs, drive, form):
    """The length of the time vector shows which axis of a matrix is time."""
    path, wide = logs / "a.mat", VARIABLES | {"x": VARIABLES["x"].T}
    save_73(path, wide) if form == "7.3" else savemat(path, wide)
    assert read(path, drive).frame.rows()[3:] == [(0.03, 3.0, 7.0, 0.0), (0.04, 4.0, 9.0, 1.0)]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"u": (2, 50), "y": (3, 50)}, {"u": (50, 2), "y": (50, 3)}),
        ({"u": (2, 50), "y": (50, 3)}, {"u": (2, 50), "y": (50, 3)}),
        ({"u": (2, 8), "y": (3, 8)}, {"u": (2, 8), "y": (3, 8)}),
        ({"u": (40, 7), "limits": (7,)}, {"u": (40, 7), "limits": (7,)}),
        ({"u": (7, 40), "t": (1, 40)}, {"u": (40, 7), "t": (1, 40)}),
        ({"u": (7, 40), "t": (1, 39)}, {"u": (7, 40), "t": (1, 39)}),
    ],
)
def test_rows_of_the_log_are_the_first_axis(shapes, expected):
    values = {name: np.arange(np.prod(shape)).reshape(shape) for name, shape in shapes.items()}
    arrays = {
        name: Array(own.shape, own.dtype, lambda own=own: own) for name, own in values.items()
    }
    turned = rows_first(arrays)
    assert {name: one.shape for name, one in turned.items()} == expected
    assert all(one.load().shape == one.shape for one in turned.values())


def test_structs_cells_and_text_are_named_for_what_they_are(logs, drive):
    odd = {"position": {"a": 1.0}, "torque": np.array(["a"], object), "x": "text"}
    savemat(logs / "a.mat", VARIABLES | odd)
    items = {item["channel"]: item for item in refusals(read, logs / "a.mat", drive)}
    assert "velocity" in items
    whole = drive.model_copy(
        update={"channels": {k: v for k, v in drive.channels.items() if k != "velocity"}}
    )
    angle, torque = refusals(read, logs / "a.mat", whole)
    assert "is a MATLAB struct" in angle["found"]
    assert "is a MATLAB cell" in torque["found"]


@pytest.mark.parametrize("is_packed", [False, True])
def test_fields_of_structs_are_arrays(logs, make_task, is_packed):
    fields = {"t": VARIABLES["t"], "nu": np.arange(10.0).reshape(5, 2), "cell": ["a", 1.0]}
    log = {"a": fields, "torque_of_motor": VARIABLES["torque"], "empty": np.empty((0, 0))}
    savemat(logs / "a.mat", {"log": log, "many": [log, log]}, do_compression=is_packed)
    task = make_task(("log/a/nu[0]", "log/a/nu[1]", "log/torque_of_motor"), ingest__time="log/a/t")
    assert read(logs / "a.mat", task).frame.rows()[3:] == [(0.03, 6, 7, 0), (0.04, 8, 9, 1)]


def test_complex_numbers_are_refused(logs, drive):
    savemat(logs / "a.mat", VARIABLES | {"torque": np.ones((5, 1)) * 1j})
    (item,) = refusals(read, logs / "a.mat", drive)
    assert "complex" in item["found"]


def test_an_array_that_declares_more_than_it_holds_is_refused(logs, drive):
    savemat(logs / "a.mat", VARIABLES | {"torque": np.zeros(9)})
    whole = bytearray((logs / "a.mat").read_bytes())
    at = whole.rindex(struct.pack("<ii", 1, 9))
    whole[at : at + 8] = struct.pack("<ii", 2**30, 2**30)
    (logs / "a.mat").write_bytes(whole)
    (item,) = refusals(read, logs / "a.mat", drive)
    assert item["found"] == "declares the shape (1073741824, 1073741824) for 72 bytes of type 9"


def runs_of(count: int) -> np.ndarray:
    """Return an array of structs, each with a run of the drive."""
    runs = np.empty((1, count), dtype=[(name, object) for name in VARIABLES])
    for number in range(count):
        shifted = {**VARIABLES, "position": VARIABLES["position"] + 10.0 * number}
        runs[0, number] = tuple(shifted.values())
    return runs


def test_the_elements_of_an_array_of_structs_are_episodes(logs, drive):
    savemat(logs / "a.mat", {"runs": runs_of(11), "mass": 2.0}, do_compression=True)
    parts = read(logs / "a.mat", drive)
    assert isinstance(parts, list)
    assert [log.part for log in parts] == [f"runs({number})" for number in range(1, 12)]
    assert parts[10].frame["angle"].to_list() == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert parts[10].frame["velocity"].to_list() == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_an_array_of_structs_next_to_a_log_is_no_episode(logs, drive):
    savemat(logs / "a.mat", {**VARIABLES, "links": runs_of(3)})
    log = read(logs / "a.mat", drive)
    assert isinstance(log, RawLog)
    assert log.frame.height == 5


def cell_of(values) -> np.ndarray:
    cell = np.empty((1, len(values)), dtype=object)
    cell[0, :] = values
    return cell


def in_cells(form: str) -> dict:
    """Return three runs of the drive, in cells as engineers save them."""
    runs = [{**VARIABLES, "position": VARIABLES["position"] + 10.0 * k} for k in range(3)]
    if form == "of structs":
        return {"runs": cell_of(runs)}
    cells = {name: cell_of([run[name] for run in runs]) for name in VARIABLES}
    return cells if form == "of matrices" else {"log": cells}


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("form", "group"), [("of matrices", ""), ("in a struct", "log/"), ("of structs", "runs/")]
)
def test_the_elements_of_cells_are_episodes(logs, make_task, form, group, is_packed):
    variables = {**in_cells(form), "mass": 2.0, "names": cell_of(["a", "b", "c", "d"])}
    savemat(logs / "a.mat", variables, do_compression=is_packed)
    task = make_task(
        (f"{group}position", f"{group}x[1]", f"{group}torque"), ingest__time=f"{group}t"
    )
    parts = read(logs / "a.mat", task)
    assert [log.part for log in parts] == ["(1)", "(2)", "(3)"]
    assert parts[2].frame["angle"].to_list() == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert parts[2].frame["velocity"].to_list() == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_a_cell_array_is_refused_with_its_size(logs, drive):
    cells = np.empty(2, dtype=object)
    cells[:] = [np.arange(5.0), np.arange(7.0)]
    savemat(logs / "a.mat", {**VARIABLES, "torque": cells})
    (item,) = refusals(read, logs / "a.mat", drive)
    assert item["found"] == (
        "is a MATLAB cell array of 2 elements, not one array; "
        "save the numbers of each element to a separate file"
    )
