"""Loss and validation errors of a policy on demonstrations.

Symbols: B batch, K rows of a window, R trained rows, T actions of a chunk, A actions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset.windows import make_sequences
from kinemill.models.networks.graph_noise import GraphNoise
from kinemill.policies.imitation.bc_policy import BCPolicy
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.train.batches import Part, Prefetch
from kinemill.train.demonstrations import Demonstrations, Feed
from kinemill.train.noise import KeyedNoise

MAX_SEQUENCES = 2048  # validation sequences, evenly spaced
CHUNK = 256  # sequences per evaluation batch


@dataclass(frozen=True, eq=False)
class Samples:
    """The sequences of one split as tensors on a device.

    Attributes:
        feed: inputs at each row.
        actions: (N, A) float32 in task units.
        last: (N,) int64, last row of each row's episode.
        rows: (W, K) int64, observed rows of each sequence.
        there: mask of `rows`, (W, K): 1, or 0 before the first row of the episode.
        weights: (W,) float64, sampling weights.
    """

    feed: Feed
    actions: Tensor
    last: Tensor
    rows: Tensor
    there: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls,
        data: Demonstrations,
        split: str,
        module: BCPolicy,
        stride: int,
        most: int | None = None,
    ) -> "Samples":
        """Return the sequences of a split, every `stride` rows; with `most`, evenly spaced ones."""
        device = module.action_std.device
        packed = data.packed
        lengths = {"history": module.memory.rows, "seq_len": module.chunk.length}
        sequences = make_sequences(packed, split, stride=stride, **lengths)
        which = evenly_spaced(np.arange(len(sequences)), most or len(sequences))
        return cls(
            feed=Feed(data, module.layout, device, np.unique(sequences.observed[which])),
            actions=torch.from_numpy(np.array(data.actions)).to(device),
            last=torch.from_numpy(data.last_rows).to(device),
            rows=torch.from_numpy(sequences.observed[which]).to(device),
            there=torch.from_numpy(sequences.observed_mask[which].astype(np.float32)).to(device),
            weights=torch.from_numpy(sequences.weights[which]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def rows_learned(self, module: BCPolicy) -> float:
        """Return the mean number of trained rows per sequence: 1, or up to K with a carry."""
        rows = self.there[:, -(module.memory.rows if module.memory.carried else 1) :].sum(dim=1)
        return float((rows.cpu().double() * self.weights).sum() / self.weights.sum())

    def future_actions(self, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the next actions at rows (B,) and their mask: (B, T, A), (B, T) 1 or 0."""
        row_numbers = rows.unsqueeze(1) + torch.arange(length, device=rows.device)
        last = self.last.index_select(0, rows).unsqueeze(1)
        clipped = torch.minimum(row_numbers, last)
        chunk = self.actions.index_select(0, clipped.flatten()).view(*clipped.shape, -1)
        return chunk, (row_numbers <= last).to(chunk.dtype)


class Cloning:
    """The loss of `objectives.imitation` on training sequences, and errors on validation ones.

    Args:
        learn: settings of `objectives.imitation`.
        module: the policy to train.
        train: training sequences.
        watch: validation sequences.
    """

    def __init__(self, learn: Any, module: BCPolicy, train: Samples, watch: Samples) -> None:
        self.learn = learn
        self.module = module
        self.train = train
        self.watch = watch
        size = min(learn.batch_size * learn.accumulate, len(train))
        self._epoch_steps = len(train) // size
        self._usual_rows = train.rows_learned(module)
        self._prefetcher = Prefetch(module.action_std.device) if train.feed.is_read else None
        self._rows = train.rows.cpu().numpy() if train.feed.is_read else None

    @property
    def steady(self) -> bool:
        """Whether the loss of a sequence does not depend on the training step."""
        return not self.learn.head.seeded and self.static

    @property
    def static(self) -> bool:
        """Whether all steps run the same operations on the device."""
        return self.train.feed.steady

    def loss(self, which: Tensor, step: int, part: Part | None = None) -> Tensor:
        """Return the mean loss on sequences with numbers `which` (1, B) at a training step, ()."""
        keyed = None if part is None else (1, part)
        noise = KeyedNoise(self.learn.seed, step, which.device, keyed)
        read = (
            self._prefetcher.take(step, which.numel(), part)
            if self._prefetcher is not None
            else None
        )
        about = (noise, step // self._epoch_steps, read)
        total, _ = self._losses(self.train, which.flatten(), *about)
        # A constant divisor instead of the number of recorded rows: the losses of micro-batches
        # add up to the loss of the batch.
        return total / (which.numel() * self._usual_rows)

    @property
    def prefetch(self) -> Callable[[Tensor, int], None] | None:
        """Function that begins to read the images of the next step; None if all are in memory."""
        return self._prefetch if self._prefetcher is not None else None

    def _prefetch(self, which: Tensor, step: int) -> None:
        assert self._prefetcher is not None
        assert self._rows is not None
        rows = self._rows[which.flatten().numpy()].reshape(-1)
        epoch = step // self._epoch_steps
        self._prefetcher.request(step, which.numel(), lambda: self.train.feed.read(rows, epoch))

    def _losses(
        self,
        samples: Samples,
        which: Tensor,
        noise: KeyedNoise,
        epoch: int,
        read: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the sum of losses over recorded rows, and their number."""
        conditions, rows, there = self._conditions(samples, which, epoch, read)
        targets, mask = samples.future_actions(rows, self.module.chunk.length)
        losses = self.module.head.loss(conditions, self.module.scaled(targets), mask, noise)
        return (losses * there).sum(), there.sum()

    def _conditions(
        self, samples: Samples, which: Tensor, epoch: int, read: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return conditions of the head (B R, E), their rows (B R,), and their mask (B R,)."""
        observed = samples.rows.index_select(0, which)
        there = samples.there.index_select(0, which)
        features = self.module.see(samples.feed.at(observed.flatten(), epoch, read))
        conditions = self.module.conditions(features.view(*observed.shape, -1), there)
        count = conditions.shape[1]
        rows = observed[:, -count:].flatten()
        there = there[:, -count:].flatten()
        return conditions.flatten(0, 1), rows, there

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the validation loss, and the RMS error of each chunk's first action.

        The error is in standard deviations of training.
        """
        losses = list[float]()
        squares = list[Tensor]()
        samples = torch.arange(len(self.watch), device=self.module.action_std.device)
        for number, part in enumerate(samples.split(CHUNK)):
            noise = KeyedNoise(self.learn.seed, number, part.device)
            total, rows = self._losses(self.watch, part, noise, 0)
            losses.append(float(total / rows) * len(part))
            squares.append(self._missed(part).square())
        return {
            "validation/loss": sum(losses) / len(samples),
            "validation/action": torch.cat(squares).mean().sqrt().item(),
        }

    def _missed(self, which: Tensor) -> Tensor:
        """Return the error of the current action, (B, A), in standard deviations of training."""
        conditions, rows, _ = self._conditions(self.watch, which, 0)
        rows_per_sample = len(conditions) // len(which)
        present = conditions[rows_per_sample - 1 :: rows_per_sample]
        rows = rows[rows_per_sample - 1 :: rows_per_sample]
        draws = GraphNoise(rows.unsqueeze(1), torch.zeros_like(rows.unsqueeze(1)))
        truth = self.module.scaled(self.watch.actions.index_select(0, rows))
        return self.module.head(present, draws)[:, 0] - truth

    def fit_batches(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield features (n, K, F) and scaled target chunks (n, T A) for closed-form fits."""
        with torch.no_grad():
            for part in torch.arange(len(self.train)).split(count):
                observed = self.train.rows[part.to(self.train.rows.device)]
                features = self.module.see(self.train.feed.at(observed.flatten()))
                targets, _ = self.train.future_actions(observed[:, -1], self.module.chunk.length)
                yield features.view(*observed.shape, -1), self.module.scaled(targets).flatten(1)
