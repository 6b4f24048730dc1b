"""The Python API: all commands as typed functions with result objects.

Example:
    import kinemill.api as km
    task = km.make_task(task="rod", dt=0.02, channels={...}, learn={"type": "dynamics"})
    logs = km.from_frames({"run1": frame}, time="seconds")
    training = km.train(task, logs)
    km.evaluate(training, logs).plot()
    km.register(training)

The functions are in a separate module because `kinemill.train`, `kinemill.selection.tune` and
`kinemill.verify` are the packages of the stages. Functions import torch, polars and matplotlib when
they need them.
"""

from kinemill.api.batch_simulation import Trajectories, simulate_batch
from kinemill.api.dataset import Dataset, make_dataset
from kinemill.api.edits import edit_recording, list_edits, undo_edit
from kinemill.api.evaluation import Evaluation, evaluate
from kinemill.api.frames import FrameLogs, from_frames
from kinemill.api.models import LoadedModel
from kinemill.api.policy_evaluation import PolicyResults, evaluate_policy
from kinemill.api.progress import Update
from kinemill.api.recordings import export_recordings, search_recordings
from kinemill.api.registry import (
    Registered,
    Verification,
    promote,
    record_trials,
    register,
    rollback,
    verify,
)
from kinemill.api.rollouts import Rollout, rollout, rollout_policy
from kinemill.api.runs import learn_in_loop, run
from kinemill.api.search import TuneResult, tune
from kinemill.api.simulation import Simulation, simulate
from kinemill.api.tasks import TaskParts, load_task, make_task
from kinemill.api.training import Objects, Training, train
from kinemill.runtime.session import Execution
from kinemill.task import Channel, Task

__all__ = [
    "Channel",
    "Dataset",
    "Evaluation",
    "Execution",
    "FrameLogs",
    "LoadedModel",
    "Objects",
    "PolicyResults",
    "Registered",
    "Rollout",
    "Simulation",
    "Task",
    "TaskParts",
    "Training",
    "Trajectories",
    "TuneResult",
    "Update",
    "Verification",
    "edit_recording",
    "evaluate",
    "evaluate_policy",
    "export_recordings",
    "from_frames",
    "learn_in_loop",
    "list_edits",
    "load_task",
    "make_dataset",
    "make_task",
    "promote",
    "record_trials",
    "register",
    "rollback",
    "rollout",
    "rollout_policy",
    "run",
    "search_recordings",
    "simulate",
    "simulate_batch",
    "train",
    "tune",
    "undo_edit",
    "verify",
]
