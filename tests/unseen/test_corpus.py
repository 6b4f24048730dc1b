"""Drafts of small logs in the layouts of real tools, and of the reported cases."""

import pytest

from tests.unseen.corpus.cases import CASES, FOLDER
from tests.unseen.corpus.comparison import mistakes
from tests.unseen.corpus.samples import SAMPLES
from tests.unseen.corpus.tools import TOOLS
from tests.unseen.corpus.unusual import UNUSUAL
from tests.unseen.corpus.variants import variants

CHANGED = [variant for sample in SAMPLES[::12] for variant in variants(sample)]


def _name(sample):
    return f"{sample.kind}-{sample.name}"


@pytest.mark.ci
@pytest.mark.parametrize("sample", [*SAMPLES, *TOOLS, *UNUSUAL, *CHANGED], ids=_name)
def test_draft_of_a_sample_is_right(tmp_path, sample):
    wrong, _ = mistakes(sample, tmp_path / "logs")
    assert wrong == []


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of cases, ../shared/cases, is not here")
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_draft_of_a_reported_case_is_right(tmp_path, case):
    wrong, _ = mistakes(case, tmp_path / "logs")
    assert wrong == []
