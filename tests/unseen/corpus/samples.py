"""Small logs in the layouts of real tools, each with the draft that is right for it.

A motor that turns a pendulum, or a tank with a level controller, is logged as many tools write it.
`SAMPLES` is the table: class, name, how the log is written, and the expected clock, time step,
roles and units. A sample without a step has to be refused with a text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Array = np.ndarray
ROWS = 400
DT = 0.01  # s
K = np.arange(ROWS)
TIME = DT * K
TORQUE = 2.0 * np.sin(3.1 * TIME) + 0.7 * np.sign(np.sin(7.3 * TIME))


def _pendulum() -> tuple[Array, Array]:
    angle = np.zeros(ROWS)
    speed = np.zeros(ROWS)
    angle[0] = 0.3
    for row in range(ROWS - 1):
        speed[row + 1] = speed[row] + DT * (
            TORQUE[row] - 0.4 * speed[row] - 6.0 * np.sin(angle[row])
        )
        angle[row + 1] = angle[row] + DT * 0.5 * (speed[row] + speed[row + 1])
    return angle, speed


def _tank() -> tuple[Array, Array, Array]:
    setpoint = np.repeat([40.0, 60.0, 35.0, 55.0], ROWS // 4)
    level = np.full(ROWS, 20.0)
    valve = np.zeros(ROWS)
    total = 0.0
    for row in range(ROWS):
        error = setpoint[row] - level[row]
        total += 0.02 * error
        valve[row] = 0.8 * error + total + 30.0
        if row + 1 < ROWS:
            level[row + 1] = level[row] + 0.05 * (valve[row] - 0.9 * level[row])
    return setpoint, level, valve


ANGLE, SPEED = _pendulum()
SETPOINT, LEVEL, VALVE = _tank()
Column = tuple[str | None, str | None]  # role and unit of a column; None: any; left: ("left", None)


@dataclass(frozen=True)
class Sample:
    """A log and the draft that is right for it.

    Attributes:
        kind: class of the situation.
        name: of the sample.
        write: writes the logs into a folder.
        dt: time step, s; None: the log is refused.
        columns: role and unit by the name of the column in the log.
        says: text of the draft or of the refusal.
        unit: `ingest.time_unit`, if it is part of the situation.
        learn: learn type of the draft.
    """

    kind: str
    name: str
    write: Callable[[Path], object]
    dt: float | None = DT
    columns: Mapping[str, Column] = field(default_factory=dict[str, Column])
    says: str = ""
    unit: str | float | None = None
    learn: str = "dynamics"


MOTION: dict[str, Column] = {
    "angle_rad": ("state", "rad"),
    "velocity_rad_s": ("state", "rad/s"),
    "torque_Nm": ("action", "N*m"),
}


def csv(
    folder: Path,
    columns: Mapping[str, Sequence[object] | Array],
    *,
    separator: str = ",",
    comma: bool = False,
    front: str = "",
    end: str = "\n",
    encoding: str = "utf-8",
    name: str = "run.csv",
    minus: str = "-",
) -> None:
    """Write a text table; numbers have 9 digits."""

    def spell(value: object) -> str:
        text = value if isinstance(value, str) else f"{value:.12g}"
        return text.replace(".", ",") if comma and not isinstance(value, str) else text

    lines = [separator.join(columns)]
    lines += [separator.join(map(spell, row)) for row in zip(*columns.values(), strict=True)]
    text = (front + end.join(lines) + end).replace("-", minus)
    (folder / name).write_bytes(text.encode(encoding))


def motion(
    clock: Mapping[str, Sequence[object] | Array], **options: object
) -> Callable[[Path], None]:
    """Return a writer of the pendulum under a clock."""

    def write(folder: Path) -> None:
        columns = {**clock, "angle_rad": ANGLE, "velocity_rad_s": SPEED, "torque_Nm": TORQUE}
        csv(folder, columns, **options)  # pyright: ignore[reportArgumentType]

    return write


def whole(values: Array) -> list[str]:
    """Return whole numbers as text."""
    return [f"{value:.0f}" for value in values]


def integers(start: int, step: int) -> list[str]:
    """Return exact whole numbers."""
    return [str(start + step * int(row)) for row in K]


def decimals(values: Array, digits: int) -> list[str]:
    """Return numbers with a number of decimals."""
    return [f"{value:.{digits}f}" for value in values]


def clock(
    name: str, stamps: Sequence[object] | Array, unit: str | float = "s", dt: float = DT
) -> Sample:
    """Return a sample of the class `clock`."""
    return Sample(
        "clock", name, motion({name.split("|", maxsplit=1)[0]: stamps}), dt, MOTION, unit=unit
    )


CLOCKS = [
    clock("timestamp|us since boot", integers(2_400_000_000, 10_000), "us"),
    clock("ts|ns since boot", integers(3_000_000_000_000, 10_000_000), "ns"),
    clock("time|ms", integers(0, 10), "ms"),
    clock("time|ms epoch", integers(1_700_000_000_000, 10), "ms"),
    clock("time|us epoch", integers(1_700_000_000_000_000, 10_000), "us"),
    clock("time|ns epoch", integers(1_700_000_000_000_000_000, 10_000_000), "ns"),
    clock("time|s epoch", decimals(1_700_000_000 + TIME, 3)),
    clock("micros", integers(5_000_000, 10_000), "us"),
    clock("boot_millis", integers(123_456, 10), "ms"),
    clock("time_nsec", integers(10**12, 10_000_000), "ns"),
    clock("t [msec]", decimals(1000 * TIME, 1), "ms"),
    clock("Zeit [µs]", integers(0, 10_000), "us"),
    clock("elapsed time (min)", decimals(TIME / 60, 9), 60.0),
    clock("time_hours", decimals(TIME / 3600, 12), 3600.0),
    clock("timestamp|FILETIME", integers(133_700_000_000_000_000, 100_000), 1e-7),
    clock("time|.NET ticks", integers(638_500_000_000_000_000, 100_000), 1e-7),
    clock("Time|Excel", decimals(45_500.25 + TIME / 86_400, 10), 86_400.0),
    clock("datenum|MATLAB", decimals(739_400.25 + TIME / 86_400, 10), 86_400.0),
    clock("t|MJD", decimals(60_500.5 + TIME / 86_400, 10), 86_400.0),
    clock("TOW", decimals(1000 * (345_600 + TIME), 0), "ms"),
    clock("Time|minutes, by velocities", decimals(TIME / 60, 9), 60.0),
    clock("time|elapsed days, by velocities", decimals(TIME / 86_400, 14), 86_400.0),
    clock("time {ms}", integers(0, 10), "ms"),
    clock("time [0.1 ms]", integers(0, 100), 1e-4),
    clock("time (1/100 s)", integers(0, 1), 0.01),
    clock("gps_tow_s", decimals(345_600 + TIME, 3)),
    clock("timestamp|date", [f"2024-05-01T12:00:{value:06.3f}Z" for value in TIME]),
    clock("time|s", decimals(TIME, 4)),
    clock("timestamp|compact", [f"202405011200{value:06.3f}" for value in TIME]),
    clock("Zeit|basic ISO", [f"20240501T1200{value:06.3f}Z" for value in TIME]),
    clock("time_10ms", decimals(TIME, 3)),
    clock("Messzeit", decimals(TIME, 3)),
    clock("SysTick_ms", integers(93_000, 10), "ms"),
    clock("dt_ms", ["10"] * ROWS, "ms"),
    clock("ts|underscores", [f"2024-05-01_12-00-{value:06.3f}" for value in TIME]),
    clock("ts|asctime", [f"Wed May  1 12:00:{value:06.3f} 2024" for value in TIME]),
    clock("time|minutes and seconds", [f"07:{value:06.3f}" for value in TIME]),
    clock("time|TimeSpan of .NET", [f"1.12:00:{value:06.3f}" for value in TIME]),
    clock("sample_ts", whole(10 * K + (K % 4 == 1)), "ms"),
]
LATE = 57.0 + TIME  # s; the next minute begins
ROUNDED = np.floor(np.arange(ROWS) * 0.006 * 100) / 100
OTHER_CLOCKS = [
    Sample(
        "clock", "newest row first",
        lambda folder: csv(
            folder,
            {"time": decimals(TIME[::-1], 3), "angle_rad": ANGLE[::-1],
             "velocity_rad_s": SPEED[::-1], "torque_Nm": TORQUE[::-1]},
        ),
        columns=MOTION, says="newest row is first",
    ),
    Sample(
        "clock", "newest date first",
        lambda folder: csv(
            folder,
            {"Time": [f"2024-05-01 12:00:{value:06.3f}" for value in TIME[::-1]],
             "angle_rad": ANGLE[::-1], "velocity_rad_s": SPEED[::-1], "torque_Nm": TORQUE[::-1]},
        ),
        columns=MOTION, says="newest row is first",
    ),
    Sample("clock", "rounded stamps", motion({"time": decimals(ROUNDED, 2)}), 0.006, MOTION,
           says="rounded_stamps"),
    Sample("clock", "32-bit wrap of micros",
           motion({"time_us": whole((4_294_967_296 - 1_000_000 + 10_000 * K) % 2**32)}), DT, MOTION,
           says="clock_wrap", unit="us"),
    Sample("clock", "16-bit wrap of ms", motion({"time_ms": whole((64_000 + 10 * K) % 2**16)}), DT,
           MOTION, says="clock_wrap", unit="ms"),
    Sample("clock", "24-bit wrap of us",
           motion({"time_us": whole((2**24 - 1_000_000 + 10_000 * K) % 2**24)}), DT, MOTION,
           says="clock_wrap", unit="us"),
    Sample("clock", "hhmmss in one number",
           motion({"utc_time": [f"12{int(s // 60):02d}{s % 60:05.2f}" for s in LATE]}), DT, MOTION,
           says="packed_time"),
    Sample("clock", "dates and milliseconds",
           motion({"DateTime": [f"2024-05-01 12:00:{int(s):02d}" for s in TIME],
                   "Millisecond": whole(np.round(1000 * TIME) % 1000)}), DT, MOTION),
    Sample("clock", "parts of a date",
           motion({"hour": ["12"] * ROWS, "minute": whole(LATE // 60),
                   "second": decimals(LATE % 60, 2)}), DT, MOTION),
    Sample("clock", "timecode of 25 frames",
           motion({"Timecode": [f"00:00:{k // 25:02d}:{k % 25:02d}" for k in K]}), 0.04, MOTION),
    Sample("clock", "unit contradicted by velocities", motion({"time_ms": decimals(TIME, 3)}),
           1e-5, says="velocities are derivatives of positions if it is in s"),
    *(
        Sample(
            "clock", f"{name} is no clock",
            lambda folder, name=name, values=values: csv(
                folder, {name: values, "speed_mps": 10 + SPEED, "steering_deg": TORQUE}
            ),
            None, says="--rate HZ",
        )
        for name, values in {
            "latitude": 48.1 + 1e-5 * K, "gps_lon": 11.5 + 1e-5 * K, "odometer_km": 9.0 + 0.01 * K,
            "energy [Wh]": 5.0 * K, "Breitengrad": 48.1 + 1e-5 * K, "fuel_level": 0.1 * K,
            "altitude (ft)": 2.0 * K, "encoder": 7.0 * K, "distance": 0.1 * K,
            "sample": 1.0 * K, "Hub": 0.05 * K, "Kilometerstand": 9.0 + 0.01 * K,
        }.items()
    ),
    Sample(
        "clock", "epoch minutes",
        lambda folder: csv(
            folder, {"timestamp": integers(28_576_080, 1), "level": LEVEL, "valve": VALVE},
        ),
        60.0, {"level": ("state", None), "valve": ("action", None)}, unit=60.0,
    ),
    Sample(
        "clock", "hourly epoch seconds",
        lambda folder: csv(
            folder,
            {"timestamp": integers(1_700_000_400, 3600), "level": LEVEL, "valve": VALVE},
        ),
        3600.0, {"level": ("state", None), "valve": ("action", None)}, unit="s",
    ),
]  # fmt: skip


def unit(name: str, expected: str | None, role: str | None = None) -> Sample:
    """Return a sample of the class `unit`: a column with a unit in its name."""
    says = "" if expected else "is not known"
    columns: dict[str, Column] = {name: (role, expected or "1")}
    return Sample(
        "unit", name,
        lambda folder: csv(
            folder,
            {"time": decimals(TIME, 3), "angle_rad": ANGLE, "velocity_rad_s": SPEED, name: TORQUE},
        ),
        DT, columns, says,
    )  # fmt: skip


UNITS = [
    unit("torque [Nmm]", "N*mm", "action"), unit("torque [mNm]", "mN*m", "action"),
    unit("torque [N.m]", "N*m", "action"), unit("torque [N-m]", "N*m", "action"),
    unit("torque (nm)", "N*m", "action"), unit("torque [kgf·cm]", "kgf*cm", "action"),
    unit("torque [kg-cm]", "kgf*cm", "action"), unit("torque [oz-in]", "ozf*inch", "action"),
    unit("torque [lb-ft]", "lbf*ft", "action"), unit("torque_Ncm", "N*cm", "action"),
    unit("distance [nm]", "nautical_mile", "state"), unit("wind speed [kn]", "knot", "state"),
    unit("force [kN]", "kN"), unit("thrust [kg]", "kgf"), unit("force [lbf]", "lbf"),
    unit("Drehzahl [U/min]", "rpm", "state"), unit("speed [min-1]", "rpm", "state"),
    unit("speed [m·s⁻¹]", "m/s", "state"), unit("speed [ft/min]", "ft/min", "state"),
    unit("acceleration [m/s²]", "m/s^2"), unit("accel [g]", "g_0"), unit("accel_x [mg]", "mg_0"),
    unit("yaw rate [°/s]", "deg/s", "state"), unit("heading [°]", "deg"),
    unit("motor temperature [°C]", "degC", "state"), unit("pressure [inHg]", "inHg", "state"),
    unit("pressure [kg/cm2]", "kgf/cm^2", "state"), unit("oil pressure [psi]", "psi", "state"),
    unit("speed <km/h>", "km/h", "state"), unit("angle2 {mrad}", "mrad"),
    unit("flow [l/min]", "l/min"), unit("flow [m3/h]", "m^3/h"),
    unit("mag [Gauss]", "gauss", "state"), unit("mag [Gs]", "gauss"), unit("Winkel2 [Grad]", "deg"),
    unit("oil temperature [degree Celsius]", "degC", "state"), unit("motor voltage [VDC]", "V"),
    unit("d [in]", "inch", "state"),
    unit("current [0.1 A]", "dA"), unit("pitch [0.01 deg]", "cdeg"), unit("power [kW]", "kW"),
    unit("power_W", "W"), unit("torque [% of rated]", None), unit("torque [flurbs]", None),
    unit("current (mA)", "mA"), unit("voltage [mV]", "mV", "action"),
    unit("current_ma", "mA"), unit("voltageMv", "mV"), unit("torque_ncm", "N*cm", "action"),
    unit("tau_nmm", "N*mm", "action"), unit("force_kn", "kN"), unit("pressure_kpa", "kPa"),
    unit("dist_nm", "nautical_mile", "state"), unit("speed_mm_per_s", "mm/s", "state"),
    unit("torque_oz_in", "ozf*inch", "action"), unit("flow_lpm", "l/min", "state"),
    unit("torque [NM]", "N*m", "action"), unit("temp [deg. C]", "degC", "state"),
    unit("phi2 [″]", "arcsec"), unit("torque_raw", "1", "action"), unit("torque_counts", "1"),
    unit("spring [Nm/rad]", "N*m/rad", "state"), unit("voltage_cv", "cV", "action"),
    unit("effort_n", "N", "action"), unit("force_daN", "daN"), unit("pressure in kPa", "kPa"),
    unit("torque_cNm", "cN*m", "action"), unit("force_mn", None), unit("speed m/s", "m/s", "state"),
    unit("flow/l/min", "l/min"), unit("temp_cdegC", None), unit("v_cm_min", "cm/min"),
    unit("gyro_y_deg_h", "deg/h", "state"), unit("accel [ug]", "ug_0"), unit("position_nm", None),
    unit("TORQUE_MNM", "mN*m", "action"), unit("voltage_in_dV", "dV", "action"),
]  # fmt: skip

GROUPED = [f"{value:,.1f}" for value in 20000 * ANGLE]
SPELLINGS = [
    Sample("spelling", "German spreadsheet",
           motion({"time": TIME}, separator=";", comma=True), DT, MOTION),
    Sample("spelling", "French export, tabs",
           motion({"time": TIME}, separator="\t", comma=True, end="\r\n"), DT, MOTION),
    Sample("spelling", "Italian pandas, quoted commas",
           lambda folder: csv(folder, {
               name: [f'"{value:.5f}"'.replace(".", ",") for value in values]
               for name, values in {"time": TIME, "angle_rad": ANGLE, "velocity_rad_s": SPEED,
                                    "torque_Nm": TORQUE}.items()}), DT, MOTION),
    Sample("spelling", "groups of digits in quotes",
           lambda folder: csv(folder, {"time": TIME, "position_mm": [f'"{v}"' for v in GROUPED],
                                       "force_N": TORQUE}),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "whole thousands between tabs",
           lambda folder: csv(folder, {"time": TIME, "force_N": TORQUE,
                                       "position_mm": [f"{int(v):,}" for v in 9000 * ANGLE]},
                              separator="\t"),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "Swiss apostrophes",
           lambda folder: csv(folder, {"time": TIME, "force_N": TORQUE,
                                       "position_mm": [v.replace(",", "'") for v in GROUPED]},
                              separator=";"),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "French thousands",
           lambda folder: csv(folder, {"time": decimals(TIME, 3), "force_N": decimals(TORQUE, 6),
                                       "position_mm": [v.replace(",", "\u202f") for v in GROUPED]},
                              separator=";"),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "Spanish thousands",
           lambda folder: csv(folder, {"time": TIME, "force_N": TORQUE,
                                       "position_mm": [v.translate(str.maketrans(",.", ".,"))
                                                       for v in GROUPED]},
                              separator=";", comma=True),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "NaN of Windows",
           lambda folder: csv(folder, {"time": TIME, "angle_rad": ANGLE,
                                       "velocity_rad_s": ["-nan(ind)" if k in {50, 90} else v
                                                          for k, v in enumerate(SPEED)],
                                       "torque_Nm": TORQUE}), DT, MOTION),
    Sample("spelling", "UTF-16",
           motion({"time": TIME}, separator="\t", encoding="utf-16"), DT, MOTION),
    Sample("spelling", "lines that end in CR", motion({"time": TIME}, end="\r"), DT, MOTION),
    Sample("spelling", "separator stated by Excel", motion({"time": TIME}, separator=";",
                                                           front="sep=;\n"), DT, MOTION),
    Sample("spelling", "zeros after a power loss", lambda folder: (
        motion({"time": TIME})(folder),
        (folder / "run.csv").write_bytes((folder / "run.csv").read_bytes() + bytes(700)),
    )[0], DT, MOTION),
    Sample("spelling", "lists in cells",
           lambda folder: csv(folder, {"time": TIME,
                                       "q": [f'"[{a:.6f}, {a / 2:.6f}]"' for a in ANGLE],
                                       "dq": [f'"[{a:.6f} {a / 2:.6f}]"' for a in SPEED],
                                       "tau": [f'"({a:.6f}, {-a:.6f})"' for a in TORQUE]}),
           DT, {"q[0]": ("state", "rad"), "dq[1]": ("state", "rad/s"),
                "tau[0]": ("action", "N*m")}),
    *(
        Sample("spelling", f"cells with lists {name}",
               lambda folder, form=form, mark=mark: csv(folder, {
                   "time": TIME,
                   **{name: [form.format(a, a / 2) for a in values]
                      for name, values in {"q": ANGLE, "dq": SPEED, "tau": TORQUE}.items()}},
                   separator=mark),
               DT, {"q[0]": ("state", "rad"), "dq[1]": ("state", "rad/s"),
                    "tau[0]": ("action", "N*m")})
        for name, form, mark in (
            ("in braces", '"{{{:.6f},{:.6f}}}"', ","), ("unquoted", "[{:.6f}, {:.6f}]", ";"),
            ("of torch", '"tensor([{:.6f}, {:.6f}])"', ","),
            ("of NumPy 2", '"[np.float64({:.6f}), np.float64({:.6f})]"', ","),
            ("with names", "{{'x': {:.6f}, 'y': {:.6f}}}", ";"),
        )
    ),
    *(
        Sample("spelling", f"names after {mark}",
               lambda folder, mark=mark: (folder / "run.txt").write_text(
                   f"{mark} time angle_rad velocity_rad_s torque_Nm\n" + "".join(
                       f"{TIME[k]:.2f} {ANGLE[k]:.6f} {SPEED[k]:.6f} {TORQUE[k]:.6f}\n"
                       for k in K)), DT, MOTION)
        for mark in ("#", "%")
    ),
    Sample("spelling", "names and units in comments",
           lambda folder: (folder / "run.dat").write_text(
               "# time angle torque\n# ms deg mNm\n" + "".join(
                   f"{10 * k} {np.rad2deg(ANGLE[k]):.6f} {1000 * TORQUE[k]:.6f}\n" for k in K)),
           DT, {"angle": ("state", "rad"), "torque": ("action", "mN*m")}, unit="ms"),
    Sample("spelling", "degree signs in Latin-1 cells",
           lambda folder: csv(folder, {"time": TIME, "torque_Nm": TORQUE,
                                       "angle": [f"{v:.4f}°" for v in np.rad2deg(ANGLE)]},
                              encoding="latin-1"),
           DT, {"angle": ("state", "rad"), "torque_Nm": ("action", "N*m")}),
    Sample("spelling", "typographic minus",
           motion({"time": TIME}, name="run.csv", minus="\u2212"), DT, MOTION),
    Sample("spelling", "a line of noise", lambda folder: (
        motion({"time": TIME})(folder),
        (folder / "run.csv").write_bytes(
            (folder / "run.csv").read_bytes().replace(b"\n1,", b"\n\x01\x02\x80\x13x\n1,", 1)),
    )[0], DT, MOTION),
    Sample("spelling", "German thousands without decimals",
           lambda folder: csv(folder, {"time": TIME, "force_N": TORQUE,
                                       "position_mm": [f"{int(v):,}".replace(",", ".")
                                                       for v in 9000 * ANGLE]},
                              separator="\t", comma=True),
           DT, {"position_mm": ("state", "mm"), "force_N": ("action", "N")}),
    Sample("spelling", "table of R",
           lambda folder: (folder / "run.txt").write_text(
               "time angle_rad velocity_rad_s torque_Nm\n" + "".join(
                   f"{k + 1} {TIME[k]:.2f} {ANGLE[k]:.6f} {SPEED[k]:.6f} {TORQUE[k]:.6f}\n"
                   for k in K)), DT, MOTION),
    Sample("spelling", "units below the names",
           lambda folder: csv(folder, {"t": ["ms", *integers(0, 10)],
                                       "angle": ["deg", *np.rad2deg(ANGLE)],
                                       "torque": ["Nmm", *(1000 * TORQUE)]}),
           DT, {"angle": ("state", "rad"), "torque": ("action", "N*mm")}, unit="ms"),
]  # fmt: skip


def loop(name: str, clock_name: str, setpoint: str, level: str, valve: str) -> Sample:
    """Return a sample of a control loop under the names of set point, measurement and output."""
    return Sample(
        "role", name,
        lambda folder: csv(folder, {clock_name: decimals(10 * TIME, 2), setpoint: SETPOINT,
                                    level: LEVEL, valve: VALVE}),
        0.1, {setpoint: ("left", None), level: ("state", None), valve: ("action", None)},
    )  # fmt: skip


ROLES = [
    loop("English", "time", "setpoint", "process_value", "controller_output"),
    loop("PLC tags", "time", "LIC101.SP", "LIC101.PV", "LIC101.MV"),
    loop("PLC tags, output", "time", "LIC7_SP", "LIC7_PV", "LIC7_OP"),
    loop("Portuguese", "tempo", "referencia", "saida", "controle"),
    loop("Spanish", "tiempo", "consigna", "nivel", "mando"),
    loop("French", "temps", "consigne", "niveau", "commande"),
    loop("Italian", "tempo", "riferimento", "livello", "comando"),
    loop("Dutch", "tijd", "setpunt", "niveau", "klep"),
    loop("German", "Zeit", "Sollwert", "Istwert", "Stellgröße"),
    loop("German signal names", "Zeit", "Füllstand_soll", "Füllstand_ist", "Stellsignal"),
    loop("no name of the output", "time", "setpoint", "y1", "y2"),
    loop("German letters", "t", "w", "x", "y"),
    loop("tags alone", "t", "SP", "PV", "OP"),
    loop("tags in front", "time", "SP_Tank1", "PV_Tank1", "MV_Tank1"),
    loop("Finnish", "aika", "asetusarvo", "pinta", "venttiili"),
    loop("Siemens FB41", "time", "SP_INT", "PV_IN", "LMN"),
    loop("Portuguese output", "tempo", "referência", "nível", "Saída do controlador"),
    loop("actual", "Timestamp", "Setpoint", "Actual", "Output"),
    *(
        Sample("role", f"{reading} of {command}",
               lambda folder, command=command, reading=reading: csv(
                   folder, {"time": TIME, "omega": SPEED, command: TORQUE,
                            reading: np.roll(TORQUE, 1)}),
               DT, {"omega": ("state", None), command: ("action", None),
                    reading: ("no action", None)})
        for command, reading in (
            ("Valve Demand (%)", "Valve Actual (%)"), ("ThrottleReq", "ThrottleAct"),
            ("Ventil Ansteuerung", "Ventil Rückmeldung"), ("Torque Setpoint", "Torque Actual"),
            ("Couple demandé", "Couple mesuré"), ("EM_MomentSoll [Nm]", "EM_MomentIst [Nm]"),
            ("StrWhlAngReq", "StrWhlAngAct"), ("current_cmd", "torque_measured"),
        )
    ),
    Sample("role", "force of the tool, targets of the joints",
           lambda folder: csv(folder, {"time": TIME, "actual_q_0": ANGLE, "actual_qd_0": SPEED,
                                       "tcp_force_0": np.roll(3 * TORQUE, 1),
                                       "target_q_0": np.roll(ANGLE, -3)}),
           DT, {"tcp_force_0": ("no action", None), "target_q_0": ("action", None)}),
    Sample("role", "output and terms of a controller",
           lambda folder: csv(folder, {"time": TIME, "theta": ANGLE, "omega": SPEED,
                                       "pid_p": 0.6 * TORQUE, "pid_i": 0.4 * TORQUE,
                                       "pid_out": TORQUE}),
           DT, {"pid_out": ("action", None), "pid_p": ("left", None)}),
    Sample("role", "thrusts of motors",
           lambda folder: csv(folder, {"time": TIME, "roll": ANGLE, "gyro_x": SPEED,
                                       "thrust_1": 5 + TORQUE, "thrust_2": 5 - TORQUE}),
           DT, {"roll": ("state", "rad"), "thrust_1": ("action", None)}),
]  # fmt: skip


def _topics(folder: Path) -> None:
    from tests.ingest.messages import write_mcap

    start = 1_700_000_000_000_000_000
    messages: list[tuple[str, int, dict[str, float]]] = []
    for topic, rate, content in (
        ("/imu", 200, lambda t: {"gyro_x": 2.0 * np.cos(2.0 * t)}),
        ("/attitude", 25, lambda t: {"roll": np.sin(2.0 * t)}),
        ("/motors", 10, lambda t: {"torque": float(np.sign(np.sin(1.3 * t)))}),
    ):
        messages += [
            (topic, start + round(1e9 * k / rate), content(k / rate)) for k in range(20 * rate)
        ]
    write_mcap(folder / "run.mcap", sorted(messages, key=lambda item: item[1]))


def _structs(folder: Path) -> None:
    from scipy.io import savemat

    def signal(name: str, unit: str, values: Array) -> dict[str, object]:
        return {"Name": name, "Unit": unit, "Data": values, "XIndex": 1.0}

    y = np.array([signal("angle", "deg", np.rad2deg(ANGLE)), signal("torque", "Nmm", TORQUE)])
    savemat(folder / "run7.mat", {"run7": {"X": {"Name": "", "Data": TIME}, "Y": y}})


def _held_commands(folder: Path) -> None:
    from tests.ingest.messages import write_mcap

    start = 1_700_000_000_000_000_000
    messages = [
        ("/joint", start + 10_000_000 * k, {"position": np.sin(0.02 * k),
                                            "velocity": 2.0 * np.cos(0.02 * k)})
        for k in range(4000)
    ]  # fmt: skip
    messages += [("/cmd", start + 2 * 10**9 * k + 1, {"effort": (-1.0) ** k}) for k in range(20)]
    write_mcap(folder / "run.mcap", sorted(messages, key=lambda item: item[1]))


def _demonstrations(folder: Path) -> None:
    import h5py

    for run in range(4):
        with h5py.File(folder / f"episode_{run}.hdf5", "w") as file:
            file["observations/qpos"] = np.stack([ANGLE + 0.1 * run, 0.5 * SPEED], axis=1)
            file["observations/effort"] = np.stack([TORQUE, -TORQUE], axis=1)
            file["action"] = np.stack([np.roll(ANGLE, -3), np.roll(SPEED, -3)], axis=1)
            file.attrs["fps"] = 50


def _empty_recording(folder: Path) -> None:
    import polars as pl

    for run, rows in enumerate((ROWS, ROWS, 0)):
        table = {"time": TIME[:rows], "angle": ANGLE[:rows], "torque": TORQUE[:rows]}
        pl.DataFrame(table).write_parquet(folder / f"run{run}.parquet")


def _chunks(folder: Path) -> None:
    import polars as pl

    for run in range(3):
        action = np.stack([np.roll(TORQUE, -k) for k in range(4)], axis=1)[:, :, None]
        pl.DataFrame(
            {
                "timestamp": TIME,
                "observation.state": np.stack([ANGLE + run, SPEED], axis=1),
                "action": action,
                "action_is_pad": np.zeros((ROWS, 4), bool) | (K[:, None] + np.arange(4) >= ROWS),
            }
        ).write_parquet(folder / f"run{run}.parquet")


OTHERS = [
    Sample("rate", "slow attitude and commands", _topics, 0.1,
           {"/imu.gyro_x": ("state", "rad/s"), "/attitude.roll": ("state", "rad"),
            "/motors.torque": ("action", "N*m")}, says="would drop"),
    Sample("container", "structs of signals in MATLAB", _structs, DT,
           {"angle": ("state", "rad"), "torque": ("action", "N*mm")}),
    Sample("container", "chunks of actions", _chunks, DT,
           {"action[0][0]": ("action", None), "action_is_pad[0]": ("left", None)},
           learn="imitation"),
    Sample("rate", "commands on change", _held_commands, DT,
           {"/joint.position": ("state", "rad"), "/cmd.effort": ("action", "N*m")}),
    Sample("container", "efforts among observations", _demonstrations, 0.02,
           {"observations/effort[0]": ("no action", None), "action[0]": ("action", None)},
           learn="imitation"),
    Sample("container", "a recording without rows", _empty_recording, DT,
           {"angle": ("state", "rad")}, says="run2.parquet: too short"),
    Sample("container", "a rate that contradicts the clock",
           lambda folder: np.savez(folder / "run.npz", t=TIME, q=ANGLE, tau=TORQUE, fs=50.0), DT,
           {"q": ("state", "rad")}, says="the metadata states 50 Hz"),
    Sample("container", "a rate in JSON that contradicts the clock",
           lambda folder: (folder / "run.json").write_text(json.dumps(
               {"rate_hz": 50, "time": [*TIME], "q": [*ANGLE], "tau": [*TORQUE]})), DT,
           {"q": ("state", "rad")}, says="the metadata states 50 Hz"),
    Sample("container", "clocks in ms and in s", lambda folder: (
        motion({"time_ms": integers(0, 10)}, name="a.csv")(folder),
        motion({"time_s": decimals(TIME, 2)}, name="b.csv")(folder),
    )[0], DT, MOTION, says="b.csv: has timestamps in s, and a.csv timestamps in ms"),
    Sample("container", "a list of events next to a log", lambda folder: (
        motion({"time": TIME})(folder),
        (folder / "events.csv").write_text("time,event\n0.5,start\n1.5,stop\n2.5,on\n"),
    )[0], DT, MOTION, says="events.csv"),
    Sample("container", "a zarr store", lambda folder: (
        (folder / "run.zarr").mkdir(), (folder / "run.zarr/.zgroup").write_text("{}"),
    )[0], says="is a zarr store", dt=None),
    Sample("container", "a video next to a log", lambda folder: (
        motion({"time": TIME})(folder), (folder / "run.mp4").write_bytes(b"\0\0\0\x18ftypmp42"),
    )[0], DT, MOTION, says="run.mp4"),
]  # fmt: skip

SAMPLES = [*CLOCKS, *OTHER_CLOCKS, *UNITS, *SPELLINGS, *ROLES, *OTHERS]
