"""ArduPilot DataFlash logs: names, units and scales, instances, damage, and drafts.

Real logs are compared with pymavlink in docs/decisions/log-parsers.md.
"""

import struct

import numpy as np
import pytest

from kinemill.draft.schema_inference import form_of, survey
from kinemill.ingest import stage as ingest
from kinemill.ingest.readers.dataflash import read
from kinemill.task import READERS, load_task
from tests.conftest import load_task_in
from tests.ingest.messages import dataflash_bytes, dataflash_definition, dataflash_message

TASK = """
task: copter
dt: 0.02
channels:
  roll: {role: state, unit: deg, source: ATT.Roll}
  gyro: {role: state, unit: rad/s, source: IMU.GyrX}
  spare: {role: state, unit: rad/s, source: "IMU[1].GyrX"}
  warm: {role: state, unit: "1", source: IMU.T}
  motor: {role: action, unit: "1", source: RCOU.C1}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""
DATAFLASH = READERS["dataflash"]


@pytest.fixture
def copter(tmp_path):
    return load_task_in(tmp_path, TASK)


def written(tmp_path, content: bytes):
    path = tmp_path / "00000001.BIN"
    path.write_bytes(content)
    return path


def checks(log) -> list[str]:
    return [item["check"] for item in log.reasons]


def test_values_have_their_scales_and_instances_their_own_samples(tmp_path, copter):
    log = read(written(tmp_path, dataflash_bytes()), copter)
    assert log.reasons == []
    roll, motor = log.signals["roll"], log.signals["motor"]
    assert roll.time.to_list()[:2] == [1_000_000, 1_020_000]
    time = 0.02 * np.arange(100)
    assert roll.values.to_numpy() == pytest.approx(30 * np.sin(3 * time), abs=0.006)
    assert motor.time.to_list()[1] - roll.time.to_list()[1] == 7
    gyro, spare = (log.signals[name].values.to_numpy() for name in ("gyro", "spare"))
    assert len(gyro) == len(spare) == 200
    assert spare - gyro == pytest.approx(np.ones(200), abs=1e-6)
    assert log.signals["warm"].values.to_list()[0] == 25.0  # the multiplier of FMTU
    order = log.signals["roll"].order
    assert order is not None
    assert (order[1], motor.order[0]) > (motor.order[0], order[0])


def test_a_log_without_units_has_plain_values_and_no_instances(tmp_path, copter):
    task = copter.model_copy(
        update={"channels": {n: c for n, c in copter.channels.items() if n != "spare"}}
    )
    log = read(written(tmp_path, dataflash_bytes(units=False)), task)
    assert len(log.signals["gyro"].values) == 400
    assert log.signals["warm"].values.to_list()[0] == 2500.0


def test_old_timestamps_are_milliseconds(tmp_path, copter):
    content = dataflash_bytes(0.0).replace(b"TimeUS,Roll", b"TimeMS,Roll")
    content += dataflash_message("ATT", 1234, 100, 0, 0.0)
    task = copter.model_copy(update={"channels": {"roll": copter.channels["roll"]}})
    assert read(written(tmp_path, content), task).signals["roll"].time.to_list() == [1_234_000]


@pytest.mark.parametrize(("lost", "expected"), [(1, ["cut_file"]), (15, ["cut_file"]), (18, [])])
def test_a_file_that_ends_inside_a_message_is_read_so_far(tmp_path, copter, lost, expected):
    log = read(written(tmp_path, dataflash_bytes()[:-lost]), copter)
    assert checks(log) == expected  # the last message has 18 bytes
    assert (len(log.signals["gyro"].values), len(log.signals["spare"].values)) == (200, 199)


def test_reserved_space_at_the_end_is_no_damage(tmp_path, copter):
    assert read(written(tmp_path, dataflash_bytes() + bytes(4096)), copter).reasons == []


def test_damage_costs_the_messages_that_it_hits(tmp_path, copter):
    content = bytearray(dataflash_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xa3\x95\x15\x00" * 16  # looks like messages, and is none
    log = read(written(tmp_path, bytes(content)), copter)
    assert checks(log) == ["damaged"]
    roll = log.signals["roll"]
    assert 97 <= len(roll.values) <= 100
    expected = 30 * np.sin(3e-6 * (roll.time.to_numpy() - 1_000_000))
    assert np.mean(np.abs(roll.values.to_numpy() - expected) < 0.01) > 0.97


def test_a_type_of_a_later_firmware_is_skipped(tmp_path, copter):
    definition = dataflash_definition("RCOU").replace(b"QHH", b"Q?H").replace(b"RCOU", b"NEW1")
    definition = definition.replace(b"\x80\x16", b"\x80\x60")
    content = dataflash_bytes()
    at = content.index(b"\xa3\x95\x17")  # the message of the firmware
    message = dataflash_message("RCOU", 1_000_000, 5, 5).replace(b"\x95\x16", b"\x95\x60")
    log = read(written(tmp_path, content[:at] + definition + message + content[at:]), copter)
    assert (log.reasons, len(log.signals["motor"].values)) == ([], 100)


def test_other_files_with_the_suffix_are_no_logs(tmp_path, copter, home):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "eeprom.bin").write_bytes(bytes(100))
    (tmp_path / "logs" / "00000001.BIN").write_bytes(dataflash_bytes())
    (entry,) = ingest.run(copter, home, tmp_path / "logs").files
    assert (entry["outcome"], entry["episodes"]) == ("episodes", 1)


def test_the_log_names_its_firmware_and_units(tmp_path):
    path = written(tmp_path, dataflash_bytes())
    assert DATAFLASH.attributes(path) == {"firmware": "ArduCopter V4.5.1 (0123abcd)"}
    about = DATAFLASH.about(path)
    units = {name: one.unit for name, one in about.columns.items()}
    assert (units["ATT.Roll"], units["ATT.Yaw"], units["IMU[1].GyrX"]) == ("deg", "deg", "rad/s")
    assert about.labels["RCOU.C1"] == "pwm_1"


def as_text(content: bytes) -> str:
    """Write a binary log as ground stations do: values in their units, texts without padding."""
    out, at, kinds = ["ArduCopter V4.5.1", ""], 0, {128: ("FMT", "BBnNZ")}
    while at < len(content):
        name, letters = kinds[content[at + 2]]
        layout = struct.Struct("<" + "".join(PACKED.get(letter, letter) for letter in letters))
        values = list(layout.unpack_from(content, at + 3))
        at += 3 + layout.size
        texts = [
            value.rstrip(b"\0").decode() if isinstance(value, bytes) else value for value in values
        ]
        if name == "FMT":
            kinds[int(texts[0])] = (str(texts[2]), str(texts[3]))
        scaled = [
            round(0.01 * one, 2) if letter in "cC" else one
            for letter, one in zip(letters, texts, strict=True)
        ]
        out.append(", ".join(map(str, [name, *scaled])))
    return "\r\n".join(out) + "\r\n"


PACKED = {"c": "h", "C": "H", "n": "4s", "N": "16s", "Z": "64s", "M": "B"}


@pytest.fixture
def text_log(tmp_path):
    path = tmp_path / "00000001.log"
    path.write_bytes(as_text(dataflash_bytes()).encode())
    return path


def test_the_text_of_a_log_has_the_values_of_its_binary_form(tmp_path, copter, text_log):
    log, binary = read(text_log, copter), read(written(tmp_path, dataflash_bytes()), copter)
    assert log.reasons == []
    for name, signal in binary.signals.items():
        assert log.signals[name].time.equals(signal.time)
        assert log.signals[name].values.to_numpy() == pytest.approx(signal.values.to_numpy())
    assert DATAFLASH.attributes(text_log) == {"firmware": "ArduCopter V4.5.1 (0123abcd)"}
    assert DATAFLASH.about(text_log).columns["ATT.Roll"].unit == "deg"


def test_the_text_of_a_log_is_recognized_and_drafted(text_log):
    assert form_of(text_log) == "dataflash"
    (table,) = survey(text_log)
    assert table.labels["ATT.Roll"] == "roll_angle"


@pytest.mark.parametrize("form", ["auto", "dataflash"])
def test_texts_are_found_by_their_content(tmp_path, home, text_log, form):
    (tmp_path / "copter.yaml").write_text(TASK.replace("ingest: {", f"ingest: {{format: {form}, "))
    (tmp_path / "logs").mkdir()
    text_log.rename(tmp_path / "logs" / text_log.name)
    (tmp_path / "logs" / "boot.log").write_text("started\n")
    (entry,) = ingest.run(load_task(tmp_path / "copter.yaml"), home, tmp_path / "logs").files
    assert (entry["outcome"], entry["episodes"]) == ("episodes", 1)


def test_lines_that_are_no_messages_are_left_out_and_named(copter, text_log):
    lines = text_log.read_text().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("ATT,"))
    lines[at] = "ATT, 1000000, zero"
    lines.append("IMU, 30000")  # cut
    text_log.write_text("\n".join(lines))
    log = read(text_log, copter)
    (item,) = log.reasons
    assert item["where"] == f"lines {at + 1}, {len(lines)}"
    assert item["found"] == "2 lines that are not messages"
    assert len(log.signals["roll"].values) == 99
