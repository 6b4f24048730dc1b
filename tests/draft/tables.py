"""Text tables, and the tasks drafted from them."""

import numpy as np

from kinemill.draft.builder import draft
from tests.conftest import load_task_in


def load(tmp_path, name, source):
    text = draft(name, source)
    return load_task_in(tmp_path, text), text


def table(path, **columns):
    rows = np.stack(list(columns.values()), axis=1)
    lines = [",".join(f"{value:.10g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path
