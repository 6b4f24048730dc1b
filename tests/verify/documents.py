"""Documents of verifications with chosen numbers."""

from pathlib import Path

from kinemill.store import from_json_value
from kinemill.verify.comparison import Comparison
from kinemill.verify.document import Verification
from kinemill.verify.results import Accuracy, ChannelAccuracy

NAN = float("nan")
UNITS = {"angle": "rad", "velocity": "rad/s"}


def comparison(ratio, low=NAN, high=NAN, reference=0.2, **more):
    """Return a comparison with this ratio of errors and its 95 % interval."""
    fields = {"effective_n": 12.0, "unit": "episodes", "detectable": 0.09}
    # So surely worse that no correction for the number of comparisons changes it.
    fields |= {"p_worse": 1e-6 if low > 1.02 else 0.9} | more
    return Comparison(ratio * reference, reference, low, high, **fields)


def against(ratio, low=NAN, high=NAN, horizons=None, **more):
    """Return comparisons with this ratio at the horizon, and with others elsewhere."""
    return {"25": {"nrmse": comparison(ratio, low, high, **more)}} | (horizons or {})


def line(unit, note="", **rmse):
    """Return the errors on one channel as JSON."""
    return {"unit": unit, "rmse": rmse, "note": note}


def document(error=0.1, others=None, **more):
    """Return a verification with these nRMSE at the horizon."""
    nrmse = {"model": error, **(others or {"persistence": 1.0, "linear": 0.2})}
    tenth = {who: value and value / 10 for who, value in nrmse.items()}
    member = {"history": 40, "ridge": 0.1, "score": 0.2, "error": 0.2}
    member |= {"stable": True, "model": None}
    fields = {
        "task": "arm",
        "model": {"kind": "mlp", "history": 4, "reference": None},
        "passed": True,
        "metrics": {"test": {k: line(u, **tenth) for k, u in UNITS.items()}, "nrmse": nrmse},
        "windows": {"horizon": 25, "seconds": 0.5, "count": 400},
        "against": {"persistence": against(0.1, 0.08, 0.12), "linear": against(0.5, 0.4, 0.63)},
        "references": {
            "best": "linear",
            "left_out_rows": "rows of the validation split",
            "digest": "",
            "families": {"linear": member},
            "left_out": {},
        },
    }
    return from_json_value(fields | more, Verification, Path("verification.json"))


def accuracy(**by_step):
    """Return the errors of one model by channel after each step, in rad."""
    none = {"std": 1.0, "resolution": 0.0, "interval": (NAN, NAN), "mean": NAN, "mae": NAN}
    none |= {"noise": 0.0, "tolerance": 0.0, "mse": NAN, "mae_by_step": [], "mse_by_step": []}
    channels = {
        name: ChannelAccuracy(unit="rad", rmse=steps[-1], by_step=steps, **none)
        for name, steps in by_step.items()
    }
    return Accuracy(NAN, (NAN, NAN), [], channels)
