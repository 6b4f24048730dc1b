"""How a draft splits its logs, and how far ahead it verifies."""

import pytest

from kinemill.draft.builder import draft


def _logs(folder, count, rows, dt):
    for number in range(count):
        lines = (f"{dt * at:.6g},{(at * (number + 2)) % 17},{at % 5}" for at in range(rows))
        (folder / f"log-{number:02}.csv").write_text("\n".join(["time,position,torque", *lines]))


@pytest.mark.parametrize(
    ("count", "rows", "validation"),
    [(20, 300, "0.15"), (20, 1500, "{blocks: 0.15}"), (5, 300, "{blocks: 0.15}")],
)
def test_many_short_logs_validate_on_whole_logs(tmp_path, count, rows, validation):
    """Blocks of 45 rows would leave no window to models with a history of 10 rows."""
    _logs(tmp_path, count, rows, 0.05)
    assert f"dataset: {{validation: {validation}, test: " in draft("arm", tmp_path)


@pytest.mark.parametrize(
    ("count", "test_logs"),
    [(2, [1]), (5, [4]), (11, [1, 3, 6, 8, 10]), (14, [2, 5, 7, 10, 13]), (19, [3, 7, 10, 14, 18])],
)
def test_a_fifth_of_a_few_logs_or_five_of_ten_are_the_test_split(tmp_path, count, test_logs):
    """The last log alone may be the only one of its experiment, and is one test episode."""
    _logs(tmp_path, count, 300, 0.05)
    names = ", ".join(f'"*log-{at:02}.csv"' for at in test_logs)
    assert f"test: [{names}]}}  # name your own" in draft("arm", tmp_path)


@pytest.mark.parametrize("training", ["train", "id"])
def test_a_log_called_test_is_the_test_split_and_not_the_last_one(tmp_path, training):
    _logs(tmp_path, 2, 300, 0.05)
    (tmp_path / "log-00.csv").rename(tmp_path / "tank_test.csv")
    (tmp_path / "log-01.csv").rename(tmp_path / f"tank_{training}.csv")
    assert 'test: ["*tank_test.csv"]' in draft("arm", tmp_path)


def test_a_draft_from_one_log_does_not_test_on_another_file_of_its_folder(tmp_path):
    """The next command that the draft names ingests that log only."""
    _logs(tmp_path, 2, 300, 0.05)
    (tmp_path / "other.csv").write_text("time,level\n0,1\n1,2\n")
    text = draft("arm", tmp_path / "log-00.csv")
    assert "test: [{rows: [239, null]}]" in text
    assert "log-01" not in text
    assert "other.csv" not in text
