import numpy as np
import polars as pl
import pytest

from kinemill.ingest.rows import read_rows, write_rows


@pytest.fixture
def frame():
    values = np.random.default_rng(0).normal(size=(3, 500))
    columns = {f"x{k}": own for k, own in enumerate(values)}
    parts = pl.DataFrame({"time_s": np.arange(500) / 100, **columns}).with_columns(
        pl.Series("image", range(500), dtype=pl.Int32)
    )
    return pl.concat([parts.head(7), parts.slice(7)], rechunk=False)


def test_rows_come_back_as_they_were_in_one_piece(frame, tmp_path):
    path = tmp_path / "track-0000.arrow"
    write_rows(frame, path)
    rows = read_rows(path)
    assert rows.equals(frame)
    assert rows.schema == frame.schema
    assert rows.n_chunks() == 1
    assert read_rows(path, ["x2", "time_s"]).equals(frame.select("x2", "time_s"))


def test_what_was_read_is_the_file_itself_and_outlives_its_name(frame, tmp_path):
    path = tmp_path / "track-0000.arrow"
    write_rows(frame, path)
    values = read_rows(path)["x1"].to_numpy()
    path.unlink()
    np.testing.assert_array_equal(values, frame["x1"].to_numpy())
    assert not values.flags.writeable
