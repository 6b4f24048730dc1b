"""Which model a run exports and registers: the trained one, or a reference that is better."""

import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from kinemill.selection import divergence, selected_model
from kinemill.selection.divergence import Runs, free_runs
from kinemill.selection.references import published as published_references
from kinemill.selection.references import stage as references_stage
from kinemill.selection.references.published import load_references
from kinemill.selection.selected_model import select_model, why_no_reference
from kinemill.store import get_or_build, open_ref, to_json_value
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.portfolio import RESULTS, TRAINED
from kinemill.train import load_model
from kinemill.train.summary import ModelSummary
from kinemill.train.warm_start import CURVES, WEIGHTS
from tests.dataset.packing import write_packed
from tests.verify.conftest import pendulum, pendulum_task

__all__ = ["pendulum"]
TASK = pendulum_task()


@pytest.fixture(scope="module")
def published(tmp_path_factory, pendulum):
    """A dataset and its references, fitted once: home, dataset, references."""

    def dataset(folder):
        write_packed(folder, pendulum)
        return {}

    home = Home(tmp_path_factory.mktemp("references") / "home")
    ref = get_or_build(home, "dataset", "pendulum", {}, dataset).ref
    return home, ref, references_stage.run(TASK, home, ref).ref


@pytest.fixture
def chain(home, published):
    """A copy of them."""
    original, *refs = published
    shutil.copytree(original.root, home.root)
    return home, *refs


def trained_model(home, references, factor, **files):
    """Publish the reference `linear_sincos` as a trained model, its weights times a factor."""
    source = load_references(home, references).items["linear_sincos"].folder

    def build(folder):
        shutil.copytree(source, folder, dirs_exist_ok=True)
        weights = load_file(source / WEIGHTS)
        weights = {
            name: value * (factor if name.endswith("head.weight") else 1.0)
            for name, value in weights.items()
        }
        save_file(weights, folder / WEIGHTS)
        for name, text in {CURVES: "{}", **files}.items():
            (folder / name).write_text(text)
        return to_json_value(ModelSummary(parameters=1, monitor="validation/loss", best=1.0))

    return get_or_build(home, "model", "pendulum", {"factor": factor, **files}, build)


def without_sines(monkeypatch):
    """Let the references lack the families that describe a pendulum."""

    def load(home, ref):
        references = load_references(home, ref)
        items = {name: references.items[name] for name in ("persistence", "linear")}
        return replace(references, items=items)

    monkeypatch.setattr(published_references, "load_references", load)


def test_selection_of_a_model_that_beats_all_references_keeps_it(chain, monkeypatch):
    home, dataset, references = chain
    without_sines(monkeypatch)
    trained = trained_model(home, references, 1.0)
    selected, selection = select_model(TASK, home, trained, dataset, references)
    assert selected is trained
    assert selection.selected == TRAINED
    assert "times the score of linear on the validation split" in selection.why
    assert [result.name for result in selection.candidates] == [TRAINED, "linear"]
    assert selection.candidates[0].score < selection.candidates[1].score


def test_selection_of_a_model_that_loses_on_left_out_recordings_publishes_the_best_reference(
    chain, pendulum
):
    """So a trained model that loses to a reference is never the registered version."""
    left_out = {episode.recording for episode in pendulum.of("validation")}
    assert left_out.isdisjoint(episode.recording for episode in pendulum.of("train"))
    home, dataset, references = chain
    trained = trained_model(home, references, 0.5)
    selected, selection = select_model(TASK, home, trained, dataset, references)
    assert selection.selected in {"linear_sincos", "physics"}
    summary = ModelSummary.of(selected)
    assert summary.reference == selection.selected
    assert summary.trained.digest == trained.ref.digest
    folder = open_ref(home, selected.ref)
    assert (folder / CURVES).is_file()
    expected = load_references(home, references).items[selection.selected].facts.history
    assert load_model(folder).history == expected
    again, repeated = select_model(TASK, home, trained, dataset, references)
    assert (again.ref, again.cached, repeated) == (selected.ref, True, selection)


def test_selection_of_a_portfolio_only_checks_for_divergence(chain, monkeypatch):
    """Its winner was measured by cross-validation, on more rows than the validation split has."""
    home, dataset, references = chain
    trained = trained_model(home, references, 0.5, **{RESULTS: "[]"})
    monkeypatch.setattr(selected_model, "_compare", lambda *_: ([], "compared"))
    assert select_model(TASK, home, trained, dataset, references)[1].why == "compared"
    results = '[{"name": "a", "type": "mlp", "round": 1}]'
    trained = trained_model(home, references, 0.5, **{RESULTS: results})
    selected, selection = select_model(TASK, home, trained, dataset, references)
    assert selected is trained
    assert "portfolio" in selection.why


def test_selection_of_a_diverging_model_takes_the_next_candidate(chain, monkeypatch):
    home, dataset, references = chain
    without_sines(monkeypatch)
    trained = trained_model(home, references, 1.0)
    measured = iter([Runs(9, ("run3",)), Runs(9)])
    monkeypatch.setattr(divergence, "free_runs", lambda *_: next(measured))
    _, selection = select_model(TASK, home, trained, dataset, references)
    assert selection.selected == "linear"
    expected = "does not diverge: trained diverges on 1 of 9 recorded episodes"
    assert selection.why.endswith(expected)


def test_selection_without_allowed_references_keeps_the_trained_model(chain):
    home, dataset, references = chain
    promote = TASK.promote.model_copy(update={"allow_reference": False})
    task = TASK.model_copy(update={"promote": promote})
    trained = trained_model(home, references, 0.5)
    selected, selection = select_model(task, home, trained, dataset, references)
    assert selected is trained
    assert selection.why == "promote.allow_reference is false"


def test_free_runs_of_a_model_that_grows_name_each_episode(pendulum):
    class Growing:
        history = 1

        def rollout(self, states, _past, actions):
            steps = range(actions.shape[1])
            return states[:, -1:] + 1e4 * (actions[:, :, :1] * 0 + 1) * [[[s] for s in steps]]

    class Still(Growing):
        def rollout(self, states, _past, actions):
            return states[:, -1:].repeat(actions.shape[1], axis=1)

    runs = free_runs(Growing(), pendulum)
    assert len(runs.diverged) == runs.episodes == 11
    assert free_runs(Still(), pendulum) == Runs(11)


def test_free_runs_of_many_episodes_leave_out_none_of_the_test_split(pendulum):
    class Still:
        history = 1

        def rollout(self, states, _past, actions):
            return states[:, -1:].repeat(actions.shape[1], axis=1)

    (test,) = [episode for episode in pendulum.episodes if episode.split == "test"][:1]
    tests = [replace(test, id=f"t{number}") for number in range(3)]
    trained = [replace(pendulum.of("train")[0], id=f"e{number}") for number in range(100)]
    many = replace(pendulum, episodes=[*trained, *tests])
    assert divergence.simulated_episodes(many, 1)[:3] == tests
    assert free_runs(Still(), many).episodes == 3 + 34  # every third one of training


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, ""),
        ({"promote.allow_reference": False}, "promote.allow_reference is false"),
        ({"learn.ensemble": 3}, "a reference does not support learn.ensemble: 3"),
    ],
)
def test_why_no_reference_names_the_setting(tmp_path, settings, why):
    assert why_no_reference(load_task("cart_pole", settings)) == why
