"""The documentation page on control names every key, controller and shape."""

from kinemill.control.cost import SHAPES
from kinemill.control.plan import SPLINES
from kinemill.control.planner import RISKS
from kinemill.task.control import CONTROLLERS, Control, Reached, Risk, Term, Uncertainty
from kinemill.task.expressions import FUNCTIONS
from tests.conftest import ROOT


def test_the_page_names_all_there_is():
    page = (ROOT / "docs" / "control.md").read_text()
    expected = {*CONTROLLERS, *SHAPES, *RISKS, *SPLINES, *FUNCTIONS}
    for settings in (Control, Term, Reached, Risk, Uncertainty):
        expected |= set(settings.model_fields)
    for name in CONTROLLERS:
        expected |= set(CONTROLLERS[name].model_fields)
    assert [name for name in sorted(expected) if name not in page] == []
