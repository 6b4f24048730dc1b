"""Commands from functions: options from the signature, their help from the docstring.

A parameter without a default is an argument, others are options: `dry_run` is `--dry-run`. The
section `Args` of the docstring has their help. Only what differs from that needs a `typer.Option`.
A function that returns an `Output` also gets the option `--json`.
"""

import copy
import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, get_args, get_origin

import typer

from kinemill.cli.output import JsonOption, Output, document
from kinemill.errors import KinemillError

_ENTRY = re.compile(r"^    (\w+): (.*(?:\n     .*)*)", re.MULTILINE)


def make_command(function: Callable[..., object]) -> Callable[..., None]:
    """Return a function for Typer that prints the output of a command."""
    text, _, entries = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:\n")
    helps = {name: " ".join(lines.split()) for name, lines in _ENTRY.findall(entries)}
    signature = inspect.signature(function)
    parameters = [
        item.replace(annotation=_annotation(item, helps.get(item.name)))
        for item in signature.parameters.values()
    ]
    has_output = signature.return_annotation is Output
    if has_output:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        option = inspect.Parameter("as_json", kind, default=False, annotation=JsonOption)
        parameters.append(option)

    @functools.wraps(function)
    def run(**options: object) -> None:
        as_json = has_output and bool(options.pop("as_json"))
        try:
            output = function(**options)
        except KinemillError as error:
            if as_json and error.document:
                document(error.document)
            raise
        if isinstance(output, Output):
            output.print(as_json=as_json)

    run.__doc__ = text
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    return run


def _annotation(parameter: inspect.Parameter, text: str | None) -> object:
    """Return the type of a parameter with its help."""
    kind = parameter.annotation
    if text is None:
        return kind
    if get_origin(kind) is Annotated:
        kind, info = get_args(kind)
        info = copy.copy(info)
    elif parameter.default is parameter.empty:
        info = typer.Argument()
    elif parameter.default is False:
        info = typer.Option(f"--{parameter.name.replace('_', '-')}")  # no `--no-...`
    else:
        info = typer.Option()
    info.help = text
    return Annotated[kind, info]
