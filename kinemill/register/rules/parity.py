"""The exported files give the numbers of the trained model."""

from kinemill.register.rules import RULES, Contest, Verdict


@RULES.register("parity")
def judge(contest: Contest) -> list[Verdict]:
    """Pass when verification found the files in parity with the trained model.

    Refused: what robots would run is not what was trained; the table of parity in the report names
    probe and channel. This is a fault of the export, and no setting helps.
    """
    held = contest.verification.get("verification", {}).get("parity") is True
    found = "in parity" if held else "out of parity, or not compared"
    return [Verdict("parity", held, found, "in parity")]
