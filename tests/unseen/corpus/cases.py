"""Smallest inputs of reported mistakes, kept beside the checkout, and the drafts right for them."""

import shutil
from pathlib import Path

from tests.unseen.corpus.samples import MOTION, Column, Sample

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "cases"
BRACKETS: dict[str, Column] = {
    "Angle [rad]": ("state", "rad"),
    "Velocity [rad/s]": ("state", "rad/s"),
    "Torque [Nm]": ("action", "N*m"),
}
JOINT: dict[str, Column] = {
    "/joint_states.position[j1]": ("state", "rad"),
    "/joint_states.velocity[j1]": ("state", "rad/s"),
}


def case(
    name: str,
    columns: dict[str, Column],
    dt: float | None = 0.01,
    says: str = "",
    unit: str | float | None = None,
) -> Sample:
    """Return the sample of a folder of cases."""

    def write(folder: Path) -> None:
        shutil.copytree(FOLDER / name / "logs", folder, dirs_exist_ok=True)

    learn = "imitation" if name == "lerobot_action_chunks_2d" else "dynamics"
    return Sample("case", name, write, dt, columns, says, unit, learn)


def _with_torque(name: str, unit: str, role: str = "action") -> dict[str, Column]:
    return {"angle_rad": ("state", "rad"), name: (role, unit)}


CASES = [
    case("clock_excel_days", BRACKETS, unit=86_400.0),
    case("clock_filetime_100ns", MOTION, unit=1e-7),
    case("clock_us_since_boot", MOTION, unit="us"),
    case("clock_usec_name", MOTION, unit="us"),
    case(
        "controller_output_is_the_action",
        {"setpoint": ("left", None), "controller_output": ("action", None)},
        0.1,
    ),
    case("dspace_recording", {"angle": ("state", "rad"), "torque": ("action", "N*m")}),
    case("header_one_name_short", MOTION),
    case("inches_are_no_input", {"d [in]": ("state", "inch")}),
    case("latitude_is_no_clock", {}, None, "--rate HZ"),
    case("lerobot_action_chunks_2d", {"action[0][0]": ("action", None)}, 1 / 30),
    case("lerobot_fps_against_timestamps", {}, 1 / 15, "the metadata states 30 Hz"),
    case("nan_of_windows", MOTION),
    case("newest_row_first", MOTION, says="newest row is first"),
    case("nul_bytes_after_power_loss", MOTION),
    case("one_row_recording", {"joint_pos": ("state", "rad")}, says="run3.parquet: too short"),
    case("quoted_decimal_comma", MOTION),
    case("rosbag2_message_compressed", JOINT | {"/torque_cmd.torque": ("action", "N*m")}),
    case("rosbag2_type_without_definition", JOINT, says="/torque_cmd"),
    case(
        "setpoint_in_other_languages",
        {"referencia": ("left", None), "saida": ("state", None), "controle": ("action", None)},
        0.1,
    ),
    case(
        "slow_commands_next_to_fast_imu",
        {"/attitude.roll": ("state", "rad"), "/motor_command.torque": ("action", "N*m")},
        0.1,
    ),
    case("thousands_integers_utf16", {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    case("unit_Nmm", _with_torque("torque [Nmm]", "N*mm")),
    case("unit_kg_cm", _with_torque("torque [kg-cm]", "kgf*cm")),
    case("unit_nautical_miles", _with_torque("dist [nm]", "nautical_mile", "state")),
    case("vectors_in_cells", {"q[0]": ("state", "rad"), "tau[1]": ("action", "N*m")}),
]
