"""Variants of a sample in a text table: other order, separators, names, line ends or more logs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.unseen.corpus.samples import Column, Sample

KINDS = ("clock", "unit", "role")  # of samples with plain cells
CHANGES = ("order", "semicolons", "decimal commas", "prefix", "line ends", "constant", "copies")
PREFIX = "robot_"


def variants(sample: Sample, seed: int = 0) -> Iterator[Sample]:
    """Yield variants that must not change the draft, apart from the names of columns."""
    if sample.kind not in KINDS:
        return
    for kind in CHANGES:

        def write(folder: Path, kind: str = kind) -> None:
            sample.write(folder)
            path = folder / "run.csv"
            rows = [line.split(",") for line in path.read_text("utf-8").splitlines()]
            path.write_bytes(_changed(rows, kind, seed).encode())
            if kind == "copies":
                (folder / "run_2.csv").write_bytes(path.read_bytes())

        yield replace(
            sample, name=f"{sample.name}, {kind}", write=write, columns=_renamed(sample, kind)
        )


def _changed(rows: list[list[str]], kind: str, seed: int) -> str:
    """Return a table (rows, columns) of text in another spelling."""
    separator = ";" if kind in {"semicolons", "decimal commas"} else ","
    if kind == "order":
        order = np.random.default_rng(seed).permutation(len(rows[0]))
        rows = [[row[at] for at in order] for row in rows]
    elif kind == "decimal commas":
        rows = [rows[0], *([cell.replace(".", ",") for cell in row] for row in rows[1:])]
    elif kind == "prefix":
        rows = [[rows[0][0], *(f"{PREFIX}{name}" for name in rows[0][1:])], *rows[1:]]
    elif kind == "constant":
        rows = [[*rows[0], "spare"], *([*row, "0"] for row in rows[1:])]
    end = "\r\n" if kind == "line ends" else "\n"
    return ("\ufeff" if kind == "line ends" else "") + end.join(map(separator.join, rows)) + end


def _renamed(sample: Sample, kind: str) -> dict[str, Column]:
    prefix = PREFIX if kind == "prefix" and sample.dt is not None else ""
    return {f"{prefix}{name}": column for name, column in sample.columns.items()}
