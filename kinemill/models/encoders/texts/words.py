"""A text as a bag of words: the words of the training texts, and one vector for unknown words."""

from typing import Literal

from kinemill.task import TorchModule, Width
from kinemill.task.imitation import TEXTS, TextEncoder


@TEXTS.register("words")
class Words(TextEncoder):
    """A bag of learned words."""

    type: Literal["words"] = "words"
    max_words: Width = 16
    """words that are read of a text"""

    def build(self, length: int, words: tuple[str, ...]) -> TorchModule:
        """Make the `WordsEncoder`."""
        from kinemill.models.networks.text_encoders import WordsEncoder

        return WordsEncoder(length, self.size, words, self.max_words)
