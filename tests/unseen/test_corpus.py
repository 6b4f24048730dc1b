"""Drafts of small logs in the layouts of real tools."""

from dataclasses import replace

import pytest

from tests.unseen.corpus.judge import mistakes
from tests.unseen.corpus.samples import SAMPLES


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.kind}-{sample.name}")
def test_draft_of_a_sample_is_right(tmp_path, sample):
    wrong, _ = mistakes(replace(sample), tmp_path / "logs")
    assert wrong == []
