"""Networks of the text encoders: zero-padded UTF-8 (B, L) uint8 -> (B, E).

Symbols: B batch, L bytes of a text, E values of the result, V words of the vocabulary, N words
that are read of a text.
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

PRIME = 2**31 - 1
RADIX = 48_271
_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")


class BytesEncoder(nn.Module):
    """Embeddings of bytes and positions, convolutions, and the mean over the text.

    Args:
        length: L.
        size: E.
        width: channels of the convolutions.
        layers: number of convolutions.
    """

    def __init__(self, length: int, size: int, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.position = nn.Parameter(0.02 * torch.randn(width, length))
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(layers))
        self.head = nn.Linear(width, size)

    def forward(self, text: Tensor) -> Tensor:
        """Return the features (B, E) of a text (B, L)."""
        mask = (text > 0).to(self.position.dtype).unsqueeze(1)  # (B, 1, L)
        x = self.embed(text.to(torch.int64)).transpose(1, 2) + self.position
        for layer in self.layers:
            x = x + functional.silu(layer(x * mask))
        return self.head((x * mask).sum(-1) / (mask.sum(-1) + 1e-6))


class WordsEncoder(nn.Module):
    """Sum of learned word vectors; the graph splits the bytes into words.

    Letters, digits and bytes over 127 belong to words, all else separates them. ASCII is
    case-insensitive. A word is identified by the polynomial Σ byte · r^index modulo 2³¹ - 1.

    Args:
        length: L.
        size: E.
        words: the vocabulary, V words.
        max_words: N.
    """

    numbers: Tensor
    powers: Tensor

    def __init__(self, length: int, size: int, words: Sequence[str], max_words: int) -> None:
        super().__init__()
        self.length = length
        self.max_words = max_words
        # The last vector is that of unknown words and starts at zero.
        self.words = nn.Parameter(torch.randn(len(words) + 1, size))
        self.words.data[-1] = 0.0
        numbers = torch.tensor([word_number(word) for word in words], dtype=torch.int64)
        powers = torch.tensor([pow(RADIX, k, PRIME) for k in range(length)])
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("powers", powers, persistent=False)

    def forward(self, text: Tensor) -> Tensor:
        """Return the features (B, E) of a text (B, L)."""
        numbers, mask = self.read(text.to(torch.int64))
        one_hot = (numbers.unsqueeze(-1) == self.numbers).to(self.words.dtype)  # (B, N, V)
        unknown = 1.0 - one_hot.sum(-1, keepdim=True)
        counts = (torch.cat([one_hot, unknown], dim=-1) * mask.unsqueeze(-1)).sum(1)
        return counts @ self.words

    def read(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of words (B, N), and 1 where there is one (B, N)."""
        lower = torch.where((text >= 65) & (text <= 90), text + 32, text)
        inside = (
            ((lower >= 97) & (lower <= 122)) | ((lower >= 48) & (lower <= 57)) | (lower >= 128)
        ).to(torch.int64)
        previous = torch.cat([torch.zeros_like(inside[:, :1]), inside[:, :-1]], dim=1)
        begins = inside * (1 - previous)
        which = torch.cumsum(begins, dim=1) * inside  # 1 for the first word, 0 between words
        indices = torch.arange(1, self.max_words + 1, device=text.device)
        of = (which.unsqueeze(1) == indices.unsqueeze(1)).to(torch.int64)  # (B, N, L)
        index = torch.arange(self.length, device=text.device)
        first = (of * begins.unsqueeze(1) * index).sum(-1, keepdim=True)
        # r^(index - first) by a shifted table look-up, because a division would not be exact.
        powers = self.powers[((index - first) * of).flatten()].view_as(of)
        numbers = (of * lower.unsqueeze(1) * powers).sum(-1) % PRIME
        return numbers, of.amax(-1).to(self.words.dtype)


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of some texts, sorted."""
    words = {word for text in texts for word in split_words(text)}
    return tuple(word.decode("utf-8", "surrogateescape") for word in sorted(words))


def split_words(text: str) -> list[bytes]:
    """Return the words of a text, in order, as the network finds them."""
    return _WORD.findall(text.encode("utf-8", "surrogateescape").lower())


def word_number(word: str) -> int:
    """Return the number that identifies a word in the graph."""
    letters = word.encode("utf-8", "surrogateescape")
    return sum(letter * pow(RADIX, k, PRIME) for k, letter in enumerate(letters)) % PRIME
