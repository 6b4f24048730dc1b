"""The share of parameters and returns whose type is, or contains, `Any`."""

import ast
import re

from tests.conftest import ROOT
from tests.test_structure import tracked

FOLDERS = ("kinemill", "assets", "resources", "pipelines")
MOST = 0.02  # hydrax 1.9 %, lerobot 1.4 %, stable-baselines3 1.0 %


def annotations(source: str) -> list[str]:
    """Return the annotation of each parameter and return of a module, "" where it has none."""
    result: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            named += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
            result += [one.annotation for one in named if one.arg not in {"self", "cls"}]
            result.append(node.returns)
    return ["" if one is None else ast.unparse(one) for one in result]


def is_untyped(annotation: str) -> bool:
    return not annotation or re.search(r"\bAny\b", annotation) is not None


def test_few_parameters_and_returns_contain_any():
    sources = [(ROOT / name).read_text() for name in tracked(*(f"{one}/*.py" for one in FOLDERS))]
    result = [annotation for source in sources for annotation in annotations(source)]
    assert len(result) > 15_000
    untyped = sum(map(is_untyped, result))
    assert untyped / len(result) < MOST, f"{untyped} of {len(result)}: name the types"
