"""Promises of the layout that no linter holds."""

import ast
import subprocess
from functools import cache

import pytest

from kinemill.task import AUGMENTATIONS, CHECKS, ENCODINGS, MODELS, OBJECTIVES, READERS
from kinemill.task.trackers import TRACKERS
from tests.conftest import ROOT

FAMILIES = {
    "kinemill/augment": AUGMENTATIONS,
    "kinemill/ingest/readers": READERS,
    "kinemill/models": MODELS,
    "kinemill/tracking/trackers": TRACKERS,
    "kinemill/train/features": ENCODINGS,
    "kinemill/train/objectives": OBJECTIVES,
    "kinemill/validate/checks": CHECKS,
}


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@cache
def nodes_of(source: str) -> list[ast.AST]:
    """Return all nodes of a module."""
    return list(ast.walk(ast.parse(source)))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_git_ignores_no_module():
    """An import of a module that `.gitignore` keeps out works on one machine only."""
    folders = ("kinemill", "assets", "resources", "pipelines", "benchmarks")
    ignored = [f"{folder}/**/*.py" for folder in folders]
    listed = ["git", "ls-files", "-oi", "--exclude-standard", *ignored]
    assert subprocess.check_output(listed, cwd=ROOT, text=True) == ""


@pytest.mark.parametrize("folder", list(FAMILIES))
def test_the_files_of_a_family_are_its_members(folder):
    files = {path.stem for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_"}
    files -= {"stage"}  # the front door of a stage, not a member
    family = FAMILIES[folder]
    assert set(family) == files | set(family.modules)
    assert all(family[name] is not None for name in family)


# Modules that run what they read, or hold it in a form that does.
UNSAFE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# Share work out among processes of ours, and read no file.
HARMLESS = {"joblib": {"Parallel", "delayed"}}
CALLS = {"eval", "exec", "__import__"}
SAFE = {
    **dict.fromkeys(("allow_pickle", "shell", "trust_remote_code"), "False"),
    "weights_only": "True",
}
LOADERS = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}


def dangers(source: str) -> list[str]:
    """Name what in a module may run what it reads, by line."""
    result = []
    for node in nodes_of(source):
        names = []
        if isinstance(node, ast.Import):
            names = [item.name.partition(".")[0] for item in node.names]
        if isinstance(node, ast.ImportFrom):
            used = {item.name for item in node.names}
            harmless = used <= HARMLESS.get(node.module or "", set())
            names = [] if harmless else [(node.module or "").partition(".")[0]]
        result += [f"{node.lineno} {name}" for name in names if name in UNSAFE]
        if isinstance(node, ast.Call):
            result += [f"{node.lineno} {what}" for what in _dangerous_call(node)]
    return result


def _dangerous_call(call: ast.Call) -> list[str]:
    match call.func:
        case ast.Name(id=called):
            pass
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            called = f"{owner}.{name}"
        case _:
            called = ""
    arguments = {item.arg: ast.unparse(item.value) for item in call.keywords if item.arg in SAFE}
    result = [called] if called in CALLS else []
    result += [called] if called in {f"yaml.{name}" for name in LOADERS} else []
    result += (
        ["torch.load"] if called == "torch.load" and arguments.get("weights_only") != "True" else []
    )
    return result + [key for key, value in arguments.items() if value != SAFE[key]]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.externals",
        "from joblib import Parallel, load",
        "from joblib.externals import loky",
        "def f():\n    from pickle import loads",
        "import dill as d",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=maybe)",
        "eval('1')",
        "exec(text)",
        "subprocess.run('ls', shell=True)",
    ],
)
def test_the_guard_itself_sees_what_is_dangerous(source):
    assert dangers(source) != []


def test_the_guard_lets_pass_what_is_not():
    fine = "model.eval()\ntorch.load(p, weights_only=True)\nyaml.safe_load(t)\n"
    fine += "np.load(p, allow_pickle=False)\njson.load(file)\nimport picklescan_of_mine"
    fine += "\nfrom joblib import Parallel, delayed"
    assert dangers(fine) == []


def test_nothing_in_the_project_runs_what_it_reads():
    folders = ("kinemill", "assets", "resources", "pipelines", "benchmarks", "examples", "deploy")
    files = tracked(*(f"{folder}/*.py" for folder in folders))
    assert len(files) > 100
    result = {name: dangers((ROOT / name).read_text()) for name in files}
    assert {name: lines for name, lines in result.items() if lines} == {}


# All private names of Dagster are imported here: one file of the project, one of the tests.
ADAPTERS = {"resources/dagster_api.py", "tests/dagster_internals.py"}


def private_modules_of_dagster(source: str) -> list[str]:
    """Name the private modules of Dagster that a module imports or starts."""
    modules = []
    if "dagster" not in source:
        return modules
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [item.name for item in node.names]
        if isinstance(node, ast.ImportFrom):
            modules += [f"{node.module}.{item.name}" for item in node.names]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules += [line.strip().removeprefix("from ") for line in node.value.splitlines()]
    return [module for module in modules if module.startswith("dagster._")]


@pytest.mark.parametrize(
    "source",
    [
        "from dagster._core.launcher import WorkerStatus",
        "from dagster import _core",
        "import dagster._check as check",
        "start([python, '-m', 'dagster._daemon'])",
        "CODE = '\\n    from dagster._core import errors'",
    ],
)
def test_the_search_for_private_modules_sees_all_forms(source):
    assert private_modules_of_dagster(source) != []


def test_private_modules_of_dagster_are_used_in_the_adapters_only():
    sources = {name: (ROOT / name).read_text() for name in tracked("*.py")}
    users = {name for name, source in sources.items() if private_modules_of_dagster(source)}
    assert users - {"tests/test_structure.py"} == ADAPTERS
    assert "dagster._" not in (ROOT / "dagster.yaml").read_text()
    product = ast.parse((ROOT / "resources/dagster_api.py").read_text())
    names = [
        item.name
        for node in ast.walk(product)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dagster._")
        for item in node.names
    ]
    assert len(names) <= 3


def test_importing_looks_at_no_environment_file_client_or_clock():
    effects = {"open", "getenv", "now", "time", "connect", "run", "Popen", "mkdir", "read_text"}
    effects |= {"read_bytes", "glob", "cwd", "MlflowClient", "default_rng", "get_context"}
    result = []
    for name in tracked("kinemill/*.py"):
        source = (ROOT / name).read_text()
        for node in nodes_of(source)[0].body:
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.With | ast.For):
                calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
                names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
                result += [f"{name}:{node.lineno} {call}" for call in names & effects]
                text = ast.get_source_segment(source, node) if "os.environ" in source else ""
                result += [f"{name}:{node.lineno}"] if "os.environ" in text else []
    assert result == []


def test_no_database_or_log_of_a_run_is_part_of_the_project():
    made = ("*.db", "*.sqlite", "*.db-wal", "*.log", "*.pt", "*.ckpt", "mlruns/*", "var/*")
    assert tracked(*made) == []


def is_packed(node: ast.Assign) -> bool:
    """Return whether it assigns several values that are written side by side."""
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def test_few_assignments_are_packed():
    assert [
        is_packed(node)
        for node in ast.walk(ast.parse("a, b = 1, 2\nc, d = e\nf = 1, 2"))
        if isinstance(node, ast.Assign)
    ] == [True, False, False]
    files = tracked("kinemill/*.py", "assets/*.py", "resources/*.py", "pipelines/*.py")
    packed = [
        is_packed(node)
        for file in files
        for node in nodes_of((ROOT / file).read_text())
        if isinstance(node, ast.Assign)
    ]
    # hydrax, diffrax, brax and others: 0.1 to 1.1 %; a swap needs it
    assert sum(packed) / len(packed) < 0.01, "one assignment a line"


# Tests of several modules: chains, servers, families. Lower the number with each move.
UNMIRRORED = 155


def test_few_test_files_mirror_no_module():
    """`kinemill/a/b.py` and the package `kinemill/a/b` are tested in `tests/a/test_b.py`."""
    without = []
    for file in tracked("tests/**/test_*.py"):
        folder, _, name = file.removeprefix("tests/").rpartition("/")
        subject = name.removeprefix("test_").removesuffix(".py")
        places = [ROOT / "kinemill" / folder, ROOT / folder]
        modules = [place / prefix for place in places for prefix in (subject, f"_{subject}")]
        if not any(path.is_dir() or path.with_suffix(".py").is_file() for path in modules):
            without.append(file)
    assert len(without) <= UNMIRRORED, without
