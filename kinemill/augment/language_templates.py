"""Language templates: rephrase instructions with templates and synonyms of the task."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from kinemill.augment._media import TextAugmentation
from kinemill.task import AUGMENTATIONS

TEXT = "{text}"


@AUGMENTATIONS.register("language_templates")
class LanguageTemplates(TextAugmentation):
    """Insert the instruction into a random template, with random synonyms."""

    type: Literal["language_templates"] = "language_templates"
    templates: Annotated[list[str], Field(min_length=1)] = [TEXT]
    """templates such as `please {text}`; `{text}` is the instruction"""
    words: dict[str, Annotated[list[str], Field(min_length=1)]] = {}
    """synonyms of words, such as `pick up: [grab, take]`"""

    @field_validator("templates")
    @classmethod
    def _hold_the_text(cls, value: list[str]) -> list[str]:
        if odd := [template for template in value if TEXT not in template]:
            message = f"{odd[0]!r} lacks the placeholder of the instruction, `{TEXT}`"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _has_changes(self) -> "LanguageTemplates":
        if self.templates == [TEXT] and not self.words:
            message = "has neither templates nor words, so every copy would equal the original"
            raise ValueError(message)
        return self

    def rephrase(self, text: str, random: np.random.Generator) -> str:
        """Return `text` rephrased; all choices are equally likely."""
        for word, synonyms in self.words.items():
            choice = [word, *synonyms][int(random.integers(0, len(synonyms) + 1))]
            text = text.replace(word, choice)
        return self.templates[int(random.integers(0, len(self.templates)))].replace(TEXT, text)
