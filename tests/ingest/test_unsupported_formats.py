"""Files that no reader reads: the error says what they are and how to convert them."""

import struct
import tarfile
import zipfile

import pytest

from kinemill.draft.logs import read_tables
from kinemill.draft.schema_inference import survey
from kinemill.errors import BadInput, BadLog

TLOG = b"".join(struct.pack(">Q", 10**15 + k) + b"\xfe\x09" + bytes(15) for k in range(50))

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00e1\nsize 2360840\n"


@pytest.mark.parametrize(
    ("name", "content", "problem", "fix"),
    [
        ("a.tlog", TLOG, "is a MAVLink telemetry log", "mavlogdump"),
        ("a.tdms", b"TDSm" + bytes(200), "is a LabVIEW file", "npTDMS"),
        ("a.csv", LFS, "is a pointer of Git LFS", "git lfs pull"),
        ("a.h5", LFS, "is a pointer of Git LFS", "git lfs pull"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(200), "is an archive", "extract it"),
    ],
)
def test_the_error_names_the_format_and_the_tool(tmp_path, name, content, problem, fix):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadLog, match=problem) as refused:
        survey(tmp_path / name)
    assert fix in (refused.value.fix or "")
    with pytest.raises(BadInput, match=rf"none of 1 logs can be read; {name}: {problem}.*{fix}"):
        read_tables(tmp_path, None)


def test_archives_and_spreadsheets_are_told_apart_by_suffix(tmp_path):
    (tmp_path / "run.csv").write_text("time,a\n0,1\n")
    for name in ("a.zip", "a.xlsx"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("[Content_Types].xml", "<x/>")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "run.csv", "run.csv")
    for name, problem in {
        "a.zip": "is an archive",
        "a.xlsx": "is a spreadsheet",
        "a.tar.gz": "is an archive",
    }.items():
        with pytest.raises(BadLog, match=problem):
            survey(tmp_path / name)
