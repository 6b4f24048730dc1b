"""Check of what a task refers to before the first stage: device, models, other tasks, robot."""

from typing import Any

from kinemill.store.home import Home
from kinemill.task import Task


def check_machine(task: Task) -> None:
    """Check that a run can reach its end on this machine.

    Raises:
        BadInput: `learn.device` does not exist here, `control.plant` does not fit the task, or
            the policy cannot learn or act in the environment.
    """
    device = getattr(task.learn, "device", "auto")
    if device not in ("auto", "cpu") and task.compute.type == "local":
        from kinemill.train.devices import pick_device

        pick_device(device)
    if task.control is not None and task.control.plant and task.verify.closed_loop:
        from kinemill.control import Robot

        Robot(task)
    if task.environment is None:
        return
    if not task.learn.from_logs:
        from kinemill.policies.rl.learner_context import check_task

        check_task(task)
    elif task.learn.type == "imitation":
        from kinemill.policies.environments.evaluation import require_fit

        learn: Any = task.learn
        observed = [name for names in learn.observed(task.channels) for name in names]
        require_fit(task, observed, task.actions)


def check_inputs(task: Task, home: Home) -> None:
    """Check that a training has its start model, and episodes of the tasks that join.

    Raises:
        BadInput: `learn.start_from` or a task of `dataset.join` does not exist, or does not fit.
        CorruptArtifact: The weights of `learn.start_from` are damaged.
    """
    if task.learn.start_from is not None:
        from kinemill.register.warm_start import start_of

        start_of(task, home)
    for joined in task.dataset.join:
        from kinemill.dataset.multi_task import find_joined

        find_joined(task, home, joined.task)
