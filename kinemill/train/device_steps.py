"""Training steps that never wait for a GPU, optionally as a CUDA graph; compiled steps of a CPU.

The host only launches work. Window numbers go to the device once per epoch, and losses stay there
until the loop collects them. A CUDA graph holds several steps, because launching one takes the host
longer than the GPU needs for a step of a small model.

After a step whose loss or gradient is not finite, the device freezes the weights. The host may
detect this many steps later, and the NaN diagnosis still has the weights from before that step.

Symbols: M members of an ensemble (1 without), B windows of a batch.
"""

import gc
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from kinemill.task.learn import Learn
from kinemill.train.amp import MIN_SCALE
from kinemill.train.batches import Batches
from kinemill.train.compiled import CompiledSteps, compiled
from kinemill.train.gradients import clip, gradient_of, max_norm, seed_step
from kinemill.train.nan_diagnosis import NotFinite
from kinemill.train.noise import Draws
from kinemill.train.objective import Objective
from kinemill.train.training_state import Training

SPAN = 1024  # steps whose losses the device keeps
WARM_UP = 3  # steps before the capture, in which libraries choose kernels and allocate
GROUP = 8  # steps in one CUDA graph
# Steps in one call of a compiled program on a CPU, whose call takes as long as half a small step. A
# time limit may be exceeded by as many steps.
LOOP = 32
ROW = 4  # values of a step in a table; compiled programs copy rows that are not 16-byte aligned


class CaptureFailed(Exception):
    """A step cannot be captured as a CUDA graph; the message is torch's."""


class DeviceSteps:
    """The updates of a training on its device.

    The optimizer has to be fused: a fused kernel skips its update where `found_inf` is 1, the
    mechanism of torch's `GradScaler`.

    Args:
        training: state that changes from step to step.
        objective: objective of the training, see `objective.Objective`.
        learn: settings.
        batches: window numbers of each step.
        is_graph: whether the steps are CUDA graphs; on a CPU they are called in groups as well.
    """

    def __init__(
        self,
        training: Training,
        objective: Objective,
        learn: Learn,
        batches: Batches,
        *,
        is_graph: bool = False,
    ) -> None:
        self._training = training
        self._objective = objective
        self._learn = learn
        self._device = device = next(training.module.parameters()).device
        self._gradient = gradient_of(training, objective)
        self._batches = _DeviceBatches(batches, device)
        is_loop = training.state.compiled and device.type == "cpu"
        self._group = LOOP if is_loop else GROUP
        shape = (self._group, objective.members, batches.size)
        self._windows = torch.zeros(shape, dtype=torch.int64, device=device)
        # Fused CUDA kernels read a rate in float32; on a CPU the rate is a Python float (float64).
        exact = torch.float32 if device.type == "cuda" else torch.float64
        # Rate and bias corrections of each step, see `CompiledSteps.scalars`.
        self._scalars = torch.zeros(self._group, ROW, dtype=exact, device=device)
        self._failed = torch.zeros((), device=device)
        # Loss, norm, and whether a step has failed.
        self._latest = torch.zeros(self._group, ROW, device=device)[:, :3]
        self._records = torch.zeros(SPAN, 3, device=device)
        self._step = 0
        self._first = 0
        self._count = 0
        self._collected = list[float]()
        self._compiled: CompiledSteps | None = None
        if training.state.compiled:
            assert isinstance(training.optimizer, torch.optim.AdamW)
            most = max_norm(learn)
            self._compiled = compiled(
                training.module,
                lambda windows: objective.loss(windows, 0),
                training.optimizer,
                most,
            )
        is_captured = is_graph and device.type == "cuda"
        for group in training.optimizer.param_groups:
            if is_captured and "capturable" in group:
                group["capturable"] = True
        # Averages of weights are taken between two steps, so steps are not grouped with `ema`.
        self._is_grouped = (is_graph or is_loop) and training.average is None
        self._warm_ups = WARM_UP if is_graph else 0
        # Whether a step draws random numbers on the device.
        self._is_random = not is_graph and self._compiled is None
        self._draws = Draws(device) if is_graph else None
        self._stream = _side_stream(device) if is_captured else None
        pool = torch.cuda.graph_pool_handle() if is_captured else None
        work = {count: partial(self._update_all, count) for count in (1, self._group)}
        self._work: dict[int, Callable[[], None]] = {
            count: call if self._stream is None else CudaGraph(call, self._stream, pool)
            for count, call in work.items()
        }

    @property
    def group_size(self) -> int:
        """Number of steps that should be made in one call."""
        return self._group if self._is_grouped and not self._warm_ups and not self._is_random else 1

    def __call__(self, steps: Sequence[int]) -> int:
        """Launch the first of these steps, or all if they are a group; return their number.

        Raises:
            NotFinite: An earlier step was not finite; checked here once every SPAN steps.
            CaptureFailed: Steps cannot be captured as a CUDA graph; none of these was made.
        """
        count = len(steps) if len(steps) == self._group == self.group_size else 1
        if self._count + count > SPAN:
            self._fetch()
        if self._count == 0:
            self._first = steps[0]
        self._step = steps[0]
        learn = self._learn
        scalars = list[tuple[float, float, float]]()
        self._batches.copy(steps[:count], self._windows)
        for row, step in enumerate(steps[:count]):
            rate = learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)
            plain = rate, 1.0, 1.0
            scalars.append(plain if self._compiled is None else self._compiled.scalars(rate, row))
        self._scalars[:count, :3].copy_(torch.tensor(scalars, dtype=self._scalars.dtype))
        if self._draws is not None and self._warm_ups != WARM_UP:
            self._draws.fill(steps[:count])
        if self._warm_ups:
            self._warm_up()
        else:
            if self._is_random:
                self._seed()
            self._work[count]()
        if self._compiled is not None:
            self._compiled.count(count)
        self._records[self._count : self._count + count].copy_(self._latest[:count])
        self._count += count
        return count

    def _seed(self) -> None:
        """Seed the random numbers of dropout by the step; all others are keyed by it."""
        seed_step(self._learn.seed * 1_000_003 + self._step, self._device)

    def _warm_up(self) -> None:
        """Make one step directly, and find out whether it draws random numbers."""
        self._seed()
        state = self._random_state()
        if self._stream is None:
            self._update_all(1)
        else:
            # A capture runs on a side stream, so the warm-up does too (torch notes on CUDA graphs).
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._update_all(1)
            torch.cuda.current_stream().wait_stream(self._stream)
        self._is_random |= not torch.equal(state, self._random_state())
        self._warm_ups -= 1

    def _random_state(self) -> Tensor:
        if self._device.type == "cuda":
            return torch.cuda.get_rng_state(self._device)
        return torch.get_rng_state()

    def collect(self) -> list[float]:
        """Wait for all steps, and return the losses of those not collected yet, in order.

        Raises:
            NotFinite: A loss or gradient was not finite; the weights are as before that step.
        """
        self._fetch()
        losses = self._collected
        self._collected = []
        return losses

    def _fetch(self) -> None:
        if not self._count:
            return
        rows: list[list[float]] = self._records[: self._count].tolist()
        self._count = 0
        for number, (loss, norm, failed) in enumerate(rows):
            if failed:
                raise NotFinite(loss, norm, self._first + number)
            self._collected.append(loss / self._objective.members)

    def _update_all(self, count: int) -> None:
        """Make the first `count` steps of `_windows` and `_scalars`; leave results in `_latest`."""
        if self._compiled is not None:
            self._compiled.program(self._windows, self._scalars[:, :3].float(), self._latest, count)
            return
        for row in range(count):
            with self._noise(row):
                self._update(row)

    def _noise(self, row: int) -> AbstractContextManager[object]:
        """Return the context in which a step gets its noise."""
        if self._draws is None:
            return nullcontext()
        return self._draws.recording() if self._warm_ups == WARM_UP else self._draws.supplying(row)

    def _update(self, row: int) -> None:
        training = self._training
        optimizer = self._training.optimizer
        for group in optimizer.param_groups:
            group["lr"] = self._scalars[row, 0]
        optimizer.zero_grad(set_to_none=True)
        loss = self._gradient(self._windows[row], self._step).detach()
        scaler = training.scaler
        if scaler is not None:
            # After a failure NaN gradients make the scaler skip every further step.
            is_fine = loss.isfinite() & (self._failed == 0)
            self._add_to_gradients(torch.where(is_fine, 0.0, torch.nan))
            scaler.unscale_(optimizer)
        parameters = list(training.module.parameters())
        norm = clip(parameters, max_norm(self._learn), self._objective.members)
        is_bad = ~norm.isfinite()
        if scaler is not None:
            # An overflow of the scaled gradient skips this step only and halves the scale. At
            # MIN_SCALE it is not caused by the scaling, and counts as a failure.
            is_bad = is_bad & (scaler.scale(torch.ones_like(loss)) <= MIN_SCALE)
        self._note_result(row, loss, norm, is_bad)
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
            return
        fused: object = optimizer
        # The protocol of torch.amp.GradScaler.step: attributes that the fused kernel reads.
        setattr(fused, "grad_scale", None)  # noqa: B010 - torch declares neither
        setattr(fused, "found_inf", self._failed)  # noqa: B010
        optimizer.step()
        delattr(fused, "grad_scale")
        delattr(fused, "found_inf")

    def _note_result(self, row: int, loss: Tensor, norm: Tensor, is_bad: Tensor) -> None:
        is_bad = is_bad | ~loss.isfinite()
        self._failed.copy_(torch.maximum(self._failed, is_bad.to(self._failed.dtype)))
        self._latest[row].copy_(torch.stack([loss, norm, self._failed]))

    def _add_to_gradients(self, value: Tensor) -> None:
        for parameter in self._training.module.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(value)


class _DeviceBatches:
    """Batches of the device: the order of an epoch is sent once, from pinned memory.

    A thread draws the order of the next epoch, which takes longer than training with large batches.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._epoch, self._orders = -1, torch.empty(0, 0, dtype=torch.int64)
        self._thread = ThreadPoolExecutor(1, "kinemill-batches")
        self._next: tuple[int, Future[Tensor]] | None = None

    def copy(self, steps: Sequence[int], target: Tensor) -> None:
        """Copy the window numbers of successive steps into the first rows of (steps, M, B)."""
        epoch, first = self._batches.position(steps[0])
        size = self._batches.size
        if self._batches.position(steps[-1])[0] != epoch:
            for row, step in enumerate(steps):
                self.copy([step], target[row:])
            return
        if epoch != self._epoch:
            self._orders = self._drawn(epoch).to(self._device, non_blocking=True)
            self._epoch = epoch
        part = self._orders[:, first : first + len(steps) * size]
        target[: len(steps)].copy_(part.view(len(part), len(steps), size).transpose(0, 1))

    def _drawn(self, epoch: int) -> Tensor:
        drawn = self._next[1] if self._next and self._next[0] == epoch else self._draw(epoch)
        self._next = epoch + 1, self._draw(epoch + 1)
        return drawn.result()

    def _draw(self, epoch: int) -> Future[Tensor]:
        def draw() -> Tensor:
            orders = self._batches.draw(epoch)
            return orders.pin_memory() if self._device.type == "cuda" else orders

        return self._thread.submit(draw)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of captures, one for all trainings of a process, which follow each other.

    cuBLAS keeps memory for each stream.
    """
    return torch.cuda.Stream(device)


class CudaGraph:
    """Capture `work` as a CUDA graph at the first call, and replay it.

    A step of a small model is some hundred kernels of a few microseconds, and launching them takes
    longer than running them. A graph replays memory addresses, so tensors that `work` reads and
    writes must not move.

    Args:
        work: function of tensors on a GPU, without synchronization and with the same operations in
            each call; it has been called before.
        stream: side stream on which `work` was called before.
        pool: memory that it shares with other graphs, which must not run at the same time.
    """

    def __init__(self, work: Callable[[], None], stream: torch.cuda.Stream, pool: Any) -> None:
        self._work = work
        self._stream = stream
        self._pool = pool
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Run `work` once.

        Raises:
            CaptureFailed: `work` cannot be captured as a CUDA graph.
        """
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads sample the memory and load images during the capture.
            mode = "thread_local"
            with (
                without_collection(),
                torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode=mode),
            ):
                self._work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CaptureFailed(str(error)) from error
        return graph


@contextmanager
def without_collection() -> Generator[None]:
    """Collect garbage before a capture, and not in it.

    Freeing an earlier training's graph, which is in a reference cycle, breaks a capture.
    """
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
