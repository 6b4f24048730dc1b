"""Image, text, observation and reward channels: what they may say, and who hears of them."""

import pytest

TASK = """
task: arm
dt: 0.05
channels:
  angle: {role: state, kind: angle, unit: rad}
  torque: {role: action, unit: N*m}
  reward: {role: reward, unit: "1"}
  force: {role: observation, unit: N}
  camera: {role: image, shape: [96, 96, 3]}
  said: {role: text, source: "@language"}
learn: {type: dynamics, model: {type: mlp}}
"""


def test_models_see_numbers_and_tracks_see_all(load):
    task = load(text=TASK)
    assert task.columns == ["angle", "torque"]
    assert task.numbers == ["angle", "torque", "reward", "force"]
    assert task.media == ["camera", "said"]
    assert task.recorded == [*task.numbers, *task.media]
    assert [task.method(name) for name in task.recorded] == [
        "linear", "linear", "hold", "linear", "hold", "hold",
    ]  # fmt: skip
    assert task.channels["camera"].shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[96, 96, 3]", "[96, 96, 1]", "channels.camera.shape"),
        ("shape: [96, 96, 3]", "unit: m", "has no unit, no kind and no delay"),
        ("shape: [96, 96, 3]", "limits: [0, 1]", "`limits` is for a state or an action"),
        ("shape: [96, 96, 3]", "resample: linear", "cannot be resampled by linear; expected hold"),
        ("unit: N*m}", "unit: N*m, shape: [1, 1, 3]}", "`shape` is for an image"),
        ("unit: N}", "unit: N, limits: [0, 1]}", "`limits` is for a state or an action"),
        (
            '{role: reward, unit: "1"}',
            "{role: reward}",
            "arm.yaml:7: channels.reward.unit: is missing",
        ),
    ],
)
def test_keys_that_make_no_sense_for_a_role_are_refused(problems, old, new, said):
    assert any(said in problem for problem in problems(old, new, text=TASK))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("validate: {max_jump: {bounds: {camera: 1}}}\n", "unknown channel"),
        ("validate: {max_jump: {bounds: {reward: 1}}}\n", "unknown channel"),
        ("augment: [{type: gaussian_noise, std: {said: 1}}]\n", "is of role text, not a number"),
        (
            "augment: [{type: image_crop, channels: [said]}]\n",
            "is not a channel of role image; known: camera",
        ),
    ],
)
def test_checks_know_states_and_actions_and_augmentations_of_numbers_no_pictures(
    problems, more, said
):
    assert any(said in problem for problem in problems(more=more, text=TASK))
