"""`kinemill model rollout`: run a controller or a policy in closed loop; each run is a new log."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, Overrides, TaskName, notify
from kinemill.errors import BadInput

Controller = Annotated[
    str | None,
    typer.Option(
        "--controller",
        help="mppi, cem, cma_es, predictive_sampling, dial, zero or random; default: the task's.",
    ),
]
Episodes = Annotated[int, typer.Option("--episodes", min=1, help="Number of episodes.")]
To = Annotated[Path | None, typer.Option("--to", help="Log folder; default: the drop folder.")]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="champion|true|FOLDER|models:/...",
        help="Model that simulates the plans; true: the physics of the plant. Or a policy, also "
        "@alias or :3.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first episode.")]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=0.0, help="Episode length in seconds; default: from the task."),
]
Explore = Annotated[
    float,
    typer.Option(
        "--explore", min=0.0, help="Exploration noise, relative to half the action range."
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads of the model.")]
Provider = Annotated[
    str, typer.Option("--provider", help="Execute the model on cpu, cuda or tensorrt.")
]
Report = Annotated[
    Path | None, typer.Option("--report", help="HTML report to write, with animations.")
]
Expert = Annotated[
    bool,
    typer.Option(
        "--expert",
        help="Demonstrations in the task's environment by its expert, a --controller or the "
        "policy --model.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Parallel processes, for --expert or a policy.")
]
Failures = Annotated[
    bool, typer.Option("--failures", help="With --expert: also keep failed episodes.")
]
Video = Annotated[
    bool, typer.Option("--video", help="For a policy: record videos of the first episodes.")
]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy", help="In place of a model: random, zero, module:Class or file.py:Class."
    ),
]
Variant = Annotated[
    str | None, typer.Option("--variant", help="For a policy: environment variant.")
]


def rollout(
    task: TaskName,
    controller: Controller = None,
    episodes: Episodes = 1,
    to: To = None,
    model: Model = "champion",
    seed: Seed = 0,
    seconds: Seconds = None,
    explore: Explore = 0.0,
    threads: Threads = 1,
    provider: Provider = "cpu",
    report: Report = None,
    expert: Expert = False,
    workers: Workers = 1,
    failures: Failures = False,
    video: Video = False,
    variant: Variant = None,
    policy: Policy = None,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Run a controller or a policy and log its episodes.

    A controller runs in the task's plant, and a policy in its environment.

    Example: kinemill model rollout pendulum --controller mppi --episodes 5
    """
    from kinemill.api.rollouts import log_folder, task_with_controller
    from kinemill.cli.control_rollout import Rollout, collect_demonstrations, run_controller
    from kinemill.task import parse_overrides

    loaded = task_with_controller(task, controller, parse_overrides(overrides or []))
    notify(*loaded.notes)
    seeds = range(seed, seed + episodes)
    folder = log_folder(loaded, to)
    options = Rollout(loaded, controller, model, threads, provider, seeds, folder, as_json)
    if expert:
        collect_demonstrations(options, workers, failures=failures)
        return
    if loaded.learn.gives == "policy":
        from kinemill.cli.policy_rollout import Options, refuse_options, rollout_policy

        refuse_options(
            {"controller": controller, "seconds": seconds, "explore": explore, "report": report}
        )
        rollout_policy(
            loaded, options.to, seeds, Options(model, policy, variant, workers, video, as_json)
        )
        return
    if policy is not None:
        raise BadInput("--policy", "applies to policies", fix=f"--controller {policy}")
    run_controller(options, seconds, explore, report)
