"""Trials on the robot succeed often enough, and not less often than the champion's."""

from dataclasses import replace

from kinemill.register.gate.rules import RULES, GateInputs, Verdict
from kinemill.register.gate.rules.closed_loop import has_closed_loop
from kinemill.register.robot_trials import worse_p

SIGNIFICANCE = 0.05
_NONE = "no trials on the robot"


@RULES.register("trials")
def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Pass if the 95 % interval of the success rate on the robot is above `promote.min_success`.

    `kinemill model trials` records how many of how many trials succeeded; the interval is that of
    Clopper and Pearson. Without trials, or while the interval contains `promote.min_success`, a
    model that passes all other rules becomes provisional champion, unless there is an established
    champion. If the version and the champion both have trials, those of the version must not
    succeed significantly less often (Fisher's exact test at 5 %). A version without trials does not
    replace a champion with trials. A task with `verify.closed_loop` episodes needs no trials.

    Refused: run the version on the robot, for example kinemill.runtime.load("models:/TASK/3"), and
    record the counts: kinemill model trials TASK:3 --success 17 --of 20. If too many trials fail,
    record demonstrations or logs of the situations in which it fails, and run kinemill run again.
    """
    lines = [_line(inputs), _against_champion(inputs)]
    return [line for line in lines if line is not None]


def _line(inputs: GateInputs) -> Verdict | None:
    least = inputs.task.promote.min_success
    trials = inputs.trials
    if least is None or (trials is None and has_closed_loop(inputs)):
        return None
    expected = f"95 % interval of the success rate >= {least:g}"
    undecided = Verdict("trials", False, _NONE, expected, undecided=True)
    if trials is None:
        return undecided
    low, high = trials.interval
    return replace(undecided, passed=low >= least, value=str(trials), undecided=low < least <= high)


def _against_champion(inputs: GateInputs) -> Verdict | None:
    trials = inputs.trials
    reference = inputs.champion_trials
    least = inputs.task.promote.min_success
    if reference is None or (trials is None and (least is None or has_closed_loop(inputs))):
        return None
    rule = "trials_champion"
    expected = f"not significantly fewer successes than the champion, {reference}"
    if trials is None:
        is_failing = least is not None and reference.interval[1] < least
        return Verdict(rule, is_failing, _NONE, expected)
    p = worse_p(trials, reference)
    return Verdict(rule, p >= SIGNIFICANCE, f"{trials}, p = {p:.2g}", expected)
