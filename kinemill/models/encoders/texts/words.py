"""A text word by word: the words of the training texts, learned, in any order, and one for others.

Words are found inside the graph, from bytes: letters, digits and bytes of other alphabets belong
to a word, all else parts them; ASCII capitals count as small. A word's number is its polynomial
Σ byte · r^place modulo 2³¹ - 1 in int64, compared with those of the vocabulary.

Symbols: V words of the vocabulary, N places for words in a text.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.models.encoders._encoder import TEXTS, TextEncoder

PRIME, RADIX = 2**31 - 1, 48_271
_WORD = re.compile(rb"[0-9a-z\x80-\xff]+")


@TEXTS.register("words")
class Words(TextEncoder):
    """A bag of learned words; a word that no training text has is `unknown`."""

    type: Literal["words"] = "words"
    most: PositiveInt = 16  # words that are read

    def build(self, length: int, words: tuple[str, ...]) -> Any:
        """Make the network."""
        import torch
        from torch import Tensor, nn

        most = self.most

        class Network(nn.Module):
            numbers: Tensor
            powers: Tensor

            def __init__(self, size: int) -> None:
                super().__init__()
                # The last is of words that no training text has: they say nothing.
                self.words = nn.Parameter(torch.randn(len(words) + 1, size))
                self.words.data[-1] = 0.0
                known = torch.tensor([number_of(word) for word in words], dtype=torch.int64)
                powers = torch.tensor([pow(RADIX, k, PRIME) for k in range(length)])
                self.register_buffer("numbers", known, persistent=False)
                self.register_buffer("powers", powers, persistent=False)

            def forward(self, text: Tensor) -> Tensor:
                numbers, there = self.read(text.to(torch.int64))
                known = (numbers.unsqueeze(-1) == self.numbers).to(self.words.dtype)  # (B, N, V)
                other = 1.0 - known.sum(-1, keepdim=True)
                said = (torch.cat([known, other], dim=-1) * there.unsqueeze(-1)).sum(1)
                return said @ self.words

            def read(self, text: Tensor) -> tuple[Tensor, Tensor]:
                """Return the numbers of words (B, N) and which places hold one, (B, N)."""
                small = torch.where((text >= 65) & (text <= 90), text + 32, text)
                inside = (
                    ((small >= 97) & (small <= 122))
                    | ((small >= 48) & (small <= 57))
                    | (small >= 128)
                ).to(torch.int64)
                before = torch.cat([torch.zeros_like(inside[:, :1]), inside[:, :-1]], dim=1)
                begins = inside * (1 - before)
                which = torch.cumsum(begins, dim=1) * inside  # 1 for the first word, 0 between
                places = torch.arange(1, most + 1, device=text.device)
                of = (which.unsqueeze(1) == places.unsqueeze(1)).to(torch.int64)  # (B, N, L)
                at = torch.arange(length, device=text.device)
                first = (of * begins.unsqueeze(1) * at).sum(-1, keepdim=True)
                # r^(place - first) by shifting the table, not by dividing: gathered, so exact.
                powers = self.powers[((at - first) * of).flatten()].view_as(of)
                numbers = (of * small.unsqueeze(1) * powers).sum(-1) % PRIME
                return numbers, of.amax(-1).to(self.words.dtype)

        return Network(self.size)


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words of some texts, sorted."""
    found = {word for text in texts for word in split(text)}
    return tuple(word.decode("utf-8", "surrogateescape") for word in sorted(found))


def split(text: str) -> list[bytes]:
    """Return the words of a text, in order, as the network finds them."""
    return _WORD.findall(text.encode("utf-8", "surrogateescape").lower())


def number_of(word: str) -> int:
    """Return the number of a word."""
    letters = word.encode("utf-8", "surrogateescape")
    return sum(letter * pow(RADIX, k, PRIME) for k, letter in enumerate(letters)) % PRIME
