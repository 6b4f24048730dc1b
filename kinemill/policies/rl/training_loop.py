"""Training loop of reinforcement learning: rounds, evaluations, checkpoints, the best policy.

A round starts new episodes and ends after some evaluations. Checkpoints are written between rounds,
and a round depends only on the checkpoint and the seed: a resumed training has the same weights,
bit for bit, as an uninterrupted one. Unfinished episodes at the end of a round count as truncated.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.callbacks import CallbackList
from torch import Tensor

from kinemill.errors import BadInput, Diverged
from kinemill.policies.environments.evaluation import Trials
from kinemill.policies.environments.factory import environment_of
from kinemill.policies.rl.actor import actor_of, load_estimates
from kinemill.policies.rl.cloning import cloned_steps
from kinemill.policies.rl.demonstrations import Episode, demonstrated
from kinemill.policies.rl.episode_stats import mean_stats
from kinemill.policies.rl.evaluation import Evaluator
from kinemill.policies.rl.learner import Cloner, Forecast, Learner, Site
from kinemill.policies.rl.learner_context import estimate, open_site
from kinemill.policies.rl.statistics import (
    Distribution,
    evaluation_distributions,
    evaluation_text,
    training_distributions,
)
from kinemill.policies.rl.vec_env import CopiesEnv
from kinemill.policies.rl.warm_start import load_warm_start, without_prefix
from kinemill.runtime.policy_layout import OBSERVATION, PolicyLayout
from kinemill.store import Json
from kinemill.task.document import Task
from kinemill.task.environment import Trials as Settings
from kinemill.train.checkpoint import (
    Groups,
    is_due,
    open_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from kinemill.train.context import Trained, TrainingContext
from kinemill.train.kept_checkpoint import RETURN
from kinemill.train.policy import PolicyModule
from kinemill.train.run_config import dotted
from kinemill.train.summary import LearnFacts
from kinemill.train.training_state import State
from kinemill.train.warm_start import is_checkpoint

STATISTICS = "statistics.csv"


class Callbacks(CallbackList):
    """Callbacks of a training, and whether one of them ended it."""

    is_stopped = False

    def _on_step(self) -> bool:
        is_continued = super()._on_step()
        self.is_stopped = self.is_stopped or not is_continued
        return is_continued


def fit(task: Task, layout: PolicyLayout, bench: TrainingContext) -> Trained:
    """Train until `learn.steps`, `learn.target`, or the end of patience, or a callback stops it.

    Raises:
        TrainingFailed: Weights are not finite.
        BadInput: The algorithm does not support the environment, or the warm start has other
            networks.
    """
    return TrainingLoop(task, layout, bench).run()


class TrainingLoop:
    """One training."""

    def __init__(self, task: Task, layout: PolicyLayout, bench: TrainingContext) -> None:
        self._task = task
        self._layout = layout
        self._bench = bench
        self._learn: Any = task.learn
        self._own = environment_of(task)
        self._tracker, self._progress = bench.listeners
        self._state = State()
        self._estimates: Sequence[Mapping[str, object]] = []  # of each wrapper
        self._best = dict[str, Tensor]()  # weights
        self._forecast = Forecast(self._progress, self._learn.steps)
        self._callbacks = Callbacks([*self._learn.callbacks])
        self._evaluator = Evaluator(task, self._own.trials.eval_variant)

    def run(self) -> Trained:
        """Train, and return the best policy."""
        saved = read_checkpoint(self._bench.folder, self._progress.log_message)
        checkpoint = self._chosen_checkpoint() if saved is None else saved
        episodes = self._demonstrations() if checkpoint is None else []
        if checkpoint is None:
            self._estimates = self._initial_estimates(episodes)
        else:
            self._restore(*checkpoint)
        site = self.site()
        try:
            learner = self.learner(site)
            if checkpoint is not None:
                self._restore_learner(learner, checkpoint)
            elif episodes:
                self._clone(cast(Cloner, learner), site, episodes)
            elif self._bench.start is not None:
                learner.start(load_warm_start(self._bench.start, self._learn)[1])
            self._report(learner)
            while not self._is_done():
                self._advance(learner, site.environment)
            return self._publishable(learner)
        finally:
            site.environment.close()
            self._evaluator.close()

    def _chosen_checkpoint(self) -> tuple[Groups, Json] | None:
        """Return the checkpoint of `learn.start_from`, or None."""
        start = self._bench.start
        is_cloned = self._learn.pretrain is not None
        if start is None or is_cloned or not is_checkpoint(Path(start.folder)):
            return None
        return open_checkpoint(Path(start.folder))

    def _restore_learner(self, learner: Learner, checkpoint: tuple[Groups, Json]) -> None:
        """Set networks, optimizers, replay buffer and counters.

        Raises:
            BadInput: The checkpoint belongs to another algorithm or other networks.
        """
        groups, state = checkpoint
        try:
            learner.restore(without_prefix(groups, "learner/"), state["learner"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise BadInput(
                f"learn.start_from: {self._bench.start and self._bench.start.address}",
                f"is a checkpoint of another algorithm or other networks: {error}",
                fix="keep learn.algorithm and learn.model, or start from the trained model",
            ) from error

    def site(self) -> Site:
        """Open the environment, and return the inputs of the learner."""
        return open_site(
            self._task,
            self._layout,
            self._estimates,
            self._bench.device,
            (self._callbacks,),
            self._forecast,
        )

    def learner(self, site: Site) -> Learner:
        """Return the learner of the algorithm."""
        return self._learn.algorithm.learner(site)

    def _initial_estimates(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, object]]:
        """Return the statistics of the wrappers, from the warm start or from random steps.

        Observations of demonstrations are included.
        """
        if self._bench.start is not None and not episodes:
            return load_warm_start(self._bench.start, self._learn, self._own.wrappers)[0]
        seed = derive_seed(self._learn.seed, "estimate")
        observations = [
            episode.inputs[OBSERVATION] for episode in episodes if OBSERVATION in episode.inputs
        ]
        return estimate(self._task, self._layout, seed, observations)

    def _demonstrations(self) -> list[Episode]:
        """Return the episodes to clone; none without `learn.pretrain`."""
        settings = self._learn.pretrain
        start = self._bench.start
        if settings is None or start is None:
            return []
        seeds = self._seeds("demonstrations", count=settings.episodes)
        episodes = demonstrated(self._task, self._layout, start, seeds)
        steps = sum(len(episode.actions) for episode in episodes)
        rewards = [episode.rewards.sum() for episode in episodes if episode.rewards is not None]
        note = f" with return {np.mean(rewards):.4g}" if rewards else ""
        self._progress.log_message(
            f"demonstrations: {len(episodes)} episodes, {steps} steps from {start.address}{note}"
        )
        return episodes

    def _clone(self, learner: Cloner, site: Site, episodes: Sequence[Episode]) -> None:
        """Fit the actor to demonstrations, and store the policy as the best so far."""
        actor: Any = self.policy(learner)
        kind = site.environment.observation_space.dtype
        settings = self._learn.pretrain
        steps = cloned_steps(actor, episodes, kind, self._own.wrappers)
        losses = learner.clone(steps, settings, derive_seed(self._learn.seed, "pretrain"))
        policy = self.policy(learner)
        mean = self._evaluator.run(policy, self._seeds("watched")).mean_return
        weights = policy.state_dict()
        self._best = {name: value.clone() for name, value in weights.items()}
        # Later policies must be better than the clone to replace it.
        self._state.best = -mean
        values = {f"pretrain/{name}": value for name, value in losses.items()}
        values["pretrain/return"] = mean
        self._state.record(values)
        self._tracker.log_metrics(values, 0)
        self._progress.log_message(
            f"cloned the demonstrations: loss {losses['first_loss']:.4g} to {losses['loss']:.4g}, "
            f"return {mean:.4g} at step 0"
        )

    def _report(self, learner: Learner) -> None:
        learn = self._learn
        parameters = sum(value.numel() for value in learner.core().parameters())
        self._tracker.log_params(dotted(self._task.part("learn")) | {"parameters": parameters})
        self._progress.log_message(
            f"{learn.algorithm.type}: policy with {parameters} parameters, "
            f"{learn.num_envs or learn.algorithm.num_envs} environments, {self._bench.device}"
        )
        if self._state.step:
            self._progress.log_message(f"resuming after step {self._state.step}")

    def _is_done(self) -> bool:
        state = self._state
        learn = self._learn
        waited = learn.patience is not None and state.waited >= learn.patience
        is_over = state.step >= learn.steps or state.reached or waited
        return is_over or self._callbacks.is_stopped

    def _advance(self, learner: Learner, copies: CopiesEnv) -> None:
        """Train up to the next evaluation, evaluate, and write a checkpoint if one is due."""
        state = self._state
        learn = self._learn
        began = time.perf_counter()
        first_step = state.step
        number = len(state.history.get(RETURN, ()))
        until = min(first_step + learn.eval_every, learn.steps)
        # Counted in evaluations of the history, so a resumed training has the same rounds.
        fresh = number % learn.evals_per_round == 0
        ends = (number + 1) % learn.evals_per_round == 0
        seed = derive_seed(learn.seed, "round", number) if fresh else None
        losses = learner.advance(until, seed)
        state.step = learner.step
        values = {f"learner/{name}": value for name, value in losses.items()}
        episodes = copies.drain()
        values |= mean_stats(episodes, self._layout.actions)
        trials = self._evaluate(learner, number)
        values |= evaluation_metrics(trials) | {RETURN: trials.mean_return}
        took = time.perf_counter() - began
        state.seconds += took
        state.record(values)  # without times: equal trainings have equal curves
        pace = {"seconds": state.seconds, "steps_per_second": (state.step - first_step) / took}
        self._tracker.log_metrics(values | pace, state.step)
        distributions = evaluation_distributions(trials) | training_distributions(
            episodes, self._layout.actions
        )
        self._progress.log_message(
            evaluation_text(
                distributions,
                step=state.step,
                pace=pace["steps_per_second"],
                count=len(episodes),
                success=trials.success,
                is_best=state.best_step == state.step,
            )
        )
        note = f"return {values[RETURN]:.4g}, best {-state.best:.4g}"
        self._progress.advance("train", min(state.step, learn.steps), learn.steps, note)
        # Only at the end of a round: a checkpoint holds no running episodes.
        if (is_due(state.step, state.saved, learn) and ends) or self._is_done():
            state.saved = state.step
            write_checkpoint(
                self._bench.folder, self._groups(learner), self._json(learner), learn.keep
            )

    def _evaluate(self, learner: Learner, number: int) -> Trials:
        """Evaluate the policy; store it if it is the best so far or reaches the target.

        All evaluations use the same initial states: with different ones, the best of many would be
        the one with the easiest states. For the target, new initial states are evaluated too.
        """
        state = self._state
        learn = self._learn
        policy = self.policy(learner)
        weights = policy.state_dict()
        if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
            where = f"step {state.step}"
            raise Diverged(where, "weights are not finite", fix="lower learn.optimizer.lr")
        trials = self._evaluator.run(policy, self._seeds("watched"))
        mean = trials.mean_return
        if learn.target is not None and mean >= learn.target:
            confirmation = self._evaluator.run(policy, self._seeds("again", number))
            state.reached = 0.5 * (mean + confirmation.mean_return) >= learn.target
        if state.reached or -mean < state.best:
            state.best = -mean
            state.best_step = state.step
            state.waited = 0
            self._best = {name: value.clone() for name, value in weights.items()}
        elif state.step >= learn.min_steps:
            state.waited += 1
        return trials

    def policy(self, learner: Learner) -> PolicyModule:
        """Return the current policy in evaluation mode, on the CPU."""
        restart = {name: value.cpu() for name, value in learner.restart_weights().items()}
        actor = actor_of(
            self._learn, self._layout, self._own.wrappers, restart, learner.core().cpu()
        )
        adapters: Any = actor.adapters
        load_estimates(adapters, self._own.wrappers, self._estimates)
        return actor

    def _seeds(self, *what: str | int, count: int | None = None) -> list[int]:
        """Return seeds of initial states that neither the trials nor other evaluations use."""
        trials: Settings = self._own.trials
        random = np.random.default_rng(derive_seed(self._learn.seed, *what))
        # Above the seeds of the trials, which must not select the policy that they measure.
        later = trials.seed + trials.episodes
        count = count or trials.n_eval_episodes
        return [int(integer) for integer in random.integers(later, later + 2**30, count)]

    def _groups(self, learner: Learner) -> Groups:
        tensors, _ = learner.state()
        groups = {f"learner/{name}": values for name, values in tensors.items()}
        groups["best"] = self._best
        groups["weights"] = self.policy(learner).state_dict()
        for index, estimates in enumerate(self._estimates):
            groups[f"estimates/{index}"] = {
                name: torch.as_tensor(value) for name, value in estimates.items()
            }
        return groups

    def _json(self, learner: Learner) -> Json:
        return {**self._state.to_json(), "learner": learner.state()[1]}

    def _restore(self, groups: Groups, state: Json) -> None:
        rest = {name: value for name, value in state.items() if name != "learner"}
        self._state = State.from_json(rest)
        self._best = groups["best"]
        self._estimates = [
            {name: value.numpy() for name, value in groups.get(f"estimates/{index}", {}).items()}
            for index in range(len(self._own.wrappers))
        ]

    def _publishable(self, learner: Learner) -> Trained:
        """Evaluate the best policy on the seeds of the trials, and return the result."""
        state = self._state
        trials = self._own.trials
        policy = self.policy(learner)
        policy.load_state_dict(self._best)
        seeds = [trials.seed + index for index in range(trials.episodes)]
        with closing(Evaluator(self._task, trials.variant)) as evaluator:
            final = evaluator.run(policy.eval(), seeds)
        metrics = {
            f"final/{name.partition('/')[2]}": value
            for name, value in evaluation_metrics(final).items()
        }
        self._tracker.log_metrics(metrics, state.step)
        low, high = final.interval()["return"]
        self._progress.log_message(
            f"final return {final.mean_return:.4g} ({low:.4g} to {high:.4g}) "
            f"over {trials.episodes} episodes on fresh seeds"
        )
        return Trained(
            weights=self._best,
            history=state.history,
            step=state.step,
            best_step=state.best_step,
            best=-state.best,
            monitor=RETURN,
            facts=LearnFacts(
                parameters=sum(value.numel() for value in learner.core().parameters()),
                objective=state.best,
                reached=state.reached,
                final=final.document(),
            ),
            files={STATISTICS: curves_csv(state.history).encode()},
        )


def curves_csv(history: Json) -> str:
    """Format curves as CSV, one line per evaluation; missing values are empty."""
    steps = sorted({step for points in history.values() for step, _ in points})
    curves = [dict(points) for points in history.values()]
    lines = [",".join(["step", *history])]
    for step in steps:
        values = [curve.get(step) for curve in curves]
        lines.append(",".join([str(step), *("" if v is None else f"{v:.6g}" for v in values)]))
    return "\n".join(lines) + "\n"


def evaluation_metrics(trials: Trials) -> dict[str, float]:
    """Return the metrics of an evaluation by name."""
    metrics = {
        "evaluation/return": trials.mean_return,
        **Distribution.of(trials.returns).metrics("episodes/evaluation"),
        "evaluation/length": float(np.mean(trials.lengths)),
    }
    return metrics | ({} if trials.success is None else {"evaluation/success": trials.success})


def derive_seed(seed: int, *what: str | int) -> int:
    """Return the seed of a named random draw, below 2^31."""
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
