"""Datasets that no model can be trained on are refused, and nothing is published."""

import pytest

from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from tests.dataset.conftest import make_task, publish, spin

CONTENTS = [spin("val.csv", rows=30), spin("a.csv"), spin("b.csv"), spin("test.csv", rows=40)]


def dynamics(history: int, horizon: int, steps: int = 1):
    learn = {"type": "dynamics", "model": {"type": "mlp"}, "history": history, "horizon": horizon}
    return make_task().model_validate(
        {**make_task().model_dump(by_alias=True), "learn": learn, "verify": {"horizon": steps}}
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((40, 20), r"train split: no episode is long enough: (a|b)\.csv 50 rows, (a|b)\.csv 50 rows"
         r"; expected an episode of at least 60 rows \(learn\.history 40 \+ learn\.horizon 20\); "
         r"lower learn\.history or learn\.horizon, or add longer logs"),
        ((21, 10), r"validation split: no episode is long enough: val\.csv 30 rows; expected an "
         r"episode of at least 31 rows.*choose a longer recording with dataset\.validation"),
        ((20, 10, 21), r"test split: .* test\.csv 40 rows; expected an episode of at least 41 rows "
         r"\(learn\.history 20 \+ verify\.horizon 21\); lower learn\.history or verify\.horizon"),
    ],
)  # fmt: skip
def test_episodes_shorter_than_a_window_are_named_and_nothing_is_published(home, settings, said):
    episodes = publish(home, CONTENTS)
    with pytest.raises(BadInput, match=said):
        dataset_stage.run(dynamics(*settings), home, episodes)
    assert not (home.store / "dataset").exists()


def test_a_published_dataset_is_checked_again_for_other_settings(home):
    episodes = publish(home, CONTENTS)
    assert not dataset_stage.run(dynamics(20, 10, 20), home, episodes).cached
    with pytest.raises(BadInput, match="validation split: no episode is long enough"):
        dataset_stage.run(dynamics(25, 10), home, episodes)
