"""Loader of a `Simulator` or `Policy` from a folder, file or registry address."""

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from kinemill.errors import BadInput
from kinemill.registry import Links
from kinemill.runtime.integrity import (
    POLICY,
    ROLLOUT,
    STEP,
    SUMS,
    check_names,
    read_model,
    read_sums,
)
from kinemill.runtime.model_safety import refuse_folder
from kinemill.runtime.policy import Policy
from kinemill.runtime.session import Execution
from kinemill.runtime.simulator import Simulator

# Members return the folder of a model that an address names; robots may lack their packages.
STORES: Links[Callable[[str], Path]] = Links("model store", {"models": "kinemill.register.lookup"})

_LOG = logging.getLogger(__name__)


def load(
    where: str | Path,
    *,
    threads: int = 1,
    provider: str = "cpu",
    non_finite: Literal["raise", "pass"] = "raise",
    out_of_limits: Literal["raise", "pass"] = "pass",
    engine: Literal["onnx", "auto", "c"] = "onnx",
) -> Any:
    """Load a simulator or a policy.

    Every file of a folder has to be listed in its `sha256sums`. A single file is checked against
    `sha256sums` and `io.yaml` of its folder, if they exist.

    Args:
        where: a folder with `rollout.onnx` and `step.onnx`, or with `policy.onnx`; the path of
            such a file; or an address in the registry, `models:/TASK@champion` or
            `models:/TASK/3`.
        threads: threads of ONNX Runtime; one is faster than two for small models.
        provider: where ONNX Runtime executes the model: `cpu`, `cuda` or `tensorrt` (with the
            package onnxruntime-gpu), or the name of any other of its execution providers. Small
            models are faster on the CPU; a GPU pays off for thousands of rows in a batch.
        non_finite: for NaN or infinity in an input, `raise` an error, or `pass`: all outputs of
            that row of the batch are NaN, and of no other row.
        out_of_limits: for values beyond the limits of their channel, `raise` an error or `pass`.
        engine: engine of rollouts: `onnx`; `c`, native code compiled from the ONNX file and
            compared with it, which takes 1 s, a C compiler and the `onnx` package; or `auto`,
            native code if possible. Policies always run in ONNX Runtime.

    Returns:
        A `Simulator`, or a `Policy`.

    Raises:
        BadInput: An argument is invalid, the model does not exist or could run code when it is
            loaded, the registry extra is not installed, or with `c` the model cannot be compiled.
        CorruptArtifact: A file is missing, is not listed, differs from its published digest, or its
            metadata contradict `io.yaml`.
    """
    _check_choice("non_finite", non_finite, "raise", "pass")
    _check_choice("out_of_limits", out_of_limits, "raise", "pass")
    _check_choice("engine", engine, "onnx", "auto", "c")
    execution = Execution(threads, provider)
    file = _model_file(where)
    sums = read_sums(file.parent) if (file.parent / SUMS).is_file() else None
    finite = non_finite == "raise"
    bounded = out_of_limits == "raise"
    if file.name == POLICY:
        model = read_model(file, sums)
        return Policy.open(file, model, execution=execution, finite=finite, bounded=bounded)
    is_rollout = file.name.startswith("rollout.")
    step_file = file.with_name(file.name.replace("rollout", "step", 1) if is_rollout else STEP)
    step = read_model(step_file, sums) if step_file.is_file() else None
    simulator = Simulator(
        file, read_model(file, sums), step, execution=execution, finite=finite, bounded=bounded
    )
    if engine != "onnx":
        attach_native_engine(simulator, must=engine == "c")
    return simulator


def _check_choice(name: str, value: object, *choices: str) -> None:
    if value not in choices:
        *first, last = map(repr, choices)
        raise BadInput(name, repr(value), expected=f"{', '.join(first)} or {last}")


def load_simulator(where: str | Path, **settings: Any) -> Simulator:
    """Load a dynamics model; arguments as in `load`.

    Raises:
        BadInput: The model is a policy, or as in `load`.
        CorruptArtifact: As in `load`.
    """
    model = load(where, **settings)
    if not isinstance(model, Simulator):
        fix = "kinemill model rollout runs a policy in its environment"
        raise BadInput(where, "is a policy", expected="a model of dynamics", fix=fix)
    return model


def load_policy(where: str | Path, **settings: Any) -> Policy:
    """Load a policy; arguments as in `load`.

    Raises:
        BadInput: The model is a dynamics model, or as in `load`.
        CorruptArtifact: As in `load`.
    """
    model = load(where, **settings)
    if not isinstance(model, Policy):
        raise BadInput(where, "is a model of dynamics", expected="a policy")
    return model


def attach_native_engine(simulator: Simulator, *, must: bool = False) -> None:
    """Compile rollouts; if that is impossible, log a warning, or raise if `must`.

    Raises:
        BadInput: The model cannot be compiled, and `must` is set.
    """
    where = simulator.file
    try:
        simulator.compile()
    except (BadInput, ModuleNotFoundError) as error:
        if must:
            raise BadInput(where, f"cannot be compiled: {error}", fix="engine='auto'") from error
        _LOG.warning("%s runs in ONNX Runtime, not compiled: %s", where.parent, error)


def _model_file(where: str | Path) -> Path:
    if str(where).startswith("models:/"):
        where = _fetch(str(where))
    path = Path(where).expanduser()
    if path.is_dir():
        path = path.resolve()  # `kinemill model pull --watch` may replace the link while we read
        refuse_folder(path)
        check_names(path, read_sums(path))
        path = path / (POLICY if (path / POLICY).is_file() else ROLLOUT)
    if not path.is_file():
        expected = f"a folder with {ROLLOUT} or {POLICY}, or that file"
        task, mark, alias = str(where).partition("@")
        fix = f"models:/{task}@{alias} is the address of a version" if mark else None
        raise BadInput(path, "does not exist", expected=expected, fix=fix)
    return path


def _fetch(address: str) -> Path:
    if importlib.util.find_spec("mlflow") is None:
        raise _lacks(address, "mlflow")
    try:
        return STORES["models"](address)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "kinemill":
            raise
        raise _lacks(address, error.name) from error


def _lacks(address: str, package: str | None) -> BadInput:
    return BadInput(
        address,
        f"a registry address needs {package!r}, which is not installed",
        fix="pip install 'kinemill[registry]', or load the folder of a model",
    )
