"""Trainings in separate processes, which `benchmarks._gpu_correctness` kills or joins.

`python -m benchmarks._gpu_child FOLDER SETTINGS`: trains on the pendulums, prints every step, and
writes the weights into FOLDER. With `WORLD_SIZE` in the environment it is one of several processes;
with GROUP_OF_ONE it creates its own process group.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

RESULT = "result.safetensors"
GROUP_OF_ONE = "GROUP_OF_ONE"


def main(folder: Path, settings: dict[str, Any]) -> None:
    """Train with these settings of `learn`; the key `size` is that of the data."""
    import torch
    from safetensors.torch import save_file

    from benchmarks._gpu_cases import pendulums, task_of
    from kinemill.task.protocols import NullReporter
    from kinemill.train.ddp import joined
    from kinemill.train.devices import determined
    from kinemill.train.loop import fit

    class Loud(NullReporter):
        def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
            del stage, total, note
            print(done, flush=True)

    data = pendulums(*settings.pop("size"))
    task = task_of(**settings)
    learn: Any = task.learn
    torch.set_num_threads(1)
    if GROUP_OF_ONE in os.environ:
        torch.distributed.init_process_group("nccl" if learn.device == "cuda" else "gloo")
    with determined(on=learn.deterministic), joined(learn.device) as own:
        device = torch.device(learn.device)
        module, objective = learn.prepare(task, data, data, device)
        if torch.distributed.is_initialized():  # also a group of one: its communicator has to work
            one = torch.ones(8, device=device)
            torch.distributed.all_reduce(one)
            assert float(one.sum()) == 8.0 * own.size
        fit(module, objective, learn, folder, (NullReporter(), Loud()))
        weights = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
        if own.is_rank_zero:
            save_file(weights, str(folder / RESULT))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    main(where, json.loads(sys.argv[2]))
