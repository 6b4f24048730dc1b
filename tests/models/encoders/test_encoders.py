"""Encoders: positions in images, words in texts, weights from a local file."""

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from kinemill.errors import BadInput
from kinemill.models.encoders import IMAGES, TEXTS
from kinemill.models.networks.text_encoders import split_words, vocabulary, word_number
from kinemill.models.networks.weights import load_weights
from kinemill.train.demonstrations import as_bytes

TEXT = "Reach the RED one, not the blue-one: größer!"


def onnx_of(network, example, path):
    torch.onnx.export(network, (example,), path, dynamo=True, input_names=["x"], verbose=False)
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"x": example.numpy()})[0]


def test_a_bright_dot_is_found_where_it_is():
    """The position of a channel's maximum follows the dot, down and across."""
    encoder = IMAGES["conv"].model_validate({"type": "conv", "channels": [1], "size": 2})
    network = encoder.build((16, 16, 3))
    with torch.no_grad():
        network.layers[0].weight.zero_()
        network.layers[0].weight[:, :, 1, 1] = 1.0
        network.layers[0].bias.zero_()
        network.head.weight.copy_(torch.eye(2))
        network.head.bias.zero_()
        positions = []
        for row, column in ((3, 11), (11, 3)):
            image = torch.zeros(1, 3, 16, 16)
            image[:, :, row : row + 2, column : column + 2] = 1.0
            positions.append(network(image, torch.zeros(1, 0))[0])
    assert positions[0][0] < positions[1][0] - 0.2  # down
    assert positions[0][1] > positions[1][1] + 0.2  # across


def test_convolutions_learn_on_which_side_a_dot_is():
    torch.manual_seed(0)
    network = IMAGES["conv"].model_validate({"type": "conv", "size": 1}).build((16, 16, 3))
    random = np.random.default_rng(0)
    images, labels = torch.zeros(64, 3, 16, 16), torch.zeros(64, 1)
    for number, (row, column) in enumerate(random.integers(0, 14, (64, 2))):
        images[number, :, row : row + 3, column : column + 3] = 1.0
        labels[number] = 1.0 if column > 6 else -1.0
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        loss = (network(images, torch.zeros(64, 0)) - labels).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((network(images, torch.zeros(64, 0)).sign() == labels).float().mean()) > 0.9


def test_words_are_found_in_the_graph_as_in_python(tmp_path):
    """Capitals, punctuation and other alphabets; in torch and in ONNX Runtime."""
    words = vocabulary(["reach the red one not blue", "größer"])
    network = TEXTS["words"].model_validate({"type": "words", "size": 4}).build(64, words)
    text = torch.from_numpy(as_bytes(TEXT, 64))[None]
    numbers, there = network.read(text.long())
    said = [word_number(word.decode()) for word in split_words(TEXT)]
    assert [word.decode() for word in split_words(TEXT)][:4] == ["reach", "the", "red", "one"]
    assert numbers[0, : len(said)].tolist() == said
    assert there[0].sum() == len(said)
    expected = sum(network.words[words.index(word.decode())] for word in split_words(TEXT))
    assert network(text)[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    result = onnx_of(network, text.expand(2, -1).contiguous(), tmp_path / "words.onnx")
    assert result[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_word_that_nobody_taught_says_nothing():
    network = TEXTS["words"].model_validate({"type": "words"}).build(16, ("red",))
    text = torch.from_numpy(as_bytes("purple", 16))[None]
    assert float(network(text).abs().max()) == 0.0


@pytest.mark.parametrize("name", list(TEXTS))
def test_every_text_encoder_tells_instructions_apart(name):
    torch.manual_seed(0)
    texts = ["reach the red one", "reach the blue one", "reach the green one"]
    network = TEXTS[name].model_validate({"type": name, "size": 3}).build(32, vocabulary(texts))
    arguments = torch.from_numpy(np.stack([as_bytes(text, 32) for text in texts]))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(arguments), torch.arange(3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1


def test_a_checkpoint_on_this_machine_is_taken_and_another_encoder_refused(tmp_path):
    small = IMAGES["conv"].model_validate({"type": "conv", "channels": [4]})
    one, other = small.build((16, 16, 3)), small.build((16, 16, 3))
    save_file(one.state_dict(), tmp_path / "eye.safetensors")
    load_weights(other, str(tmp_path / "eye.safetensors"), "here")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    wide = IMAGES["conv"].model_validate({"type": "conv", "channels": [5]}).build((16, 16, 3))
    with pytest.raises(BadInput, match="is of another encoder"):
        load_weights(wide, str(tmp_path / "eye.safetensors"), "here")
    with pytest.raises(BadInput, match="does not exist"):
        load_weights(wide, str(tmp_path / "none.safetensors"), "here")
