"""IMPALA (Espeholt et al., 2018): workers roll out the policy, a learner corrects by V-trace.

Concurrent workers (processes, Ray actors) begin the next rollout before the update, so their policy
lags behind. Copies in this process begin after the update, with a lag of 0.

Symbols: T steps, B environments, N = T B, E inputs of a network, A actions.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from stable_baselines3 import A2C
from stable_baselines3.common.type_aliases import MaybeCallback
from torch import Tensor, nn
from torch.nn import functional

from kinemill.errors import ProcessLost
from kinemill.rl.actor import outputs_of
from kinemill.rl.learner import Site
from kinemill.rl.rollouts import Rollout, RolloutJob
from kinemill.rl.vec_env import CopiesEnv, Worker
from kinemill.rl.vtrace import TraceSettings, v_trace

REPLACEMENTS = 3  # most workers replaced in a round; more point to a fault of the environment
_SEEDS = 2**31


class Impala(A2C):
    """Actor-critic of stable-baselines3 whose steps come from rollouts of workers.

    Args:
        site: settings and environment of the training.
        ratios: rho_bar and c_bar.
        order: use rollouts in order of arrival, or of the workers.
        named: arguments of `stable_baselines3.A2C`.
    """

    policy: Any

    def __init__(
        self,
        *,
        site: Site,
        ratios: tuple[float, float],
        order: Literal["arrival", "fixed"],
        **named: Any,
    ) -> None:
        self._learn, self._layout = site.learn, site.layout
        self._ratios, self._order = ratios, order
        self._workers: Sequence[Worker] = ()
        self._pending = list[int]()  # workers with a running rollout, oldest first
        self._finished = list[Rollout]()
        self._latest = list[NDArray[np.generic]]()  # observations of each worker
        super().__init__(**named)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int | None = None,
        tb_log_name: str = "impala",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "Impala":
        """Update the policy up to `total_timesteps` further environment steps.

        Raises:
            ProcessLost: More than REPLACEMENTS workers died in a round.
        """
        del log_interval
        # Before `_setup_learn`, which resets the environments and sets `_last_obs` if it is None.
        is_new = self._last_obs is None
        if is_new:
            self._restart_lost()
        total, callbacks = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        if is_new:
            self._begin_round()
        callbacks.on_training_start(locals(), globals())
        lags, ratios = list[int](), list[float]()
        while self.num_timesteps < total:
            rollouts = self._collect()
            lags += [self._n_updates - one.version for one in rollouts]
            self.num_timesteps += sum(one.rewards.size for one in rollouts)
            ratios.append(self._update(rollouts))
            callbacks.update_locals(locals())
            if not callbacks.on_step():
                break
        self._await_all()
        callbacks.on_training_end()
        self.logger.record("train/policy_lag", float(np.mean(lags)) if lags else 0.0)
        self.logger.record("train/policy_lag_max", float(max(lags, default=0)))
        self.logger.record("train/clipped_ratio", float(np.mean(ratios)) if ratios else 0.0)
        self.logger.record("train/replaced_actors", float(self._replaced))
        return self

    def _restart_lost(self) -> None:
        """Restart workers that died since the last round, before the round resets all workers.

        Raises:
            ProcessLost: More than REPLACEMENTS workers died.
        """
        assert isinstance(self.env, CopiesEnv)
        self._workers, self._replaced = self.env.workers, 0
        for worker in self._workers:
            while not _responds(worker):
                self._count_lost()
                worker.restart()

    def _begin_round(self) -> None:
        """Discard rollouts of earlier episodes, and seed the round from torch's seed."""
        assert isinstance(self.env, CopiesEnv)
        assert isinstance(self._last_obs, np.ndarray)
        self._pending, self._finished = [], []
        self._latest = self.env.split(self._last_obs)
        self._random = np.random.default_rng(torch.initial_seed() % _SEEDS)

    def _collect(self) -> list[Rollout]:
        """Return rollouts with at least T steps of each environment on average."""
        steps = self.n_steps * self.n_envs
        rollouts = list[Rollout]()
        while sum(one.rewards.size for one in rollouts) < steps:
            if self._finished:
                rollouts.append(self._finished.pop(0))
                continue
            # Workers that are not concurrent start only here, after the update: their lag is 0.
            for index in range(len(self._workers)) if not self._pending else ():
                self._begin(index)
            index, rollout = self._next()
            rollouts.append(rollout)
            if self._workers[index].concurrent:
                self._begin(index)
        return rollouts

    def _begin(self, index: int) -> None:
        """Start a rollout of a worker, and replace the worker if it died."""
        try:
            self._send(index)
        except ProcessLost:
            self._replace(index)

    def _send(self, index: int) -> None:
        """Start a rollout of a worker with the current policy.

        Raises:
            ProcessLost: The worker died.
        """
        network = self._learn.algorithm.copied(self._learn, self.policy).cpu()
        log_std = getattr(self.policy, "log_std", torch.zeros(0)).detach().cpu()
        outputs = outputs_of(self._layout)
        assert self.observation_space.shape is not None
        job = RolloutJob(
            learn=self._learn.without_callbacks(),
            sizes=(self.observation_space.shape[0], outputs),
            choices=self._layout.choices or (0,) * len(self._layout.actions),
            weights={name: one.numpy() for name, one in network.state_dict().items()},
            log_std=log_std.numpy().copy(),
            rows=self._latest[index],
            steps=self.n_steps,
            seed=int(self._random.integers(_SEEDS)),
            version=self._n_updates,
        )
        self._workers[index].begin("roll_out", job)
        self._pending.append(index)

    def _next(self) -> tuple[int, Rollout]:
        """Wait for a rollout, and replace workers that died; return worker index and rollout."""
        while True:
            index = self._pending[0]
            if self._order == "arrival":
                ready = self._workers[index].first([self._workers[one] for one in self._pending])
                index = self._pending[ready]
            self._pending.remove(index)
            try:
                rollout: Any = self._workers[index].result()
            except ProcessLost:
                self._replace(index)
                continue
            # The row after the last step is the first row of the worker's next rollout.
            self._latest[index] = rollout.rows[-1]
            assert isinstance(self.env, CopiesEnv)
            self.env.episodes += rollout.episodes
            return index, rollout

    def _replace(self, index: int) -> None:
        """Restart a worker with new episodes, and start its rollout; repeat if it dies again.

        Raises:
            ProcessLost: More than REPLACEMENTS workers died in this round.
        """
        worker, rows = self._workers[index], len(self._latest[index])
        is_running = False
        while not is_running:
            self._count_lost()
            worker.restart()
            seeds = [int(one) for one in self._random.integers(_SEEDS, size=rows)]
            with suppress(ProcessLost):
                worker.begin("reset", seeds)
                self._latest[index] = worker.result()[0]  # pyright: ignore[reportIndexIssue]
                self._send(index)
                is_running = True

    def _count_lost(self) -> None:
        """Count a worker that died.

        Raises:
            ProcessLost: More than REPLACEMENTS workers died in this round.
        """
        self._replaced += 1
        if self._replaced > REPLACEMENTS:
            where, fix = "learn.runner", "check the memory of the machine and the environment"
            problem = f"{self._replaced} workers died in a round, the last one was not replaced"
            raise ProcessLost(where, problem, fix=fix)

    def _await_all(self) -> None:
        """Wait for running rollouts, so that no worker is busy between two calls of `learn`."""
        while self._pending:
            self._finished.append(self._next()[1])

    def _update(self, rollouts: Sequence[Rollout]) -> float:
        """Make one optimizer step; return the share of importance ratios above rho_bar."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        parts = [self._losses(one) for one in rollouts]
        # One mean over the steps of all workers, so that every step has the same weight.
        policy_loss, value_loss, entropy, clipped = (
            torch.cat(part).mean() for part in zip(*parts, strict=True)
        )
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        self.policy.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        values = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy_loss": -entropy}
        for name, value in values.items():
            self.logger.record(f"train/{name}", value.item())
        return clipped.item()

    def _losses(self, rollout: Rollout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return policy loss, squared value error, entropy, and whether rho is clipped: (N,)."""
        rows, last_rows, actions, behavior, rewards, dones, truncated = (
            torch.tensor(part, device=self.device)  # a copy: Ray's arrays are read-only
            for part in (
                *(rollout.rows, rollout.last_rows, rollout.actions, rollout.log_probs),
                *(rollout.rewards, rollout.dones, rollout.truncated),
            )
        )
        flat = actions.flatten(0, 1)
        flat = flat[:, 0].long() if isinstance(self.action_space, Discrete) else flat
        values, log_probs, entropy = self.policy.evaluate_actions(rows[:-1].flatten(0, 1), flat)
        values, log_probs = values.view_as(rewards), log_probs.view_as(rewards)
        with torch.no_grad():
            following = torch.cat([values[1:], self.policy.predict_values(rows[-1]).view(1, -1)])
            # The row after a done is the first of a new episode, so its value must not be used.
            following = following.masked_fill(dones, 0.0)
            if len(last_rows):
                # A mask (T, B) selects in row-major order, which is the order of `last_rows`.
                following[truncated] = self.policy.predict_values(last_rows).flatten()
        log_ratios = log_probs.detach() - behavior
        rho_bar, c_bar = self._ratios
        targets = v_trace(
            log_ratios,
            rewards,
            values.detach(),
            following,
            dones,
            TraceSettings(self.gamma, rho_bar, c_bar, self.gae_lambda),
        )
        return (
            -(targets.advantages * log_probs).flatten(),
            functional.mse_loss(values, targets.values, reduction="none").flatten(),
            entropy,
            (log_ratios.exp() > rho_bar).float().flatten(),
        )


def _responds(worker: Worker) -> bool:
    """Return whether a worker answers a call."""
    try:
        worker.begin("spaces")
        worker.result()
    except ProcessLost:
        return False
    return True
