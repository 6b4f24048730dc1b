"""Form for the draft of a new task: its name, what to learn, and logs."""

from collections.abc import Sequence
from html import escape

from kinemill_dagster.pipelines.server.rest.documents import LogFolder
from kinemill_dagster.pipelines.server.web_console.layout import console_page
from kinemill_dagster.pipelines.server.web_console.log_picker import log_table
from kinemill_dagster.pipelines.server.web_console.setting_fields import labeled, options

_LEARN = {
    "dynamics": "a dynamics model",
    "imitation": "a policy from demonstrations",
    "motion": "a policy from motion clips",
}


def new_task_form(folders: Sequence[LogFolder]) -> str:
    """Return the page with the form."""
    sections = [
        '<header><div><div class="eyebrow">New task</div><h1>Draft a task from logs</h1></div>'
        "</header>",
        "<p>kinemill reads the columns of the logs and proposes channels, roles, units and "
        "relations. You check and change them on the next page. Nothing is written before "
        "<b>Create</b>.</p>",
        '<form class="new"><div class="fields">',
        labeled(
            "Name of the task",
            '<input name="name" required pattern="[a-z][a-z0-9_]*" maxlength="100" '
            'title="small letters, digits and _, a letter first: my_robot" '
            'placeholder="my_robot" autocomplete="off">',
        ),
        labeled(
            "What to learn",
            f'<select name="learn">{options([*_LEARN], "dynamics", [*_LEARN.values()])}</select>',
        ),
        labeled(
            "Rate without timestamps, Hz",
            '<input type="number" name="rate" min="0" max="1e9" step="any" placeholder="none">',
        ),
        labeled("Upload logs", '<input type="file" name="files" multiple>'),
        "</div>",
        "<p><small>At most 200 logs and 1 GiB; the first 40 are read, within 5 minutes. Any format "
        "with a reader: CSV, Parquet, HDF5, MATLAB, MCAP, ROS bags, PX4 ULog. Send larger logs to "
        "the drop folder of the task later.</small></p>",
        *(["<h2>Or use logs of the server</h2>"] if folders else []),
        *(_folder(folder) for folder in folders),
        '<p class="message" role="status" aria-live="polite"></p>',
        '<button type="submit">Draft</button></form>',
    ]
    return console_page("New task", sections)


def _folder(folder: LogFolder) -> str:
    count = "1 file" if folder.total == 1 else f"{folder.total} files"
    return (
        f'<details class="logs" data-folder="{escape(folder.folder)}"><summary>'
        f"{escape(folder.folder)}: {count}</summary>"
        f'<label class="choice"><input type="checkbox" data-whole> All of this folder</label>'
        f"{log_table(folder.files)}</details>"
    )
