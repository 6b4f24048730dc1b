"""`kinemill model evaluate`: measure a model on logs, and a policy in an environment."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, ModelFolder, ModelName, Overrides
from kinemill.errors import BadInput


def evaluate(
    model: ModelName,
    logs: Annotated[
        Path | None, typer.Option("--logs", help="Log file, or folder of logs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder for report, plots and metrics.")
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", min=0, help="Number of example rollouts.")
    ] = 3,
    horizon: Annotated[
        int | None, typer.Option("--horizon", min=1, help="Steps ahead; default: verify.horizon.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, help="Rows between starts; default: verify.stride."),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", min=0, help="Policies: trials; default: environment.trials."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="Policies: variant of the environment.")
    ] = None,
    folder: ModelFolder = None,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on logs, or a policy in an environment.

    Models: errors by channel and step, free run, residuals and examples.
    Policies: differences from logged actions, returns and success.

    Example: kinemill model evaluate my_robot --logs path/to/logs --out report
    """
    from kinemill.api.models import address_of
    from kinemill.cli.evaluate_dynamics import DynamicsOptions, evaluate_dynamics
    from kinemill.cli.evaluate_policy import PolicyOptions, evaluate_policy

    named, _ = address_of(model)
    if named.learn.gives == "policy":
        policy = PolicyOptions(logs, out, episodes, variant, horizon, stride)
        evaluate_policy(model, folder, policy, overrides or [], as_json=as_json)
    elif episodes is not None or variant is not None:
        raise BadInput("--episodes and --variant", "need a policy", fix="omit them")
    elif logs is None or out is None:
        raise BadInput("evaluate", "has no input", expected="--logs and --out")
    else:
        options = DynamicsOptions(logs, out, examples, horizon, stride)
        evaluate_dynamics(model, folder, options, overrides or [], as_json=as_json)
