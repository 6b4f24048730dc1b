"""Section `pixels`: steps per second of a diffusion policy with 96 x 96 images, as in PushT.

Images are random: speed does not depend on their content. The success of such a policy takes
hours of training, and is measured by `make prove-imitation`.
"""

from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks._gpu_cases import begin
from benchmarks._gpu_rows import Bench
from kinemill.dataset import PackedDataset
from kinemill.task.document import Task
from kinemill.train import demonstrations
from kinemill.train.demonstrations import Demonstrations
from tests.dataset.packing import packed_of

STEPS = 200_000  # of a full training
CACHE = ("CACHE_BYTES", "CACHE_SHARE")
IMAGE = {"image": {"role": "image"}}
POSITION = {"role": "state", "unit": "m"}
TARGET = {"role": "action", "unit": "m", "limits": [-1, 1]}
CHANNELS = {"x": POSITION, "y": POSITION, "target_x": TARGET, "target_y": TARGET}


class RandomImages(Demonstrations):
    """Demonstrations whose images are random numbers, not files."""

    def __init__(self, packed: PackedDataset, side: int) -> None:
        shapes, channels = {"image": [side, side, 3]}, {"image": "image"}
        media: Any = SimpleNamespace(
            media=SimpleNamespace(shapes=shapes, channels=channels, views={})
        )
        super().__init__(packed, media)
        self._images = np.random.default_rng(0).integers(
            0, 256, (len(packed.values), side, side, 3), np.uint8
        )

    def pictures(self, channel: str, rows: Any, epoch: int = 0) -> torch.Tensor:
        """Return images at rows, (...,) -> (..., H, W, 3) uint8."""
        del channel, epoch
        return torch.from_numpy(self._images[rows])


def measure(bench: Bench) -> None:
    """Measure training steps and actions, in float32 and with AMP."""
    side = bench.size(96, 16)
    data = RandomImages(packed_pushes(*bench.size((40, 130), (4, 30))), side)
    modes = {"float32": {}, "AMP bf16": {"amp": "bf16"}, "images prefetched": {}}
    for name, how in modes.items():
        work = f"diffusion from pixels, {name}"
        factor = 0 if name == "images prefetched" else 1
        sizes = {key: factor * getattr(demonstrations, key) for key in CACHE}
        with bench.case(work), mock.patch.multiple(demonstrations, **sizes):
            task = pushing_task(bench, IMAGE, **how)
            run = begin(data, bench.device, task)
            seconds = bench.seconds_of(run, 2.0)
            batch = task.learn.batch_size
            note = f"{STEPS} steps would take {STEPS * seconds / 3600:.2g} h"
            bench.row(work, batch / seconds, "sequences/s", note=note)
            if name == "float32":
                _act(bench, run.module.eval())


def _act(bench: Bench, module: Any) -> None:
    """Measure one action of the trained policy, everything counted on the device."""
    work = "diffusion from pixels, one action"
    with bench.case(work):
        layout = module.layout
        named = {
            "image": torch.zeros(1, *layout.images["image"], dtype=torch.uint8),
            "observation": torch.zeros(1, len(layout.observation)),
        }
        inputs = [
            named.get(name, torch.zeros(1, 1, dtype=torch.int64)).to(bench.device)
            for name in layout.inputs
        ]
        carry = module.initial_carry(1)
        with torch.inference_mode():
            call = lambda: module(*inputs, *carry)  # noqa: E731
            seconds = bench.seconds_of(call, 1.0)
        bench.row(work, 1.0 / seconds, "Hz")


def pushing_task(bench: Bench, images: dict[str, Any], **learn: Any) -> Task:
    """Return the task of the policy.

    Args:
        bench: with the size.
        images: channels that are observed in addition to the position.
        learn: settings of `learn`.
    """
    head = {"type": "diffusion", **bench.size({}, {"steps": 2, "width": 16, "condition": 8})}
    model = {"type": "mlp", "hidden_sizes": bench.size([512, 512], [8])}
    return Task.model_validate(
        {
            "task": "pushing",
            "dt": 0.1,
            "channels": CHANNELS | images,
            "learn": {
                "type": "imitation",
                "model": model,
                "head": head,
                "seq_len": 2,
                "chunk": {"length": bench.size(16, 2), "n_action_steps": bench.size(8, 1)},
                "batch_size": bench.size(64, 4),
                "compile": "off",
                **learn,
            },
        }
    )


def packed_pushes(episodes: int, rows: int) -> PackedDataset:
    """Return random positions and targets in `episodes` of `rows`, and two more to hold out."""
    random = np.random.default_rng(1)
    counts = {"train": episodes, "validation": 1, "test": 1}
    runs = {split: random.uniform(-1, 1, (count, rows, 4)) for split, count in counts.items()}
    return packed_of("pushing", 0.1, CHANNELS, runs)
