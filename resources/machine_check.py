"""Check of the device, the plant and the environment of a task, before the first stage."""

from kinemill.task import Task


def check_machine(task: Task) -> None:
    """Check that a run can reach its end on this machine.

    Raises:
        BadInput: `learn.device` does not exist here, `control.plant` does not fit the task, or
            `learn.algorithm` cannot train in the environment.
    """
    device = getattr(task.learn, "device", "auto")
    if device not in ("auto", "cpu") and task.compute.type == "local":
        from kinemill.train.devices import pick_device

        pick_device(device)
    if task.control is not None and task.control.plant and task.verify.closed_loop:
        from kinemill.control import Robot

        Robot(task)
    if not task.learn.from_logs and task.environment is not None:
        from kinemill.policies.rl.learner_context import check_task

        check_task(task)
