"""`kinemill model evaluate`: measure a model on logs, and a policy in an environment."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import ModelFolder, ModelName, Output, Overrides, logs_path
from kinemill.errors import BadInput


def evaluate(
    model: ModelName,
    logs: Path | None = None,
    out: Path | None = None,
    examples: Annotated[int, typer.Option(min=0)] = 3,
    horizon: Annotated[int | None, typer.Option(min=1)] = None,
    stride: Annotated[int | None, typer.Option(min=1)] = None,
    episodes: Annotated[int | None, typer.Option(min=0)] = None,
    variant: str | None = None,
    folder: ModelFolder = None,
    overrides: Overrides = None,
) -> Output:
    """Measure a model on logs, or a policy in an environment.

    Models: errors by channel and step, free run, residuals and examples.
    Policies: differences from logged actions, returns and success.

    Example: kinemill model evaluate my_robot --logs path/to/logs --out report

    Args:
        logs: Log file, or folder of logs.
        out: Output folder for report, plots and metrics.
        examples: Number of example rollouts.
        horizon: Steps ahead; default: verify.horizon.
        stride: Rows between starts; default: verify.stride.
        episodes: Policies: trials; default: environment.trials.
        variant: Policies: variant of the environment.
    """
    from kinemill.api.evaluation import evaluate as measure
    from kinemill.api.models import address_of, named_model
    from kinemill.api.policy_evaluation import evaluate_policy
    from kinemill.cli.evaluation_tables import dynamics_tables, policy_tables
    from kinemill.store import to_json_value
    from kinemill.task import parse_overrides

    is_policy = address_of(model)[0].learn.gives == "policy"
    if not is_policy and (episodes is not None or variant is not None):
        raise BadInput("--episodes and --variant", "need a policy", fix="omit them")
    if not is_policy and (logs is None or out is None):
        raise BadInput("evaluate", "has no input", expected="--logs and --out")
    changed = parse_overrides(overrides or [])
    named, task = named_model(model, folder, changed)
    data = logs_path(logs, "--logs") if logs else None
    same: dict[str, Any] = {
        "task": task,
        "horizon": horizon,
        "stride": stride,
        "to": out,
        "overrides": changed,
    }
    if data is None or is_policy:
        results = evaluate_policy(named, data, episodes=episodes, variant=variant, **same)
        show = partial(policy_tables, results.document)
    else:
        results = measure(named, data, examples=examples, **same)
        show = partial(dynamics_tables, results.document)
    where = {"folder": str(results.folder)} if results.folder else {}
    report = [f"report  {results.folder}/report.html"] if results.folder else []
    return Output(to_json_value(results.document) | where, show, *report)
