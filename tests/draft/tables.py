"""Text tables, and the tasks drafted from them."""

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.draft.builder import draft
from kinemill.ingest import stage as ingest
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_checks
from tests.conftest import load_task_in


def load(tmp_path, name, source):
    text = draft(name, source)
    return load_task_in(tmp_path, text), text


def table(path, **columns):
    rows = np.stack(list(columns.values()), axis=1)
    lines = [",".join(f"{value:.10g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


def ingest_and_pack(task, home, source):
    """Run a draft to its dataset; return it and the rows that ingest read."""
    report = ingest.run(task, home, source)
    episodes = validate.run(task, home, report.artifact.ref)
    assert all(item.passed for item in load_checks(home, episodes.ref) if item.blocking)
    packed = dataset_stage.run(task, home, episodes.ref).ref
    return load_dataset(home, packed), report.artifact.summary
