import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from tests.api.conftest import logs_of


@pytest.mark.ci
def test_errors_on_frames_are_in_the_units_of_the_task(in_rod_home, training, tmp_path):
    evaluation = km.evaluate(training, logs_of(7), horizon=5, examples=1, to=tmp_path)
    assert set(evaluation.rmse) == {"angle", "velocity"}
    table = evaluation.to_polars()
    own = table.filter(model="model", channel="angle").row(0, named=True)
    assert (own["unit"], len(own["by_step"])) == ("rad", 5)
    assert own["rmse"] == pytest.approx(evaluation.rmse["angle"])
    # The frames follow semi-implicit Euler, which physics with fitted parameters reproduces.
    exact = table.filter(model="linear_sincos", channel="angle")["rmse"][0]
    assert exact < 1e-3 < evaluation.rmse["angle"]
    assert evaluation.plot().png().startswith(b"\x89PNG")
    assert evaluation.headline in evaluation._repr_html_().replace("&#x27;", "'")
    assert len(repr(evaluation).splitlines()) <= 10
    assert (tmp_path / "report.html").is_file()


def test_examples_have_to_be_asked_for(in_rod_home, training):
    evaluation = km.evaluate(training, logs_of(7), horizon=5, examples=0)
    assert evaluation.folder is None


def test_a_folder_needs_its_task(in_rod_home, training):
    with pytest.raises(BadInput, match="pass task="):
        km.evaluate(training.folder, logs_of(7))
