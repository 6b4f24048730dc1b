"""Which model a run goes on with: the trained one, or the best reference, and why."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kinemill.augment import augment
from kinemill.dataset import PackedDataset, PackedEpisode, create_values, write_description
from kinemill.export import export
from kinemill.spec import Task
from kinemill.spec.ports import Silence
from kinemill.store import once, open_ref, read_json
from kinemill.train import find_model, load_model, train
from kinemill.train.start import DESCRIPTION, WEIGHTS
from kinemill.verify.candidates import decide
from kinemill.verify.comparison import Comparison
from kinemill.verify.references import build_references
from kinemill.verify.selection import load_selection, select

DT, NAME = 0.02, "mass"
QUIET = (Silence(), Silence())
CUBIC = {"type": "polynomial", "degree": 3}
STILL = {"type": "adam", "lr": 1e-9}  # the closed-form fit is what is learned


def a_task(promote=None, **learn) -> Task:
    return Task.model_validate(
        {
            "task": NAME,
            "dt": DT,
            "channels": {
                "position": {"role": "state", "unit": "m"},
                "velocity": {"role": "state", "unit": "m/s", "derivative_of": "position"},
                "force": {"role": "action", "unit": "N"},
            },
            "learn": {
                "type": "dynamics",
                "model": {"type": "mlp", "hidden_sizes": [4]},
                "history": 2,
                "horizon": 4,
                "steps": 2,
                "batch_size": 32,
                "eval_every": 1,
                **learn,
            },
            "verify": {"horizon": 10, "stride": 5},
            "promote": promote or {},
        }
    )


def moved(rows: int, seed: int, cubic: float, noise: float) -> np.ndarray:
    """x'' = -4 x - cubic x³ - 0.4 x' + u, semi-implicit Euler: (rows, 3) m, m/s, N, with noise."""
    random = np.random.default_rng(seed)
    x, v, out = random.uniform(-1, 1), 0.0, []
    for force in np.repeat(random.uniform(-6, 6, rows // 20 + 1), 20)[:rows]:
        out.append((x, v, force))
        v += DT * (-4 * x - cubic * x**3 - 0.4 * v + force)
        x += DT * v
    found = np.array(out)
    found[:, :2] += noise * random.standard_normal((rows, 2))
    return found


def packed(cubic: float, noise: float = 1e-3) -> PackedDataset:
    runs = [("train", 6), ("validation", 8), ("test", 2)]
    parts, episodes, start = [], [], 0
    for split, count in runs:
        for index in range(count):
            rows, name = moved(250, len(episodes), cubic, noise), f"{split}{index}"
            parts.append(rows)
            stop = start + len(rows)
            episodes.append(PackedEpisode(name, name, f"{name}.csv", split, start, stop))
            start = stop
    train_rows = np.concatenate(parts[:6])
    return PackedDataset(
        task=NAME,
        dt=DT,
        states=["position", "velocity"],
        actions=["force"],
        units={"position": "m", "velocity": "m/s", "force": "N"},
        angles=[],
        episodes=episodes,
        values=np.concatenate(parts).astype(np.float32),
        mean=train_rows.mean(0),
        std=train_rows.std(0),
        delta_std=np.concatenate([np.diff(run[:, :2], axis=0) for run in parts[:6]]).std(0),
    )


def published(home, data):
    def build(folder):
        values = create_values(folder, *data.values.shape)
        values[:] = data.values
        values.flush()
        write_description(folder, data)
        return {}

    return once(home, "dataset", NAME, {"of": "tests"}, build).ref


class Made:
    """A dataset, its references and a trained model in one home."""

    def __init__(self, home, task, data):
        self.home, self.task = home, task
        self.dataset = published(home, data)
        self.references = build_references(task, home, self.dataset).ref
        self.training_set = augment(task, home, self.dataset).ref
        self.trained = train(task, home, self.dataset, self.training_set, QUIET).ref

    def select(self, task=None, model=None):
        """Select, and return the outcome and what it states."""
        given = (model or self.trained, self.dataset, self.references)
        outcome = select(task or self.task, self.home, *given)
        return outcome, load_selection(self.home, outcome.ref)


def test_on_linear_data_the_reference_is_chosen_and_the_trained_model_is_kept(home):
    made = Made(home, a_task(), packed(0.0))
    outcome, found = made.select()
    assert found.reference in ("linear", "physics")
    assert found.trained == made.trained
    assert found.model != made.trained
    about = read_json(open_ref(home, found.model) / DESCRIPTION)
    assert about["reference"] == found.reference
    assert open_ref(home, found.trained).is_dir()
    assert made.select()[0] == replace(outcome, known=True)
    assert "significantly worse" in found.why
    assert found.document["compared_with"] == found.reference
    names = {(row["steps"], row["of"]) for row in found.rows()}
    assert ("10", "nrmse") in names
    assert ("free_run", "velocity") in names


def test_a_chosen_reference_is_exported_like_any_trained_model(home):
    made = Made(home, a_task(), packed(0.0))
    _, found = made.select()
    exported = export(made.task, home, found.model, made.dataset)
    assert exported.summary["bytes"]["rollout.onnx"] > 0
    assert load_model(open_ref(home, found.model)).history >= 1


def test_on_nonlinear_data_a_model_that_fits_it_is_kept(home):
    made = Made(home, a_task(model=CUBIC, steps=1, optimizer=STILL), packed(30.0, noise=1e-6))
    _, found = made.select()
    assert found.reference is None, found.why
    assert found.model == found.trained == made.trained
    assert "times the error of" in found.why


@pytest.mark.parametrize("spoil", [lambda w: w * math.nan, lambda w: w * 1e4])
def test_a_model_that_is_nan_or_runs_away_loses(home, spoil):
    made = Made(home, a_task(model=CUBIC, steps=1, optimizer=STILL), packed(30.0))

    def build(folder):
        source = open_ref(home, made.trained)
        weights = load_file(source / WEIGHTS)
        spoilt = {n: spoil(w) if "network" in n else w for n, w in weights.items()}
        save_file(spoilt, folder / WEIGHTS)
        (folder / DESCRIPTION).write_bytes((source / DESCRIPTION).read_bytes())
        return {}

    bad = once(home, "model", NAME, {"spoilt": str(spoil(torch.ones(1)))}, build).ref
    _, found = made.select(model=bad)
    assert found.reference is not None
    assert "diverges" in found.why or "significantly worse" in found.why
    assert found.trained == bad


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"learn.ensemble": 2}, "a reference cannot give learn.ensemble: 2"),
        ({"learn.loss": "gaussian"}, "a reference cannot give learn.loss: gaussian"),
        ({"promote.allow_reference": False}, "promote.allow_reference is false"),
    ],
)
def test_what_a_reference_cannot_give_is_not_replaced_by_one(home, changed, why):
    made = Made(home, a_task(), packed(0.0))
    task = made.task
    for key, value in changed.items():
        part, name = key.split(".")
        own = getattr(task, part).model_copy(update={name: value})
        task = task.model_copy(update={part: own})
    _, found = made.select(task)
    assert (found.reference, found.why) == (None, why)
    assert found.model == made.trained


def test_another_margin_chooses_anew_but_trains_nothing_and_gives_the_same_reference(home):
    made = Made(home, a_task(), packed(0.0))
    strict = a_task(promote={"margin": 0.3})
    known = find_model(strict, home, made.dataset, made.training_set)
    assert known is not None
    assert known.ref == made.trained
    first, second = made.select()[1], made.select(strict)[1]
    assert first.document["comparison"] != second.document["comparison"]  # p-values have the margin
    assert first.model == second.model


def test_horizons_that_the_task_names_are_measured(home):
    made = Made(home, a_task(promote={"horizons": [7, "free_run"]}), packed(0.0))
    _, found = made.select()
    assert {row["steps"] for row in found.rows()} == {"7", "10", "free_run"}


def test_validation_without_one_long_enough_episode_leaves_the_trained_model(home):
    data = packed(0.0)
    short = [
        replace(one, stop=one.start + 8) if one.split == "validation" else one
        for one in data.episodes
    ]
    made = Made(home, a_task(), replace(data, episodes=short))
    _, found = made.select()
    assert found.reference is None
    assert "for want of validation data" in found.why


def compared(ratio, low=math.nan, high=math.nan, p_worse=math.nan, **others):
    """Return comparisons at every horizon with the same numbers, but for those named."""
    one = Comparison(
        error=0.1 * ratio,
        reference=0.1,
        ratio=ratio,
        low=low,
        high=high,
        effective_n=12.0,
        unit="episodes",
        detectable=0.1,
        p_worse=p_worse,
    )
    found = {key: {"nrmse": one, "position": one} for key in ("1", "3", "10", "free_run")}
    for place, changed in others.items():
        horizon, channel = place.split("__")
        found[horizon.removeprefix("h")][channel] = changed
    return found


def test_better_means_by_the_margin_and_surely():
    promote = a_task().promote
    sure = compared(0.9, 0.85, 0.95, 1.0)
    assert decide(sure, promote, 10, "linear").trained
    unsure = decide(compared(0.9, 0.7, 1.1, 0.8), promote, 10, "linear")
    assert not unsure.trained
    assert "0.9 times the error of linear 10 steps ahead (95 % interval 0.7 to 1.1)" in unsure.why
    assert not decide(compared(0.99, 0.985, 0.995, 1.0), promote, 10, "linear").trained
    wide = promote.model_copy(update={"interval": False})
    assert decide(compared(0.9, 0.7, 1.1, 0.8), wide, 10, "linear").trained


def test_without_an_interval_the_trained_model_has_to_be_twice_as_good():
    promote = a_task().promote
    assert decide(compared(0.4), promote, 10, "linear").trained
    found = decide(compared(0.6), promote, 10, "linear")
    assert not found.trained
    assert "too few validation episodes" in found.why


def test_one_horizon_or_channel_where_it_is_worse_decides_unless_it_does_not_count():
    promote = a_task().promote
    worse = compared(1.4, 1.3, 1.5, 1e-9)["1"]["nrmse"]
    found = compared(0.5, 0.4, 0.6, 1.0, h1__position=worse)
    said = decide(found, promote, 10, "linear")
    assert not said.trained
    assert said.why == (
        "the trained model is significantly worse than linear: 1.4 times its error of position "
        "1 step ahead; it has 0.5 times the error of linear 10 steps ahead (95 % interval 0.4 to "
        "0.6): promote.horizons and promote.channels say what counts"
    )
    later = promote.model_copy(update={"horizons": [10, "free_run"]})
    assert decide(found, later, 10, "linear").trained


def test_a_model_that_diverges_at_the_horizon_loses_and_a_reference_that_does_cannot_win():
    promote = a_task().promote
    lost = compared(1.0)["10"]["nrmse"]
    runaway = replace(lost, error=math.inf, ratio=math.inf)
    found = decide(compared(0.5, 0.4, 0.6, h10__nrmse=runaway), promote, 10, "linear")
    assert (found.trained, found.why) == (
        False,
        "the trained model diverges within 10 steps, linear does not",
    )
    gone = replace(lost, reference=math.inf, ratio=math.nan)
    assert decide(compared(0.5, 0.4, 0.6, h10__nrmse=gone), promote, 10, "linear").trained


def test_the_document_is_plain_json(home):
    made = Made(home, a_task(), packed(0.0))
    outcome, _ = made.select()
    text = (home.root / outcome.ref.path / "selection.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["format"] == 1
