"""The gate for policies: returns from the same starts decide."""

import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks._balance import DT
from benchmarks._policies import Chooser, Gains, Looking, Sampler, published
from kinemill import runtime
from kinemill.errors import BadInput, TaskError
from kinemill.export.bundle import assemble
from kinemill.export.policy_cases import random_inputs
from kinemill.policies import gate_measurements
from kinemill.policies.environments.card import make_card
from kinemill.policies.gate_measurements import PolicyMeasurements
from kinemill.register import Produced, approve, rollback, stage
from kinemill.register.comparison_page import comparison_page
from kinemill.register.gate.evaluation import evaluate
from kinemill.register.gate.inputs import ChampionComparison, Findings
from kinemill.register.gate.metric import claims
from kinemill.register.gate.rules import Champion, GateInputs, Measured, Paired, RowOverlap
from kinemill.register.lookup import list_versions, show
from kinemill.register.model_version import save
from kinemill.register.run_summary import RunDocument
from kinemill.register.task_page import task_page
from kinemill.register.version_comparison import compare
from kinemill.register.version_page import version_page
from kinemill.register.versions import find_version, versions_of
from kinemill.store import ArtifactRef, get_or_build, publish_document, to_json_value
from kinemill.store.home import Home
from kinemill.task import load_task, make_task
from kinemill.tracking import open_tracking
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy_runner import as_policy
from kinemill.verify.check_results import CallLatency, CheckSummary
from kinemill.verify.comparison_sections import HEAD
from kinemill.verify.document import Verification
from kinemill.verify.learning_curves import HEADING
from kinemill.verify.results import Metrics, PolicyGain, WindowCounts
from tests.conftest import load_task_in
from tests.register.conftest import trained, without_part
from tests.verify.test_held_out import Counting

pytestmark = pytest.mark.ci

EPISODES = 8
TASK = {
    "task": "cart",
    "dt": DT,
    "learn": {"type": "reinforcement", "algorithm": {"type": "ppo"}},
    "environment": {
        "type": "python",
        "path": "benchmarks._balance:Balance",
        "steps": 60,
        "trials": {"episodes": EPISODES},
    },
}
HOLDS, WEAK, WEAKER = 4.0, 0.8, 0.3  # gains: the last one lets the stick fall


@pytest.fixture(scope="session")
def by_gain(tmp_path_factory):
    """Exported policies by gain."""
    return {
        gain: published(Gains(gain), tmp_path_factory.mktemp("gain"))
        for gain in (HOLDS, WEAK, WEAKER)
    }


@dataclass(frozen=True)
class Claims:
    """Evidence with the returns of a test; every policy can be served."""

    challenger: float
    champion: float = 30.0
    interval: tuple[float, float] = (5.0, 20.0)
    episodes: int = EPISODES
    served: tuple[bool, str] = (True, "answered")

    def measure(self, challenger):
        brought = self.challenger
        return Findings(
            measured=Measured(brought, {"return": brought}, self.episodes, self.episodes)
        )

    def compare(self, challenger, champion, trained_on=None):
        theirs = Measured(self.champion, {"return": self.champion}, EPISODES, EPISODES)
        pair = Paired(self.challenger, self.champion, interval=self.interval)
        own = self.measure(challenger).measured
        return ChampionComparison(challenger=own, measured=theirs, paired=pair)

    def serve(self, folder):
        return self.served

    def age(self):
        return 60.0

    def measure_overlap(self):
        return RowOverlap(0.0, 0.0, 0.0)


def verification(expected_return, *, parity=True, without=()):
    document = Verification(
        form="policy",
        passed=parity,
        metrics=Metrics(
            returns={
                "model": math.nan if expected_return is None else expected_return,
                "random": 20.0,
            },
            success={"model": 1.0, "random": 0.1},
        ),
        summary=CheckSummary(parity, parity, None, CallLatency(0.1, 0.2)),
        gains={"random": PolicyGain((5.0, 30.0), (0.5, 1.0))},
        windows=WindowCounts(episodes=EPISODES),
    )
    return without_part(document, *without)


@dataclass
class Chain:
    home: Home
    task: object
    by_gain: dict

    def register(self, expected_return, gain=HOLDS, *, evidence=None, task=None, **changes):
        actual = verification(expected_return, **changes)

        def verified(folder):
            publish_document(folder / "verification.json", actual)
            (folder / "report.html").write_text("<html><body></body></html>")
            return {}

        def exported(folder):
            shutil.copytree(self.by_gain[gain], folder, dirs_exist_ok=True)
            return {}

        name = self.task.name
        model = get_or_build(self.home, "model", name, {"gain": gain}, lambda _: trained()).ref
        onnx_model = get_or_build(self.home, "onnx_model", name, {"gain": gain}, exported).ref
        inputs = {"gain": gain, "found": to_json_value(actual)}
        verdict = get_or_build(self.home, "verification", name, inputs, verified).ref
        card = make_card(self.task, self.home).ref
        produced = Produced(verdict, onnx_model, model, card)
        return stage.run(task or self.task, self.home, produced, evidence=evidence)


@pytest.fixture
def task(tmp_path):
    return load_task_in(tmp_path, TASK)


@pytest.fixture
def chain(tracked_home, task, by_gain):
    return Chain(tracked_home, task, by_gain)


def refused(actual):
    return [line.rule for line in actual.gate if not line.passed]


@pytest.fixture(scope="session")
def once_crowned(tmp_path_factory, empty_database, by_gain):
    """A home with a champion whose return is 30."""
    folder = tmp_path_factory.mktemp("champion_home")
    (folder / "cart.yaml").write_text(yaml.safe_dump(TASK))
    home = Home(folder / "home")
    home.root.mkdir()
    shutil.copy(empty_database, home.mlflow_db)
    chain = Chain(home, load_task(folder / "cart.yaml"), by_gain)
    registration = chain.register(30.0, WEAK, evidence=Claims(30.0))
    assert (registration.status, refused(registration)) == ("done", [])
    return home.root


@pytest.fixture
def with_champion(chain, once_crowned):
    shutil.copytree(once_crowned, chain.home.root, dirs_exist_ok=True)
    return chain


def test_a_policy_that_brings_more_becomes_champion_and_acts_by_its_address(with_champion):
    registration = with_champion.register(50.0, evidence=Claims(50.0))
    assert (registration.status, registration.alias) == ("done", "champion")
    lines = {line.rule: line for line in registration.gate}
    assert lines["beats_champion"].expected == (
        ">= 30.6 (return of champion version 1: 30, plus 2 %)"
    )
    assert lines["interval_champion"].value == "5 to 20"
    assert {"beats_random", "interval_random", "measured", "interface", "serves"} <= set(lines)
    policy = runtime.load("models:/cart@champion")
    assert policy.act([0.0, 0.05, 0.0]) == pytest.approx([3.0], abs=1e-5)
    expected = {"model": 50.0, "random": 20.0}
    assert list_versions("cart", with_champion.home).versions[0].metrics.returns == expected
    assert show("cart", with_champion.home).decision == "champion"


def test_plain_mlflow_loads_a_champion_and_its_answers_are_those_of_act(with_champion):
    """A caller passes the carry in and out, zeros first, as in the model's signature."""
    import mlflow.pyfunc

    with open_tracking(with_champion.home).as_default():
        model = mlflow.pyfunc.load_model("models:/cart@champion")
    inputs = {spec.name: (spec.type, spec.shape) for spec in model.metadata.signature.inputs}
    expected = {"observation": (-1, 3), "carry_0": (-1, 3), "carry_1": (-1, 1)}
    assert {name: shape for name, (_, shape) in inputs.items()} == expected
    policy = runtime.load("models:/cart@champion")
    carry = {name: np.zeros((1, shape[1]), kind) for name, (kind, shape) in inputs.items()}
    for observed in np.float32([[0.1, 0.05, 0.0], [0.1, -0.02, 0.3], [0.0, 0.04, -0.2]]):
        result = model.predict({**carry, "observation": observed[None]})
        assert result["action"][0] == pytest.approx(policy.act(observed), abs=1e-6)
        carry = {name: result[f"next_{name}"] for name in ("carry_0", "carry_1")}
    assert result["next_carry_1"] == 3.0  # observations that it remembers


@pytest.mark.parametrize("kind", [Chooser, Sampler, Looking])
def test_plain_mlflow_takes_pictures_texts_masks_and_seeds(policy_folders, tmp_path, kind):
    """MLflow signatures of each kind of observation tensor, from the files of a version."""
    import mlflow.pyfunc

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    assemble(bundle, policy_folders[kind])
    save(bundle, tmp_path / "model", "run", "m-1")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    policy = runtime.load(bundle)
    decision = {name: part[:, 0] for name, part in random_inputs(policy.interface, 4, 1).items()}
    expected, _ = policy.step(decision, policy.initial_carry(4))
    assert model.predict(decision)["action"] == pytest.approx(expected, abs=1e-6)


TRICKS = {
    "its return is NaN": ({"evidence": Claims(math.nan)}, "beats_champion"),
    "its return is null in the verification": ({"expected_return": None}, "beats_random"),
    "the return is missing": ({"without": ("metrics", "return")}, "beats_random"),
    "what chance brings is missing": ({"without": ("metrics", "return", "random")}, "beats_random"),
    "no interval against chance": ({"without": ("gains", "random")}, "interval_random"),
    "it is as good as the champion": ({"evidence": Claims(50.0, 50.0)}, "beats_champion"),
    "it won by chance": ({"evidence": Claims(50.0, interval=(-1.0, 9.0))}, "interval_champion"),
    "the difference is not known": (
        {"evidence": Claims(50.0, interval=(math.nan, math.nan))},
        "interval_champion",
    ),
    "it was verified on fewer episodes": ({"evidence": Claims(50.0, episodes=9)}, "measured"),
    "it brings less than verified": ({"evidence": Claims(45.0)}, "measured"),
    "the champion was not measured": ({"evidence": Claims(50.0, math.nan)}, "beats_champion"),
    "it does not serve": (
        {"evidence": Claims(50.0, served=(False, "ended with code -8"))},
        "serves",
    ),
    "it is out of parity": ({"parity": False}, "parity"),
}


def evaluated(task, expected_return, evidence, **changes):
    """Decide like `decide`, but without a registry; return the failed lines."""
    comparison, document = evidence.compare(None, None), verification(expected_return, **changes)
    inputs = GateInputs(
        task,
        document,
        champion=Champion(1, **vars(comparison)),
        measured=evidence.measure(None).measured,
        references=claims(task, document),
        size=1e4,
        age=evidence.age(),
        served=evidence.served,
    )
    return [line.rule for line in evaluate(inputs) if not line.passed]


@pytest.mark.parametrize("trick", list(TRICKS))
def test_no_trick_makes_a_policy_champion(task, trick):
    how, line = TRICKS[trick]
    assert evaluated(task, 50.0, Claims(50.0)) == []
    assert line in evaluated(task, **({"expected_return": 50.0, "evidence": Claims(50.0)} | how))


def test_success_wants_no_more_than_all_of_it(task):
    task = load_task(task.path, {"promote.metric": "success", "promote.interval": False})
    assert evaluated(task, 1.0, Claims(1.0, 1.0)) == ["beats_champion"]
    assert evaluated(task, 1.0, Claims(1.0, 0.99)) == []


def lines_of(task, candidate, champion, low=1.0):
    comparison = Claims(candidate, champion, (low, 20.0)).compare(None, None)
    champion = Champion(1, **vars(comparison))
    inputs = GateInputs(task, verification(candidate), champion=champion)
    return {line.rule: line for line in evaluate(inputs)}


def test_a_champion_near_the_ceiling_of_returns_can_be_beaten_and_one_at_it_is_kept(task):
    """495 and 2 % are 504.9, which no policy can reach if 500 is the maximum."""
    assert not lines_of(task, 500.0, 495.0)["beats_champion"].passed
    bounded = load_task(task.path, {"promote.ceiling": 500.0})
    better = lines_of(bounded, 500.0, 495.0)["beats_champion"]
    assert better.passed
    assert better.expected == ">= 500 (return of champion version 1: 495, plus 2 %)"
    assert not lines_of(bounded, 499.0, 495.0)["beats_champion"].passed
    assert not lines_of(bounded, 500.0, 495.0, low=-1.0)["interval_champion"].passed
    equal = lines_of(bounded, 500.0, 500.0)["beats_champion"]
    assert not equal.passed
    assert equal.value == (
        "500, not better: equal to the return of champion version 1, no measurable gain"
    )
    assert equal.expected == "> 500 (return of champion version 1: 500, the maximum, plus 2 %)"


def test_a_ceiling_that_a_champion_is_above_is_none(task):
    wrong = load_task(task.path, {"promote.ceiling": 10.0})
    assert not lines_of(wrong, 30.5, 30.0)["beats_champion"].passed
    assert lines_of(wrong, 30.6, 30.0)["beats_champion"].passed


def test_a_ceiling_is_of_returns(task):
    message = r"promote\.ceiling: applies to returns, which are not compared"
    with pytest.raises(TaskError, match=message):
        load_task(task.path, {"promote.ceiling": 1.0, "promote.metric": "success"})


def test_another_interface_is_told(with_champion, tmp_path):
    class Slower(Gains):
        def __init__(self):
            super().__init__()
            self.layout = replace(self.layout, dt=0.05, units=self.layout.units | {"force": "kN"})

    with_champion.by_gain["slower"] = published(Slower(), tmp_path / "slower")
    registration = with_champion.register(50.0, "slower", evidence=Claims(50.0))
    (line,) = [item for item in registration.gate if item.rule == "interface"]
    assert not line.passed
    assert "dt of the champion 0.02, of the challenger 0.05" in line.value
    assert "force of the champion in N, of the challenger in kN" in line.value


def test_the_gate_tries_policies_itself_from_the_same_starts(chain, by_gain):
    test = PolicyMeasurements(chain.task, chain.home, make_card(chain.task, chain.home).ref)
    holds, weak, weaker = (runtime.load(by_gain[gain]) for gain in (HOLDS, WEAK, WEAKER))
    candidate = test.measure(holds).measured
    assert (candidate.error, candidate.windows, candidate.episodes) == (60.0, EPISODES, EPISODES)
    assert candidate.channels == {"return": 60.0, "success": 1.0}
    comparison = test.compare(weak, weaker)
    difference = comparison.challenger.error - comparison.measured.error
    assert 0.0 < comparison.paired.interval[0] <= difference
    # from the same starts: a policy differs from itself by nothing, at any start
    assert test.compare(weak, runtime.load(by_gain[WEAK])).paired.interval == (0.0, 0.0)
    assert test.age() < 600.0


@pytest.fixture
def imitation(chain, pendulum, monkeypatch):
    """Measurements on the two test episodes of the pendulum, and two policies with 0 and 1 N·m."""
    task = make_task(
        {
            "task": "arm",
            "dt": pendulum.dt,
            "channels": {
                name: {"role": "action" if name in pendulum.actions else "state", "unit": unit}
                for name, unit in pendulum.units.items()
            },
            "learn": {"type": "imitation", "model": {"type": "mlp"}},
        }
    )
    measurements = PolicyMeasurements(task, chain.home, ArtifactRef("dataset", "d"))
    data = Demonstrations(pendulum)
    monkeypatch.setattr(Demonstrations, "open", lambda home, ref: data)
    return measurements, as_policy(Counting(0.0)), as_policy(Counting(0.1))


@pytest.mark.parametrize("count", [0, 1])
def test_imitation_champion_is_compared_without_demonstrations_that_it_was_trained_on(
    imitation, pendulum, monkeypatch, count
):
    measurements, challenger, champion = imitation
    episodes = pendulum.of("test")
    seen = frozenset(episode.id for episode in episodes[:count])
    monkeypatch.setattr(gate_measurements, "seen_episodes", lambda dataset, trained_on: seen)
    comparison = measurements.compare(challenger, champion, Path("old"))
    torque = pendulum.values[:, 2].astype(np.float64)
    rows = np.concatenate([np.arange(item.start + 1, item.stop) for item in episodes[count:]])
    expected = np.sqrt((torque[rows] ** 2).mean())
    assert comparison.challenger.channels["torque"] == pytest.approx(expected)
    assert comparison.measured.windows == len(rows)
    assert comparison.left_out == count


def test_imitation_champion_that_was_trained_on_all_test_demonstrations_is_not_compared(
    imitation, pendulum, monkeypatch
):
    measurements, challenger, champion = imitation
    seen = frozenset(episode.id for episode in pendulum.of("test"))
    monkeypatch.setattr(gate_measurements, "seen_episodes", lambda dataset, trained_on: seen)
    with pytest.raises(BadInput, match="was trained on all test episodes of the challenger"):
        measurements.compare(challenger, champion, Path("old"))


def test_a_version_made_with_other_trials_is_approved_by_those_it_was_made_with(chain):
    """The version was made with `--set environment.trials.episodes=8`; the file has 4."""
    waits = load_task(chain.task.path, {"promote.approval": True})
    made = chain.register(60.0, evidence=Claims(60.0), task=waits)
    assert made.decision == "waiting"
    file = load_task(chain.task.path, {"environment.trials.episodes": 4})
    decision = approve(file, chain.home, ":1")
    lines = {line.rule: line for line in decision.gate}
    assert lines["measured"].value == f"60 over {EPISODES} episodes"
    assert (decision.decision, decision.provisional) == ("champion", "")


def test_two_versions_are_compared_from_the_same_starts_and_rolled_back(with_champion):
    with_champion.register(50.0, WEAKER, evidence=Claims(50.0))  # a champion by a false witness
    document = compare(with_champion.task, with_champion.home, ":1", "@champion")
    assert document.returns.a == 60.0
    assert document.returns.difference == document.returns.b - 60.0 < 0.0
    assert (document.better, len(document.episodes)) == ("a", EPISODES)
    assert document.success.a == 1.0
    assert json.loads(json.dumps(to_json_value(document), allow_nan=False))
    page = comparison_page(document)
    assert "version 1 is better" in page
    assert "seed 1000003" in page
    moved = rollback(with_champion.task, with_champion.home)
    assert (moved.version, moved.differs) == (1, [])
    assert runtime.load("models:/cart@champion").act([0.0, 0.05, 0.0]) == pytest.approx([0.6])


def test_the_pages_of_a_version_and_a_task_say_what_it_brings(with_champion):
    tracking = open_tracking(with_champion.home)
    page = version_page(with_champion.home, find_version(tracking.home, "cart", ":1"))
    assert "What it brings" not in page  # that is the report's, which this bundle has none of
    assert "Random actions have a mean return of" in page
    assert "policy.onnx" in page
    listed = task_page("cart", versions_of(tracking.home, "cart"))
    assert "Return" in listed


def test_the_page_of_a_version_shows_its_training_once(with_champion):
    version = find_version(with_champion.home, "cart", ":1")
    (model,) = (with_champion.home.store / "model" / "cart").glob("*/")
    (model / "history.json").write_text(json.dumps({"evaluation/return": [[1, 20.0], [2, 30.0]]}))
    (model / "summary.json").write_text(json.dumps(trained(best_step=2)))
    assert version_page(with_champion.home, version).count(HEADING) == 1
    report = with_champion.home.root / version.tags["kinemill.bundle"] / "report.html"
    report.write_text(f"{HEAD[1]}<p>It brings 30.</p>{HEADING}<footer></footer>")
    page = version_page(with_champion.home, version)
    assert page.index("It brings 30.") < page.index(HEADING)
    assert page.count(HEADING) == 1


def test_the_run_document_says_what_model_champion_and_chance_bring(with_champion):
    registration = with_champion.register(50.0, evidence=Claims(50.0))
    document = RunDocument("cart").with_results(verification(50.0), registration)
    metrics = to_json_value(document)["metrics"]
    assert metrics["return"] == {"model": 50.0, "champion": 30.0, "random": 20.0}
    assert metrics["success"] == {"model": 1.0, "champion": None, "random": 0.1}


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"promote.metric": "test/angle"}, "test/angle applies to states; expected action_rmse"),
        ({"promote.metric": "returns"}, "promote.metric"),
    ],
)
def test_a_metric_that_policies_do_not_have_is_refused(task, requests, message):
    with pytest.raises(TaskError, match=message):
        load_task(task.path, requests)
