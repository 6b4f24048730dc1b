"""Templates: phrases and words of the task file, nothing else."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.language_templates import LanguageTemplates

EXAMPLE = {
    "type": "language_templates",
    "templates": ["{text}", "please {text}", "robot, {text} now"],
    "words": {"lift": ["raise", "pick up"]},
}


def test_each_phrase_and_each_word_is_as_likely_as_the_others():
    plugin = LanguageTemplates.model_validate(EXAMPLE)
    said = [plugin.rephrase("lift the cube", np.random.default_rng(k)) for k in range(900)]
    expected = {
        template.replace("{text}", f"{first_word} the cube")
        for template in EXAMPLE["templates"]
        for first_word in ("lift", "raise", "pick up")
    }
    assert set(said) == expected
    # 100 of 900 each; five standard deviations are 47.
    assert all(abs(said.count(text) - 100) < 47 for text in expected)


def test_braces_of_an_instruction_are_text():
    plugin = LanguageTemplates(templates=["do {text}"])
    assert plugin.rephrase("{text} {0} {x!r}", np.random.default_rng(0)) == "do {text} {0} {x!r}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"templates": ["please do it"]}, "lacks the placeholder of the instruction"),
        ({}, "every copy would equal the original"),
        ({"templates": []}, "at least 1 item"),
        ({"words": {"lift": []}}, "at least 1 item"),
    ],
)
def test_what_would_say_nothing_new_or_nothing_at_all_is_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        LanguageTemplates(**settings)
