"""Section `inference`: parity in ONNX Runtime by the verification, and rollouts."""

import atexit
import shutil
import sys
import tempfile
from ctypes.util import find_library
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks._gpu_cases import GRU, MLP, begin, pendulums, task_of
from benchmarks._gpu_rows import Bench, NotRun, require

MODELS = {
    "MLP 3x64": {"model": MLP | {"activation": "tanh"}},
    "GRU 128": {"model": GRU, "history": 11},
}
STATE_STEPS, HORIZON = 1_000_000, 25
PROVIDERS = {
    "CUDA": ("cuda", "CUDAExecutionProvider"),
    "TensorRT": ("tensorrt", "TensorrtExecutionProvider"),
}


def measure(bench: Bench) -> None:
    """Measure each model."""
    data = pendulums(*bench.size((64, 256), (4, 60)))
    for name, settings in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            exported = _export(bench, name, settings, data, Path(folder))
            _rollouts(bench, name, exported)


def _export(bench: Bench, name: str, settings: Any, data: Any, folder: Path) -> Any:
    """Return the module and, if the libraries are there, the folder of its files and the data."""
    torch.manual_seed(0)
    module = begin(data, torch.device("cpu"), task_of(**settings)).module.eval()
    files = None
    with bench.case(f"{name}: export"):
        require("onnx", "onnxscript", "onnxruntime")
        write_files(task_of(**settings), module, folder)
        files = folder
        bench.row(f"{name}: export", None, "", goal="is written", is_reached=True)
        _parity(bench, name, (task_of(**settings), module, data), folder)
    return module, files


def write_files(task: Any, module: Any, folder: Path) -> None:
    """Export a step; a checkout that is not installed gets a version, which files carry."""
    from benchmarks import _exports

    try:
        version("kinemill")
    except PackageNotFoundError:
        from kinemill import __version__

        about = Path(tempfile.mkdtemp(prefix="kinemill-")) / "kinemill-0.dist-info"
        atexit.register(shutil.rmtree, about.parent, ignore_errors=True)
        about.mkdir()
        text = f"Metadata-Version: 2.1\nName: kinemill\nVersion: {__version__}\n"
        (about / "METADATA").write_text(text)
        sys.path.append(str(about.parent))
    _exports.write_files(task, module, folder)


def _parity(bench: Bench, name: str, trained: Any, folder: Path) -> None:
    """Compare the files with the step as the verification does, on every provider."""
    task, module, data = trained
    import onnxruntime

    from kinemill.verify.dynamics import DynamicsSubject

    available = onnxruntime.get_available_providers()
    selected = [short for short, full in PROVIDERS.values() if full in available]
    settings = task.verify.model_copy(update={"providers": selected})
    rows = DynamicsSubject(folder, module, data, settings).compare_with_torch()
    for provider, (_, full) in {"CPU": ("", "CPUExecutionProvider"), **PROVIDERS}.items():
        work = f"{name}: parity on {provider}, by the verification"
        with bench.case(work):
            _require(full, available)
            own = [row for row in rows if row.probe.endswith(f", {provider}")]
            own = [row for row in rows if "," not in row.probe] if provider == "CPU" else own
            if not own:
                message = "the provider did not start"
                raise RuntimeError(message)
            worst = max(own, key=lambda row: row.ratio)
            is_reached = all(row.passed for row in own)
            note = f"{len(own)} comparisons, worst {worst.call} {worst.error}"
            goal = "at most 1"
            bench.row(
                work, worst.ratio, "of tolerance", goal=goal, is_reached=is_reached, note=note
            )


def _rollouts(bench: Bench, name: str, exported: Any) -> None:
    """Roll out STATE_STEPS in torch, as a CUDA graph, and in ONNX Runtime."""
    module, folder = exported
    batch = bench.size(STATE_STEPS // HORIZON, 4)
    horizon = bench.size(HORIZON, 3)
    inputs = [
        torch.randn(batch, rows, columns)
        for rows, columns in ((module.history, 2), (module.history - 1, 1), (horizon, 1))
    ]
    title = f"{name}: rollout of {batch} x {horizon}"
    devices = {"torch on the CPU": torch.device("cpu"), "torch": bench.device}
    for how, device in devices.items():
        with bench.case(f"{title}, {how}"):
            step, tensors = module.to(device), [input_.to(device) for input_ in inputs]
            with torch.inference_mode():
                call = lambda s=step, t=tensors: s.rollout(*t)  # noqa: E731
                _report(bench, f"{title}, {how}", call, batch * horizon, device)
    with bench.case(f"{title}, CUDA graph"):
        call = graphed_rollout(
            module.to(bench.device), [input_.to(bench.device) for input_ in inputs]
        )
        _report(bench, f"{title}, CUDA graph", call, batch * horizon, bench.device)
    arrays = [input_.numpy() for input_ in inputs]
    for how in ("cpu", "cuda", "tensorrt"):
        work = f"{title}, ONNX Runtime {how}"
        with bench.case(work):
            simulator = _simulator(folder, how)
            call = lambda s=simulator: s.rollout(*arrays)  # noqa: E731
            _report(bench, work, call, batch * horizon, torch.device("cpu"))
    module.cpu()


def graphed_rollout(module: Any, inputs: list[torch.Tensor]) -> Any:
    """Return a call of the rollout, captured as a CUDA graph where there is a GPU."""
    if inputs[0].device.type != "cuda":
        return torch.inference_mode()(lambda: module.rollout(*inputs))
    with torch.inference_mode():
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                module.rollout(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = module.rollout(*inputs)

    def replay() -> Any:
        graph.replay()
        return outputs

    return replay


def _simulator(folder: Path | None, provider: str) -> Any:
    if folder is None:
        message = "the model was not exported"
        raise NotRun(message)
    import onnxruntime

    from kinemill.runtime import load_simulator

    full = dict(PROVIDERS.values()).get(provider)
    available = onnxruntime.get_available_providers()
    if full is not None:
        _require(full, available)
    return load_simulator(folder, provider=provider, non_finite="pass")


def _require(provider: str, available: list[str]) -> None:
    if provider not in available:
        message = f"this onnxruntime has {', '.join(available)}"
        raise NotRun(message)
    if provider == "TensorrtExecutionProvider" and find_library("nvinfer") is None:
        message = "libnvinfer is not installed"  # onnxruntime lists the provider all the same
        raise NotRun(message)


def _report(bench: Bench, work: str, call: Any, steps: int, device: torch.device) -> None:
    bench.row(work, steps / bench.seconds_of(call, 0.5, device), "state-steps/s")
