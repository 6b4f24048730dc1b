"""Reading NumPy files: named arrays, structured ones, bombs and pickles refused."""

import io
import zipfile

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.files import recognize
from kinemill.ingest.readers.npz import read
from tests.ingest.conftest import refusals

COLUMNS = {
    "time": np.arange(5) * 0.01,
    "position": np.arange(5, dtype=np.float32),
    "velocity": np.array([[9, 8, 7, 6, 5]]).T,
    "torque": np.array([True, False, True, False, True]),
}


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    """Return an array's header alone, as numpy writes it."""
    file = io.BytesIO()
    content = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, content)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_named_arrays_are_channels(logs, task, home, save):
    save(logs / "a.npz", **COLUMNS)
    log = read(logs / "a.npz", task)
    assert log.frame.rows()[:2] == [(0.0, 0.0, 9.0, 1.0), (0.01, 1.0, 8.0, 0.0)]
    assert recognize(task, logs / "a.npz") == "npz"
    assert ingest.run(task, home, logs).artifact.summary["rows"] == 5


def test_a_date_that_is_missing_is_a_row_without_timestamp(logs, make_task):
    stamps = np.datetime64("2026-05-01T12:00:00", "ms") + 10 * np.arange(5)
    stamps[2] = "NaT"
    np.savez(logs / "a.npz", **COLUMNS | {"time": stamps})
    log = read(logs / "a.npz", make_task(ingest__time_unit="ns"))
    assert log.frame["time_s"].is_nan().to_list() == [False, False, True, False, False]


def test_names_with_a_slash_are_episodes(logs, task):
    episodes = {
        f"episode_{number}/{name}": values[: number + 2]
        for number in range(3)
        for name, values in COLUMNS.items()
    }
    np.savez(logs / "a.npz", **episodes)
    expected = [("episode_0", 2), ("episode_1", 3), ("episode_2", 4)]
    assert [(log.part, log.frame.height) for log in read(logs / "a.npz", task)] == expected


@pytest.mark.parametrize(
    ("shape", "parts"),
    [((3, 60), ["(0)", "(1)", "(2)"]), ((60, 3, 3), [""])],  # episodes; rotations
)
def test_arrays_of_episodes_and_rows_are_episodes(logs, task, shape, parts):
    rows = shape[-1] if len(shape) == 2 else shape[0]
    columns = {name: np.arange(rows) * 0.01 for name in COLUMNS}
    stacked = np.zeros((*shape, 2)) if len(shape) == 2 else np.zeros(shape)
    np.savez(logs / "a.npz", **columns, image=stacked)
    read_logs = read(logs / "a.npz", task)
    logs_read = read_logs if isinstance(read_logs, list) else [read_logs]
    assert [(log.part, log.frame.height) for log in logs_read] == [(part, 60) for part in parts]


@pytest.mark.parametrize("counts", [{"episode_ends": [2, 5]}, {"traj_lengths": [2, 3]}])
def test_ends_or_lengths_of_episodes_split_their_rows(logs, task, counts):
    np.savez(logs / "a.npz", **COLUMNS, **counts)
    assert [part.frame.height for part in read(logs / "a.npz", task)] == [2, 3]


def test_a_matrix_in_a_npy_file_is_addressed_by_column(logs, make_task):
    task = make_task(
        ingest__time="arr_0[0]",
        channels__angle__source="arr_0[1]",
        channels__velocity__source="arr_0[2]",
        channels__torque__source="arr_0[3]",
    )
    values = np.asfortranarray(np.arange(20.0).reshape(5, 4))
    np.save(logs / "a.npy", values)
    assert read(logs / "a.npy", task).frame.row(4) == (16.0, 17.0, 18.0, 19.0)
    assert recognize(task, logs / "a.npy") == "npz"


def test_fields_of_a_structured_array_are_channels(logs, task):
    rows = np.zeros(3, [("time", "i8"), ("position", "f4"), ("velocity", "f8"), ("torque", "u1")])
    rows["time"], rows["torque"] = [7, 8, 9], [1, 2, 255]
    np.save(logs / "a.npy", rows)
    assert read(logs / "a.npy", task).frame.row(2) == (9, 0.0, 0.0, 255.0)


def test_pickled_objects_are_refused_and_never_run(logs, task, tmp_path):
    class Trap:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "ran"), "w"))

    np.savez(logs / "a.npz", **(COLUMNS | {"torque": np.array([Trap()], dtype=object)}))
    (item,) = refusals(read, logs / "a.npz", task)
    assert "pickled objects" in item["found"]
    assert not (tmp_path / "ran").exists()


def test_a_npy_that_declares_more_than_the_file_holds_is_refused(logs, make_task):
    task = make_task(
        ingest__rate=10.0,
        channels__angle__source="arr_0[0]",
        channels__velocity__source="arr_0[1]",
        channels__torque__source="arr_0[2]",
    )
    (logs / "a.npy").write_bytes(header("<f8", (10**12, 3)) + bytes(240))
    (item, *_) = refusals(read, logs / "a.npy", task)
    assert "columns" in item["check"] or "declares" in item["found"]


@pytest.mark.parametrize(
    ("shape", "problem"),
    [(3 << 30, "declares 3.22e+09 bytes"), (8 << 20, "the file holds 8388608")],
)
def test_a_zip_bomb_is_refused_by_what_it_declares(logs, task, shape, problem):
    with zipfile.ZipFile(logs / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("time", "position", "velocity"):
            file = io.BytesIO()
            np.save(file, COLUMNS[name])
            archive.writestr(f"{name}.npy", file.getvalue())
        top = header("<f8", ((3 << 27) - 16,))  # 3 GiB with the header
        archive.writestr("torque.npy", top + bytes((8 << 20) - len(top)))
        archive.infolist()[-1].file_size = shape
    assert (logs / "a.npz").stat().st_size < 20_000
    (reason,) = refusals(read, logs / "a.npz", task)
    assert problem in reason["found"]


@pytest.mark.parametrize("shape", ["(-5,)", "(5, -1)", "(10**30,)", "()", "'x'", "(1,) * 10**9"])
def test_absurd_shapes_are_refused(logs, task, shape):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    (logs / "a.npy").write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode())
    assert refusals(read, logs / "a.npy", task)


@pytest.mark.parametrize("stamp", [np.array(0.0), np.empty(0)])
def test_one_number_named_as_the_clock_is_none(logs, make_task, stamp):
    rest = {name: values for name, values in COLUMNS.items() if name != "time"}
    np.savez(logs / "a.npz", time=stamp, **rest)
    log = read(logs / "a.npz", make_task(ingest__rate=100.0))
    assert (log.ticks, log.frame.height) == (100.0, 5)
