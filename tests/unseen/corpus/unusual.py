"""Small logs in unusual spellings and containers: lists in cells, damaged lines, frames, matrices.

`UNUSUAL` has the same columns as `samples.SAMPLES`.
"""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unseen.corpus.samples import (
    ANGLE,
    DT,
    MOTION,
    SPEED,
    TIME,
    TORQUE,
    Array,
    Column,
    K,
    Sample,
    clock,
    csv,
    decimals,
    loop,
    unit,
)
from tests.unseen.corpus.tools import DEGREES, STATES, table

BASE = {"time": TIME, "angle_rad": ANGLE, "velocity_rad_s": SPEED, "torque_Nm": TORQUE}
AXES: dict[str, Column] = {
    "q[0]": ("state", "rad"), "dq[1]": ("state", "rad/s"), "tau[0]": ("action", "N*m"),
}  # fmt: skip
MATRIX = np.stack([ANGLE, SPEED, TORQUE], axis=1)
NAMES = ["angle", "velocity", "torque"]


def named(array: str, first: int = 0) -> dict[str, Column]:
    """Return the roles and units of the columns of a matrix whose names a text array lists."""
    return {f"{array}[{first}]": ("state", "rad"), f"{array}[{first + 2}]": ("action", "N*m")}


def spelled(name: str, form: Callable[[float], str], separator: str = ",") -> Sample:
    """Return a sample whose numbers are all spelled by `form`."""
    cells = {key: [form(value) for value in values] for key, values in BASE.items()}
    return Sample("spelling", name, lambda folder: csv(folder, cells, separator=separator), DT,
                  MOTION)  # fmt: skip


def listed(name: str, form: str, separator: str = ",", point: str = ".") -> Sample:
    """Return a sample whose cells hold two numbers each."""
    cells = {
        key: [form.format(value, value / 2).replace(".", point) for value in values]
        for key, values in {"q": ANGLE, "dq": SPEED, "tau": TORQUE}.items()
    }
    return Sample("spelling", f"list in a cell, {name}",
                  lambda folder: csv(folder, {"time": decimals(TIME, 2), **cells},
                                     separator=separator), DT, AXES)  # fmt: skip


def damaged(name: str, change: Callable[[bytes], bytes], says: str = "") -> Sample:
    """Return a sample whose file is changed after it was written."""

    def write(folder: Path) -> None:
        csv(folder, BASE)
        path = folder / "run.csv"
        path.write_bytes(change(path.read_bytes()))

    return Sample("damage", name, write, DT, MOTION, says)


def quoted(values: Array) -> list[str]:
    """Return numbers with decimal commas in quotes."""
    return [f'"{value:.5f}"'.replace(".", ",") for value in values]


SPELLINGS = [
    spelled("minus behind", lambda v: f"{abs(v):.5f}{'-' if v < 0.0 else ''}"),
    spelled("negative numbers in brackets", lambda v: f"({-v:.5f})" if v < 0.0 else f"{v:.5f}"),
    spelled("en dash", lambda v: f"{v:.5f}".replace("-", "–")),
    spelled("apostrophes as quotes", lambda v: f"'{v:.5f}'"),
    spelled("Fortran, decimal commas", lambda v: f"{v:.8E}".replace("E", "D").replace(".", ","),
            ";"),
    spelled("spaces around bars", lambda v: f" {v:.6f} ", "|"),
    Sample("spelling", "decimal commas in one column",
           lambda folder: csv(folder, BASE | {"time": decimals(TIME, 2),
                                              "angle_rad": quoted(ANGLE)}), DT, MOTION),
    Sample("spelling", "a word for a missing value",
           lambda folder: csv(folder, BASE | {"velocity_rad_s": [
               "overrange" if k in {50, 90} else v for k, v in enumerate(SPEED)]}), DT, MOTION,
           says="2 of 400 values are texts such as 'overrange'"),
    *(listed(*item) for item in (
        ("semicolons in quotes", '"{:.5f};{:.5f}"'), ("spaces", "{:.5f} {:.5f}"),
        ("bars", "{:.5f}|{:.5f}"), ("commas in quotes", '"{:.5f}, {:.5f}"'),
        ("type of NumPy", '"array([{:.5f}, {:.5f}], dtype=float32)"'),
        ("JSON", '"{{""x"": {:.5f}, ""y"": {:.5f}}}"'), ("labels", '"x: {:.5f}, y: {:.5f}"'),
        ("angle brackets", '"<{:.5f}, {:.5f}>"'),
        ("decimal commas", "[{:.5f}; {:.5f}]", "\t", ","),
    )),
    table("spelling", "line breaks in a header", '"time\n[s]","angle\n[deg]","torque\n[Nm]"',
          [TIME, DEGREES, TORQUE],
          {"angle [deg]": ("state", "rad"), "torque [Nm]": ("action", "N*m")}),
    table("spelling", "names of rows of R", '"time","angle","torque"',
          [[f'"row{k}"' for k in K], TIME, ANGLE, TORQUE], STATES),
    table("spelling", "types below the names", "time,angle,torque\ndouble,double,double",
          [TIME, ANGLE, TORQUE], STATES),
    table("spelling", "index of pandas below levels of names",
          "level,joint,joint\nname,angle,torque\ntime,,", [TIME, ANGLE, TORQUE], STATES),
    table("spelling", "a column without a name", "time,,torque", [TIME, ANGLE, TORQUE],
          {"column_2": ("state", None)}),
    table("spelling", "Greek letters", "t,θ,θ̇,τ", [TIME, ANGLE, SPEED, TORQUE],
          {"θ": ("state", "rad"), "θ̇": ("state", "rad/s"), "τ": ("action", "N*m")}),
    damaged("zeros at the end of each line", lambda text: text.replace(b"\n", b"\0\n")),
    damaged("zeros in front of the header", lambda text: bytes(64) + text),
    damaged("a block of noise", lambda text: text[:6000] + np.random.default_rng(0).bytes(300)
            + text[6300:], "hold bytes of no text"),
    damaged("a block of another file", lambda text: text[:6000] + b"root:x:0:0:/bin/bash\na b\n"
            + text[6100:]),
]  # fmt: skip


def _frame(form: str, **options: object) -> Callable[[Path], None]:
    """Return a writer of a frame of pandas whose index is the time."""
    start = pd.Timestamp("2024-05-01 12:00")
    elapsed = pd.to_timedelta(TIME, unit="s")
    index = {"dates": start + elapsed, "durations": elapsed, "seconds": pd.Index(TIME)}

    def write(folder: Path) -> None:
        kind, orient = options.get("index", "dates"), options.get("orient")
        frame = pd.DataFrame({"angle": ANGLE, "torque": TORQUE}, index=index[kind])
        if form == "parquet":
            frame.to_parquet(folder / "run.parquet")
        else:
            dates = "iso" if options.get("iso") else "epoch"
            frame.to_json(folder / "run.json", orient=orient, date_format=dates)

    return write


def _archive(**arrays: Array) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "run.npz", **arrays)


def _hdf5_names(folder: Path) -> None:
    with h5py.File(folder / "run.h5", "w") as file:
        file["time"] = TIME
        file["data"] = MATRIX
        file["data"].attrs["columns"] = np.array(NAMES, dtype=h5py.string_dtype())


def _mat_names(folder: Path) -> None:
    from scipy.io import savemat

    savemat(folder / "run.mat", {"t": TIME[:, None], "data": MATRIX,
                                 "names": np.array(NAMES, dtype=object)})  # fmt: skip


def _mat_structs(name: str, data: str, unit_field: str) -> Callable[[Path], None]:
    """Return a writer of an array of structs under other names of fields."""

    def write(folder: Path) -> None:
        from scipy.io import savemat

        signals = np.empty(2, dtype=[(field, object) for field in (name, unit_field, data)])
        signals[:] = [("angle", "rad", ANGLE[:, None]), ("torque", "Nm", TORQUE[:, None])]
        savemat(folder / "run.mat", {"sig": signals, "t": TIME[:, None]})

    return write


def _mat73_names(folder: Path) -> None:
    path = folder / "run.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["t"] = TIME[None]
        file["data"] = MATRIX.T
        texts = [file.create_dataset(f"#refs#/{name}", data=np.array([[ord(c)] for c in name],
                                                                     np.uint16))
                 for name in NAMES]  # fmt: skip
        for text in texts:
            text.attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("names", data=np.array([[text.ref] for text in texts],
                                                   dtype=h5py.ref_dtype))  # fmt: skip
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM"
    path.write_bytes(content)


def _stated_parquet(folder: Path) -> None:
    stated = pa.table({"time": TIME, "angle": ANGLE, "torque": TORQUE})
    pq.write_table(stated.replace_schema_metadata({"fps": "50"}), folder / "run.parquet")


def _newest_parquet(folder: Path) -> None:
    when = np.datetime64("2024-05-01", "us") + np.rint(1e6 * TIME).astype("m8[us]")
    frame = pd.DataFrame({"when": when, "angle": ANGLE, "torque": TORQUE})
    frame[::-1].to_parquet(folder / "run.parquet")


def _signals(folder: Path) -> None:
    signals = [
        {"name": name, "unit": symbol, "t": [*map(float, TIME)], "y": [*map(float, values)]}
        for name, symbol, values in (("angle", "rad", ANGLE), ("torque", "Nm", TORQUE))
    ]
    (folder / "run.json").write_text(json.dumps({"signals": signals}))


def _rows(folder: Path) -> None:
    rows = [[*map(float, row)] for row in np.column_stack([TIME, MATRIX])]
    (folder / "run.json").write_text(json.dumps({"columns": ["time", *NAMES], "rows": rows}))


RUNS = np.stack([MATRIX, 0.9 * MATRIX, 1.1 * MATRIX])
STACKED: dict[str, Column] = {"q[0]": ("state", None), "u": ("action", None)}
CONTAINERS = [
    *(Sample("container", f"parquet of pandas, {index} as index", _frame("parquet", index=index),
             DT, STATES) for index in ("dates", "durations", "seconds")),
    *(Sample("container", f"JSON of pandas, {orient}, {index}, {iso}",
             _frame("json", orient=orient, index=index, iso=iso), DT,
             {"data[0]": ("state", "rad"), "data[1]": ("action", "N*m")}
             if orient == "split" else STATES)
      for orient, index, iso in (("columns", "dates", False), ("columns", "dates", True),
                                 ("index", "dates", True), ("columns", "seconds", False),
                                 ("split", "dates", False), ("split", "dates", True))),
    Sample("container", "parquet, newest date first", _newest_parquet, DT, STATES,
           says="newest row is first"),
    Sample("container", "parquet that states another rate", _stated_parquet, DT, STATES,
           says="the metadata states 50 Hz"),
    Sample("container", "JSON, rows below columns", _rows, DT, named("rows", 1)),
    Sample("container", "JSON, a list of signals", _signals, DT,
           {"signals/angle": ("state", "rad"), "signals/torque": ("action", "N*m")}),
    Sample("container", "npz, names next to a matrix",
           _archive(time=TIME, data=MATRIX, columns=np.array(NAMES)), DT, named("data")),
    Sample("container", "npz, names of a matrix with its clock",
           _archive(data=np.column_stack([TIME, MATRIX]), names=np.array(["time", *NAMES])), DT,
           named("data", 1)),
    Sample("container", "npz, names of joints",
           _archive(time=TIME, q=MATRIX[:, :2], tau=MATRIX[:, 2:] * [1.0, -1.0],
                    joint_names=np.array(["hip", "knee"])), DT,
           {"q[0]": ("state", "rad"), "tau[1]": ("action", "N*m")}),
    Sample("container", "npz, dates", _archive(
        time=np.datetime64("2024-05-01T12:00", "ns") + np.rint(1e9 * TIME).astype("m8[ns]"),
        angle=ANGLE, torque=TORQUE), DT, STATES, unit="ns"),
    Sample("container", "npz, episodes in one array", _archive(
        t=TIME, q=RUNS[:, :, :2], u=RUNS[:, :, 2:]), DT, STACKED),
    Sample("container", "npz, episodes with a clock each", _archive(
        t=np.stack([TIME] * 3), q=RUNS[:, :, :2], u=RUNS[:, :, 2:]), DT, STACKED),
    Sample("container", "HDF5, names as attribute", _hdf5_names, DT, named("data")),
    Sample("container", "MATLAB, names in a cell", _mat_names, DT, named("data")),
    *(Sample("container", f"MATLAB, structs with {fields[0]}", _mat_structs(*fields), DT, STATES)
      for fields in (("Label", "Samples", "Units"), ("title", "y", "unit"))),
    Sample("container", "MATLAB 7.3, names in a cell", _mat73_names, DT, named("data")),
    table("test bench", "ASCII export of INCA",
          "ETASAsciiItemFile\trecord\tsampleCount: 400\n"
          "time\tangle\ttorque\ns\tdeg\tNm\nf8\tf8\tf8",
          [TIME, DEGREES, TORQUE], STATES, separator="\t", file="run.ascii"),
    table("vehicle", "signals of CANape", "comment: CANape export\nt[s]\tangle[deg]\ttorque[Nm]",
          [TIME, DEGREES, TORQUE],
          {"angle[deg]": ("state", "rad"), "torque[Nm]": ("action", "N*m")}, separator="\t",
          file="run.asc"),
    table("vehicle", "a ticking counter next to a clock", "Tick#,offsetTime,roll,motor_cmd",
          [[str(10_000 + 46_080 * k) for k in K], TIME, ANGLE, TORQUE],
          {"roll": ("state", "rad"), "motor_cmd": ("action", None)}),
]  # fmt: skip
UNITS = [
    unit("torque [1/1000]", None), unit("force [10^3]", None), unit("pos [in.]", "inch", "state"),
    unit("angle2 [deg.]", "deg"), unit("accel [g's]", "g_0"), unit("charge Amp-hr", "A*h"),
]  # fmt: skip
LOOPS = [
    loop("DeltaV tags", "time", "FIC101/SP.CV", "FIC101/PV.CV", "FIC101/OUT.CV"),
    loop("German sizes", "Zeit", "Führungsgröße", "Regelgröße", "Stellgröße"),
    loop("speed of a pump", "time", "desired_level", "actual_level", "pump_speed"),
    loop("command of a level", "time", "LevelCmd", "LevelFbk", "ValveDrive"),
    loop("German compounds", "Zeit", "Lagesollwert", "Lageistwert", "Drehmomentsollwert"),
]
CLOCKS = [clock("time|days of a test", [f"0d 00:00:{value:05.2f}" for value in TIME])]
UNUSUAL = [*SPELLINGS, *CONTAINERS, *UNITS, *LOOPS, *CLOCKS]
