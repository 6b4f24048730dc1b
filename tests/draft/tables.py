"""Text tables, and the tasks drafted from them."""

import numpy as np

from kinemill.draft.builder import draft
from kinemill.task import load_task


def load(tmp_path, name, source):
    path = tmp_path / f"{name}.yaml"
    path.write_text(draft(name, source), encoding="utf-8")
    return load_task(path), path.read_text()


def table(path, **columns):
    rows = np.stack(list(columns.values()), axis=1)
    lines = [",".join(f"{value:.10g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path
