"""Job for a process on another machine: `python -m resources.remote_job` runs it there.

A job has a module, its arguments, and small files, and is sent as JSON in the environment,
`KINEMILL_ERRAND`. The receiving machine writes the files to its home (`KINEMILL_HOME`) and replaces
paths of the sender's home. Data and results are exchanged through the shared object store
(`kinemill.store.remote_sync`) or a shared folder.
"""

import json
import os
import runpy
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kinemill.errors import BadInput, KinemillError
from kinemill.process import exit_with_parent
from kinemill.store import publish_file, read_json
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring

VARIABLE = "KINEMILL_ERRAND"
HOME = "{home}"
PARENT = "{parent}"  # placeholders in arguments
_TRAINING = "kinemill_dagster.resources.training_process"
_PASSED_ON = ("KINEMILL_", "AWS_", "MLFLOW_", "DAGSTER_PIPES_")


@dataclass(frozen=True)
class RemoteJob:
    """A job.

    Args:
        module: module to run.
        arguments: arguments; `{home}` and `{parent}` are replaced by folder and process there.
        home: folder of the files on the sending machine.
        files: contents by path in the home.
    """

    module: str
    arguments: tuple[str, ...]
    home: str
    files: Mapping[str, str]

    @classmethod
    def of(
        cls, module: str, arguments: tuple[str, ...], home: Home, files: list[Path]
    ) -> "RemoteJob":
        """Return a job that includes files of the home."""
        texts = {file.relative_to(home.root).as_posix(): file.read_text() for file in files}
        return cls(module, arguments, str(home.root), texts)

    @classmethod
    def of_training(cls, job: Path) -> "RemoteJob":
        """Return the job that trains by a job file of the home."""
        home = Home(Path(read_json(job)["home"]))
        return cls.of(_TRAINING, (path_there(job, home), PARENT), home, [job])

    def environment(self, home: str | None = None) -> dict[str, str]:
        """Return the environment variables to send, including the job.

        `home` is that of the other machine; None: its own setting.
        """
        passed = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
        passed.pop("KINEMILL_HOME", None)
        passed.pop("KINEMILL_PROJECT", None)  # the project can have another path, too
        if home is not None:
            passed["KINEMILL_HOME"] = home
        return {**passed, VARIABLE: json.dumps(asdict(self))}

    def arrive(self, home: Home) -> list[str]:
        """Write the files to the home of this machine; return the local arguments."""
        there, here = _quoted(self.home), _quoted(str(home.root))
        for name, text in self.files.items():
            publish_file(home.root / name, text.replace(there, here).encode())
        return [
            argument.replace(HOME, str(home.root)).replace(PARENT, str(os.getppid()))
            for argument in self.arguments
        ]


def path_there(file: Path, home: Home) -> str:
    """Return the path of a file of the home as an argument of a job."""
    return f"{HOME}/{file.relative_to(home.root).as_posix()}"


def _quoted(path: str) -> str:
    """Return a path as it appears in a JSON string."""
    return json.dumps(path)[1:-1]


def taken_up() -> RemoteJob:
    """Return the job in the environment.

    Raises:
        BadInput: The environment has no job.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise BadInput(VARIABLE, "is not set", expected="a job as JSON")
    fields = json.loads(text)
    return RemoteJob(fields["module"], tuple(fields["arguments"]), fields["home"], fields["files"])


def main() -> int:
    """Run the job; it ends with the process that started it."""
    exit_with_parent(os.getppid())
    remote_job = taken_up()
    home = Home.resolve()
    try:
        arguments = remote_job.arrive(home)
        _bring_start(remote_job, home)
    except KinemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.argv = [remote_job.module, *arguments]
    runpy.run_module(remote_job.module, run_name="__main__", alter_sys=True)
    return 0


def _bring_start(remote_job: RemoteJob, home: Home) -> None:
    """Fetch the start model of a training."""
    for name, text in remote_job.files.items():
        job = json.loads(text) if name.endswith("/job.json") else {}
        if job.get("start"):
            bring(home, home.root / Path(job["start"]["folder"]).relative_to(remote_job.home))


if __name__ == "__main__":
    sys.exit(main())
