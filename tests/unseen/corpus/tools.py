"""Small logs in the layouts of tools: test benches, drives, controllers, motion capture, vehicles.

The header blocks, unit rows, clocks and names are those that the tools write. `TOOLS` has the same
columns as `samples.SAMPLES`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.unseen.corpus.samples import (
    ANGLE,
    DT,
    LEVEL,
    ROWS,
    SETPOINT,
    SPEED,
    TIME,
    TORQUE,
    VALVE,
    Array,
    Column,
    K,
    Sample,
    csv,
    decimals,
    integers,
)

Cells = Sequence[object] | Array
DEGREES = np.rad2deg(ANGLE)
RPM = SPEED * 60.0 / (2.0 * np.pi)
CURRENT = TORQUE / 0.12  # A, of a motor that makes the torque
NOISE = 0.01 * np.random.default_rng(3).standard_normal(ROWS)
EPOCH = 1_714_564_800  # s, 2024-05-01 12:00:00 UTC
STATES: dict[str, Column] = {"angle": ("state", "rad"), "torque": ("action", "N*m")}


def clock_of(form: str, point: str = ".", digits: int = 3) -> list[str]:
    """Return dates on 2024-05-01 from 12:00; `{}` in `form` is the time of the day."""
    return [form.format(f"12:00:{value:0{digits + 3}.{digits}f}".replace(".", point))
            for value in TIME]  # fmt: skip


def lines(
    folder: Path,
    top: Sequence[str],
    columns: Sequence[Cells],
    *,
    separator: str = ",",
    comma: bool = False,
    file: str = "run.csv",
    end: str = "\n",
    start: str = "",
    tail: str = "",
    encoding: str = "utf-8",
) -> None:
    """Write header lines, and rows of numbers with 6 decimals; `start` begins each row."""

    def spell(value: object) -> str:
        if isinstance(value, str):
            return value
        return f"{value:.6f}".replace(".", ",") if comma else f"{value:.6f}"

    rows = [start + separator.join(map(spell, row)) + tail for row in zip(*columns, strict=True)]
    (folder / file).write_bytes((end.join([*top, *rows]) + end).encode(encoding))


def table(
    kind: str,
    name: str,
    top: str,
    columns: Sequence[Cells],
    expected: dict[str, Column],
    *,
    dt: float | None = DT,
    unit: str | float | None = None,
    says: str = "",
    **options: object,
) -> Sample:
    """Return a sample of a text table below the header lines `top`."""

    def write(folder: Path) -> None:
        lines(folder, top.split("\n"), columns, **options)  # pyright: ignore[reportArgumentType]

    return Sample(kind, name, write, dt, expected, says, unit)


LVM = """LabVIEW Measurement\t
Writer_Version\t2
Reader_Version\t2
Separator\tTab
Decimal_Separator\t.
Multi_Headings\tNo
X_Columns\t{x}
Time_Pref\tAbsolute
Operator\tbench
Date\t2024/05/01
Time\t12:00:00.1234567890123456789
***End_of_Header***\t
\t
Channels\t2\t\t
Samples\t400\t400\t
Date\t2024/05/01\t2024/05/01\t
Time\t12:00:00.1234567\t12:00:00.1234567\t
Y_Unit_Label\trad\tNm\t
X_Dimension\tTime\tTime\t
X0\t0.0000000000000000E+0\t0.0000000000000000E+0\t
Delta_X\t0.010000\t0.010000\t
***End_of_Header***\t\t\t
X_Value\tangle\ttorque\tComment"""
DSPACE = """descriptor,version,1
creation_date,2024-05-01T12:00:00

trace_properties
format,table
id,1,2,3
type,x,y,y
path,Time,Platform/Model Root/angle,Platform/Model Root/torque
name,Time,angle,torque
unit,s,rad,Nm
trace_values"""
BECKHOFF = """Name,YT Scope Project
File,C:\\Scope\\run.csv
StartTime,133590384000000000,01.05.2024 12:00:00
EndTime,133590384040000000,01.05.2024 12:00:04

Name,angle,Name,torque
SymbolComment,,SymbolComment,
Data-Type,REAL64,Data-Type,REAL64
SampleTime[ms],10,SampleTime[ms],10
VariableSize,8,VariableSize,8
SymbolBased,true,SymbolBased,true
SymbolName,MAIN.angle,SymbolName,MAIN.torque
NetID,5.6.7.8.1.1,NetID,5.6.7.8.1.1
Port,851,Port,851
Offset,0,Offset,0
ScaleFactor,1,ScaleFactor,1
BitMask,0xFF,BitMask,0xFF
"""
ROCKWELL = """Controller Name:,"PLC1"
Trend Name:,"Axis"
Trend Tags:,2
"Axis_angle","REAL","Online"
"Axis_torque_cmd","REAL","Online"
Sample Period:,10 ms
Description:,""
Start Time:,05/01/2024;12:00:00;000
Stop Time:,05/01/2024;12:00:04;000
Header:,"Date","Time","Axis_angle","Axis_torque_cmd\""""
MOTEC = """"Format","MoTeC CSV File",,,"Workbook",""
"Venue","Track",,,"Worksheet",""
"Device","ADL",,,"Session",""
"Log Date","01/05/2024",,,"Origin Time","0.000","s"
"Sample Rate","100.000","Hz",,"End Time","4.000","s"
"Duration","4.000","s",,"Start Distance","0","m"

"Time","Ground Speed","Steering Angle","Yaw Rate"
"s","km/h","deg","deg/s"

"""
TEKTRONIX = """Model,MSO44
Firmware Version,1.36.6
Waveform Type,ANALOG
Point Format,Y
Horizontal Units,s
Horizontal Scale,0.4
Sample Interval,0.01
Record Length,400
Vertical Units,V,A
Label,voltage,current

TIME,CH1_voltage,CH2_current"""
MOTIVE = """Format Version,1.23,Take Name,Take 2024,Capture Frame Rate,100.000000,Rotation Type,Quaternion,Length Units,Meters

,,Rigid Body,Rigid Body,Rigid Body,Rigid Body,Rigid Body,Rigid Body,Rigid Body,Rigid Body
,,drone,drone,drone,drone,drone,drone,drone,drone
,,"8A5C","8A5C","8A5C","8A5C","8A5C","8A5C","8A5C","8A5C"
,,Rotation,Rotation,Rotation,Rotation,Position,Position,Position,Mean Marker Error
Frame,Time (Seconds),X,Y,Z,W,X,Y,Z,"""  # noqa: E501
VICON = """Trajectories
100
,,drone:front,,,drone:back,,
Frame,Sub Frame,X,Y,Z,X,Y,Z
,,mm,mm,mm,mm,mm,mm"""
QUALISYS = """NO_OF_FRAMES\t400
NO_OF_CAMERAS\t8
NO_OF_MARKERS\t2
FREQUENCY\t100
NO_OF_ANALOG\t0
ANALOG_FREQUENCY\t0
DESCRIPTION\t--
TIME_STAMP\t2024-05-01, 12:00:00.000\t0.5
DATA_INCLUDED\t3D
MARKER_NAMES\tfront\tback"""
_TURN = (np.zeros(ROWS), np.zeros(ROWS), np.sin(ANGLE / 2), np.cos(ANGLE / 2))
_PLACE = (0.1 * ANGLE, 0.2 * SPEED, 1.0 + NOISE)
BENCHES = [
    *(
        table("test bench", f"LabVIEW .lvm, X column {x}", LVM.format(x=x),
              [decimals(TIME, 6) if x == "One" else [""] * ROWS, ANGLE, TORQUE], STATES,
              separator="\t", file="run.lvm", end="\r\n")
        for x in ("One", "No")
    ),
    table("test bench", "LabVIEW waveforms",
          "waveform\t[0]\t[1]\nt0\t01/05/2024 12:00:00.000\t01/05/2024 12:00:00.000\n"
          "delta t\t0.010000\t0.010000\n\ntime\tangle\ttorque",
          [clock_of("01/05/2024 {}", digits=6), ANGLE, TORQUE], STATES, separator="\t",
          file="run.txt"),
    table("test bench", "SignalExpress",
          "channel names:\t\nangle\ttorque\nstart times:\n5/1/2024 12:00:00.1 PM\t"
          "5/1/2024 12:00:00.1 PM\ndt:\n0.010000\t0.010000\ndata:", [ANGLE, TORQUE], STATES,
          separator="\t", file="run.txt"),
    table("test bench", "dSPACE ControlDesk CSV", DSPACE, [[""] * ROWS, TIME, ANGLE, TORQUE],
          STATES),
    table("test bench", "PicoScope", "Time,angle,torque\n(ms),(rad),(Nm)\n",
          [1000 * TIME, ANGLE, TORQUE], STATES, unit="ms", end="\r\n"),
    table("test bench", "Tektronix", TEKTRONIX, [TIME, SPEED, CURRENT],
          {"CH1_voltage": ("action", "V"), "CH2_current": ("state", "A")}),
    table("test bench", "Keysight", "x-axis,1,2\nsecond,Volt,Ampere", [TIME, TORQUE, SPEED],
          {"1": (None, "V"), "2": (None, "A")}),
    table("test bench", "Saleae", "Time [s],angle,torque", [decimals(TIME, 9), ANGLE, TORQUE],
          STATES),
    table("test bench", "INCA, CANape: names and units", "time\tangle\ttorque\n[s]\t[deg]\t[Nm]",
          [TIME, DEGREES, TORQUE], {"angle": ("state", "rad"), "torque": ("action", "N*m")},
          separator="\t", file="run.txt"),
    table("test bench", "MoTeC", MOTEC,
          [[f'"{value:.3f}"' for value in TIME], 80 + SPEED, DEGREES, 10 * SPEED],
          {"Ground Speed": ("state", "km/h"), "Steering Angle": ("action", "deg"),
           "Yaw Rate": ("state", "deg/s")}, end="\r\n"),
    table("test bench", "Thorlabs",
          "Date (MM/dd/yyyy) ;Time of day (hh:mm:ss.fff) ;Position (mm) ;Voltage (V) ",
          [["05/01/2024"] * ROWS, clock_of("{}"), 3 + ANGLE, TORQUE],
          {"Position (mm)": ("state", "mm"), "Voltage (V)": ("action", "V")}, separator=";"),
    table("test bench", "HBM catman",
          "HBM catman Ascii export\nKanalname\tZeit\tWinkel\tDrehmoment\nEinheit\ts\t°\tNm\n"
          "Abtastrate\t100 Hz\t100 Hz\t100 Hz", [[""] * ROWS, TIME, DEGREES, TORQUE],
          {"Winkel": ("state", "rad"), "Drehmoment": ("action", "N*m")}, separator="\t",
          comma=True, file="run.txt"),
]  # fmt: skip
CONTROLLERS = [
    table("controller", "Siemens TIA trace",
          'Sample;Zeit [ms];"Achse_1".ActualPosition;"Achse_1".ActualVelocity;'
          '"Achse_1".StatusDrive;"Achse_1".SetTorque',
          [integers(0, 1), 1000 * TIME, DEGREES, SPEED, ["1"] * ROWS, TORQUE],
          {'Achse_1.ActualPosition': ("state", None), 'Achse_1.SetTorque': ("action", None)},
          separator=";", comma=True, unit="ms"),
    Sample("controller", "Siemens WinCC archive", lambda folder: lines(
        folder, ['"VarName";"TimeString";"VarValue";"Validity";"Time_ms"'],
        [
            ['"level"', '"valve"'] * 200,
            [f'"01.05.2024 12:{k // 60:02d}:{k % 60:02d}"' for k in range(200) for _ in "ab"],
            [f"{v:.4f}".replace(".", ",") for k in range(200) for v in (LEVEL[k], VALVE[k])],
            ["1"] * 400,
            [f"{45413500000 + 11.574074 * k:.6f}".replace(".", ",") for k in range(200)
             for _ in "ab"],
        ], separator=";"), 1.0, {"level": ("state", None), "valve": ("action", None)}),
    table("controller", "TwinCAT Scope", BECKHOFF,
          [decimals(1000 * TIME, 0), ANGLE, decimals(1000 * TIME, 0), TORQUE], STATES, unit="ms"),
    table("controller", "Studio 5000 trend", ROCKWELL,
          [["05/01/2024"] * ROWS, [t.replace(".", ";") for t in clock_of("{}")], ANGLE, TORQUE],
          {"Axis_angle": ("state", "rad"), "Axis_torque_cmd": ("action", "N*m")}, start="Data,"),
    table("controller", "Codesys trace", "Time(us);Plant.angle;Plant.torque",
          [integers(0, 10_000), ANGLE, TORQUE],
          {"Plant.angle": ("state", "rad"), "Plant.torque": ("action", "N*m")}, separator=";",
          unit="us"),
    table("controller", "pairs of clock and value",
          "angle Time,angle ValueY,torque Time,torque ValueY",
          [clock_of("01.05.2024 {}"), ANGLE, clock_of("01.05.2024 {}"), TORQUE],
          {"angle ValueY": ("state", "rad"), "torque ValueY": ("action", "N*m")}),
    table("controller", "pairs, each with its clock", "Time1;angle;Time2;torque",
          [TIME, ANGLE, TIME + 0.003, TORQUE], STATES, separator=";"),
]  # fmt: skip
DRIVES = [
    table("drive", "VESC",
          "ms_today;input_voltage;temp_mos_max;temp_motor;current_motor;current_in;d_axis_current;"
          "q_axis_current;erpm;duty_cycle;amp_hours_used;tacho_position;fault_code;",
          [integers(43_200_000, 10), 48 + NOISE, 30 + 0.1 * TIME, 35 + 0.2 * TIME, CURRENT,
           0.5 * CURRENT, NOISE, CURRENT, 7 * RPM, 0.1 * TORQUE, 0.001 * TIME,
           np.round(100 * ANGLE), ["0"] * ROWS],
          {"erpm": ("state", None), "duty_cycle": ("action", None),
           "temp_motor": ("state", None)}, separator=";", tail=";", unit="ms"),
    table("drive", "ODrive",
          "time,axis0.encoder.pos_estimate,axis0.encoder.vel_estimate,"
          "axis0.motor.current_control.Iq_setpoint,axis0.motor.current_control.Iq_measured",
          [TIME, ANGLE / 6.2832, SPEED / 6.2832, CURRENT, CURRENT + NOISE],
          {"axis0.encoder.pos_estimate": ("state", None),
           "axis0.motor.current_control.Iq_setpoint": ("action", None),
           "axis0.motor.current_control.Iq_measured": ("no action", None)}),
    table("drive", "Dynamixel",
          "timestamp_ms,id1_present_position,id1_present_velocity,id1_present_current,"
          "id1_goal_current",
          [integers(0, 10), np.round(2048 + 652 * ANGLE), np.round(RPM / 0.229),
           np.round(100 * TORQUE + 3 * NOISE), np.round(100 * TORQUE)],
          {"id1_present_position": ("state", None), "id1_present_velocity": ("state", None),
           "id1_present_current": ("no action", None), "id1_goal_current": ("action", None)},
          unit="ms"),
    table("drive", "currents of the axes d and q", "time,omega_m,theta_e,i_d,i_q,u_d,u_q",
          [TIME, SPEED, ANGLE, NOISE, CURRENT, 0.1 * NOISE, TORQUE],
          {"omega_m": ("state", "rad/s"), "i_q": ("no action", None), "u_q": ("action", None)}),
    table("drive", "KEB COMBIVIS",
          "COMBIVIS Scope\nDatum;01.05.2024\nAbtastzeit;10;ms\n\n"
          "Zeit [ms];ru.07: Istdrehzahl [1/min];ru.15: Wirkstrom [A];op.03: Solldrehmoment [Nm]",
          [1000 * TIME, RPM, CURRENT + NOISE, TORQUE],
          {"ru.07: Istdrehzahl [1/min]": ("state", "rpm"),
           "ru.15: Wirkstrom [A]": ("no action", "A"),
           "op.03: Solldrehmoment [Nm]": ("action", "N*m")}, separator=";", comma=True, unit="ms"),
    table("drive", "SEW MOVITOOLS",
          "Time/ms\tActual speed/rpm\tActive current/%\tTorque setpoint/%",
          [1000 * TIME, RPM, 10 * CURRENT + NOISE, 10 * TORQUE],
          {"Actual speed/rpm": ("state", "rpm"), "Torque setpoint/%": ("action", "percent"),
           "Active current/%": ("no action", "percent")}, separator="\t", file="run.txt",
          unit="ms"),
    table("drive", "Bosch Rexroth IndraWorks",
          'Time[ms];"S-0-0051, Position feedback value 1 [Deg]";'
          '"S-0-0040, Velocity feedback value [Rpm]";"S-0-0080, Torque command value [%]"',
          [1000 * TIME, DEGREES, RPM, 10 * TORQUE],
          {"S-0-0051, Position feedback value 1 [Deg]": ("state", "rad"),
           "S-0-0040, Velocity feedback value [Rpm]": ("state", "rpm"),
           "S-0-0080, Torque command value [%]": ("action", "percent")}, separator=";", unit="ms"),
    table("drive", "speed controller of a bench",
          "t_ms,n_set[rpm],n_act[rpm],T_act[Nm],T_dem[Nm]",
          [integers(0, 10), np.repeat([100.0, 300.0], ROWS // 2), RPM, TORQUE + NOISE, TORQUE],
          {"n_act[rpm]": ("state", "rpm"), "T_dem[Nm]": ("action", "N*m"),
           "T_act[Nm]": ("no action", "N*m")}, unit="ms"),
    table("drive", "Arduino plotter, labels", "angle:0.3,torque:0.0",
          [[f"angle:{value:.4f}" for value in ANGLE], [f"torque:{value:.4f}" for value in TORQUE]],
          {}, dt=None, says="--rate HZ", file="run.txt"),
    table("drive", "Arduino monitor with stamps", "12:00:00.000 -> angle,torque",
          [[f"{stamp} -> {value:.4f}" for stamp, value in zip(clock_of("{}"), ANGLE, strict=True)],
           TORQUE], STATES, file="run.txt"),
    table("drive", "Arduino monitor, labels with stamps", "12:00:00.000 -> ready",
          [[f"{stamp} -> angle:{value:.4f}" for stamp, value in
            zip(clock_of("{}"), ANGLE, strict=True)],
           [f"torque:{value:.4f}" for value in TORQUE]], STATES, file="run.txt"),
]  # fmt: skip
MOCAP = [
    table("motion capture", "OptiTrack Motive", MOTIVE,
          [integers(0, 1), TIME, *_TURN, *_PLACE, 0.0002 + 0.0001 * NOISE],
          {"Position.X": ("state", None), "Rotation.W": ("state", "1")}),
    table("motion capture", "Vicon Nexus", VICON,
          [integers(1, 1), ["0"] * ROWS, *(1000 * v for v in _PLACE),
           *(50 + 1000 * v for v in _PLACE)],
          {"drone:front.X": ("state", "mm"), "drone:back.Z": ("state", "mm")}),
    table("motion capture", "Qualisys TSV",
          QUALISYS + "\nFrame\tTime\tfront X\tfront Y\tfront Z\tback X\tback Y\tback Z",
          [integers(1, 1), decimals(TIME, 5), *(1000 * v for v in _PLACE),
           *(50 + 1000 * v for v in _PLACE)],
          {"front X": ("state", None), "back Z": ("state", None)}, separator="\t", file="run.tsv"),
    table("motion capture", "Qualisys TSV without names", QUALISYS,
          [*(1000 * v for v in _PLACE), *(50 + 1000 * v for v in _PLACE)], {}, separator="\t",
          file="run.tsv"),
]  # fmt: skip


def _topic_files(folder: Path) -> None:
    for topic, rate, columns in (
        ("vehicle_attitude_0", 50, {"roll": lambda t: np.interp(t, TIME, ANGLE)}),
        ("vehicle_angular_velocity_0", 100, {"xyz[0]": lambda t: np.interp(t, TIME, SPEED)}),
        ("actuator_controls_0_0", 50, {"control[0]": lambda t: np.interp(t, TIME, TORQUE)}),
    ):
        seconds = np.arange(0.0, TIME[-1], 1.0 / rate)
        stamps = [str(95_000_000 + round(1e6 * second)) for second in seconds]
        csv(folder, {"timestamp": stamps, **{name: of(seconds) for name, of in columns.items()}},
            name=f"log_12_{topic}.csv")  # fmt: skip


def _yaml(folder: Path) -> None:
    documents = [
        f"header:\n  stamp:\n    sec: {EPOCH + k // 100}\n    nanosec: {k % 100 * 10_000_000}\n"
        f"  frame_id: ''\nname:\n- hip\nposition:\n- {ANGLE[k]:.6f}\nvelocity:\n- {SPEED[k]:.6f}\n"
        f"effort:\n- {TORQUE[k]:.6f}\n---\n"
        for k in range(ROWS)
    ]
    (folder / "joints.yaml").write_text("".join(documents))


VEHICLES = [
    table("vehicle", "CANoe", "Time[s],Engine::Speed[rpm],Pedal::Throttle[%],Chassis::Yaw[deg/s]",
          [decimals(TIME, 6), 900 + RPM, 50 + 10 * TORQUE, SPEED],
          {"Engine::Speed[rpm]": ("state", "rpm"), "Pedal::Throttle[%]": ("action", "percent"),
           "Chassis::Yaw[deg/s]": ("state", "deg/s")}),
    table("vehicle", "CARLA", "frame,timestamp,x,y,yaw,speed,throttle,steer,brake,gear",
          [integers(100, 1), 12.5 + TIME, 3 * TIME, ANGLE, DEGREES, 8 + SPEED,
           np.abs(TORQUE) / 3, TORQUE / 3, 0.1 * (TORQUE < 0), ["1"] * ROWS],
          {"speed": ("state", None), "throttle": ("action", None), "steer": ("action", None),
           "brake": ("action", None), "frame": ("left", None)}),
    table("vehicle", "pedals and a wheel", "time,speed_kmh,yaw_rate_dps,accel_pedal,brake_pedal",
          [TIME, 40 + SPEED, ANGLE, np.abs(TORQUE), np.roll(np.abs(TORQUE), 50)],
          {"speed_kmh": ("state", "km/h"), "accel_pedal": ("action", None),
           "brake_pedal": ("action", None)}),
    table("vehicle", "mavlogdump CSV", "timestamp,TimeUS,DesRoll,Roll,DesPitch,Pitch,RateIn",
          [decimals(EPOCH + TIME, 6), integers(5_000_000, 10_000), 0 * TIME, DEGREES, 0 * TIME,
           0.5 * DEGREES, TORQUE],
          {"Roll": ("state", None), "DesRoll": ("left", None), "TimeUS": ("left", None)}),
    table("vehicle", "Crazyflie client",
          "Timestamp,stabilizer.roll,gyro.x,motor.m1,motor.m3",
          [integers(12_345, 10), DEGREES, np.rad2deg(SPEED), 30_000 + 1000 * TORQUE,
           30_000 - 1000 * TORQUE],
          {"stabilizer.roll": ("state", None), "gyro.x": ("state", None),
           "motor.m1": ("action", None)}, unit="ms"),
    table("vehicle", "openpilot", "logMonoTime,carState.vEgo,carState.steeringAngleDeg,"
          "carState.yawRate,carControl.actuators.steer",
          [integers(3_000_000_000_000, 10_000_000), 20 + SPEED, DEGREES, SPEED, TORQUE / 3],
          {"carState.vEgo": ("state", None), "carState.steeringAngleDeg": ("state", "deg"),
           "carControl.actuators.steer": ("action", None)}, unit="ns"),
    Sample("vehicle", "ulog2csv", _topic_files, None, says="data join"),
]  # fmt: skip
ROS = [
    table("ROS", "rostopic echo -p",
          "%time,field.header.seq,field.header.stamp,field.header.frame_id,field.name0,"
          "field.position0,field.velocity0,field.effort0",
          [integers(EPOCH * 10**9, 10_000_000), integers(7, 1),
           integers(EPOCH * 10**9, 10_000_000), [""] * ROWS, ["hip"] * ROWS, ANGLE, SPEED, TORQUE],
          {"field.position0": ("state", "rad"), "field.velocity0": ("state", "rad/s"),
           "field.effort0": ("action", "N*m"), "field.header.seq": ("left", None)}, unit="ns"),
    Sample("ROS", "ros2 topic echo", _yaml, None, says="ros2"),
    table("ROS", "PlotJuggler", "__time,/joint_states/hip/position,/joint_states/hip/velocity,"
          "/command/effort",
          [decimals(EPOCH + TIME, 6), ANGLE, SPEED,
           [f"{v:.6f}" if k % 2 == 0 else "" for k, v in enumerate(TORQUE)]],
          {"/joint_states/hip/position": ("state", "rad"), "/command/effort": ("action", "N*m")}),
]  # fmt: skip


def locale(name: str, top: str, form: str, expected: dict[str, Column], point: str = ",") -> Sample:
    """Return a sample of a spreadsheet that was saved as CSV in the locale of a country."""
    return table("spreadsheet", name, top, [clock_of(form, point), DEGREES, SPEED, TORQUE],
                 expected, separator=";", comma=True, end="\r\n")  # fmt: skip


def motion_of(angle: str, speed: str, torque: str) -> dict[str, Column]:
    """Return the roles and units of an angle in deg, a speed and a torque."""
    return {angle: ("state", "rad"), speed: ("state", "rad/s"), torque: ("action", "N*m")}


SPREADSHEETS = [
    locale("German", "Zeit;Winkel [°];Winkelgeschwindigkeit [rad/s];Moment [Nm]", "01.05.2024 {}",
           motion_of("Winkel [°]", "Winkelgeschwindigkeit [rad/s]", "Moment [Nm]")),
    locale("German, short year", "Uhrzeit;Winkel (°);Drehzahl (rad/s);Motormoment (Nm)",
           "01.05.24 {}", motion_of("Winkel (°)", "Drehzahl (rad/s)", "Motormoment (Nm)")),
    locale("French", "Horodatage;Angle (°);Vitesse angulaire (rad/s);Couple (N.m)",
           "01/05/2024 {}",
           motion_of("Angle (°)", "Vitesse angulaire (rad/s)", "Couple (N.m)")),
    locale("Spanish", "Fecha y hora;Ángulo (°);Velocidad angular (rad/s);Par (Nm)",
           "01/05/2024 {}", motion_of("Ángulo (°)", "Velocidad angular (rad/s)", "Par (Nm)")),
    locale("Italian", "Data e ora;Angolo (°);Velocità angolare (rad/s);Coppia (Nm)",
           "01/05/2024 {}", motion_of("Angolo (°)", "Velocità angolare (rad/s)", "Coppia (Nm)")),
    locale("Portuguese", "Data/Hora;Ângulo (°);Velocidade angular (rad/s);Torque (Nm)",
           "01/05/2024 {}", motion_of("Ângulo (°)", "Velocidade angular (rad/s)", "Torque (Nm)")),
    locale("Polish", "Czas;Kąt [°];Prędkość kątowa [rad/s];Moment [Nm]", "2024-05-01 {}",
           motion_of("Kąt [°]", "Prędkość kątowa [rad/s]", "Moment [Nm]")),
    locale("Dutch", "Tijd;Hoek (°);Hoeksnelheid (rad/s);Koppel (Nm)", "01-05-2024 {}",
           motion_of("Hoek (°)", "Hoeksnelheid (rad/s)", "Koppel (Nm)")),
    table("spreadsheet", "US dates without AM", "Timestamp,angle_rad,torque_Nm",
          [clock_of("5/1/2024 {}"), ANGLE, TORQUE],
          {"angle_rad": ("state", "rad"), "torque_Nm": ("action", "N*m")}),
    table("spreadsheet", "writetable of MATLAB", "Time,angle,torque",
          [clock_of("01-May-2024 {}"), ANGLE, TORQUE], STATES),
    table("spreadsheet", "timetable of MATLAB", "Time,angle,torque",
          [[f"{value:g} sec" for value in TIME], ANGLE, TORQUE], STATES),
    table("spreadsheet", "duration of MATLAB", "Time,angle,torque",
          [[f"00:00:{value:06.3f}" for value in TIME], ANGLE, TORQUE], STATES),
    table("spreadsheet", "date and time in two columns", "Date,Time,angle,torque",
          [["2024-05-01"] * ROWS, clock_of("{}"), ANGLE, TORQUE], STATES),
    table("spreadsheet", "pandas, numbered index", ",time,angle,torque",
          [integers(0, 1), TIME, ANGLE, TORQUE], STATES),
    table("spreadsheet", "pandas, dates as index", ",angle,torque",
          [clock_of("2024-05-01 {}", digits=6), ANGLE, TORQUE], STATES),
    table("spreadsheet", "pandas, seconds as index", ",angle,torque", [TIME, ANGLE, TORQUE],
          STATES),
    table("spreadsheet", "pandas, time differences as index", ",angle,torque",
          [[f"0 days 00:00:{value:09.6f}" for value in TIME], ANGLE, TORQUE], STATES),
    table("spreadsheet", "Grafana", '"Time","angle","torque"',
          [clock_of("2024-05-01 {}"), ANGLE, TORQUE], STATES),
    Sample("spreadsheet", "InfluxDB, annotated", lambda folder: lines(
        folder,
        ["#group,false,false,false,false,true,true",
         "#datatype,string,long,dateTime:RFC3339,double,string,string",
         "#default,_result,,,,,", ",result,table,_time,_value,_field,_measurement"],
        [[""] * 2 * ROWS, [""] * 2 * ROWS, ["0"] * ROWS + ["1"] * ROWS,
         clock_of("2024-05-01T{}Z") * 2, [*ANGLE, *TORQUE], ["angle"] * ROWS + ["torque"] * ROWS,
         ["robot"] * 2 * ROWS]), DT, STATES),
]  # fmt: skip


def _json(folder: Path, rows: Sequence[object], name: str = "run.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def _archive(**arrays: Array) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "run.npz", **arrays)  # pyright: ignore[reportArgumentType]


def _hdf5_runs(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "runs.h5", "w") as file:
        for run in range(3):
            for name, values in (("time", TIME), ("q", ANGLE), ("dq", SPEED), ("tau", TORQUE)):
                file[f"run_{run:03d}/{name}"] = values * (
                    1.0 if name == "time" else 1.0 + 0.1 * run
                )


def _hdf5(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "run.hdf5", "w") as file:
        file.attrs["dt"] = DT
        file["states/joint_pos"] = np.stack([ANGLE, 0.5 * ANGLE], axis=1)
        file["states/joint_vel"] = np.stack([SPEED, 0.5 * SPEED], axis=1)
        file["actions/joint_effort"] = np.stack([TORQUE, -TORQUE], axis=1)


def _mat(folder: Path, content: dict[str, object]) -> None:
    from scipy.io import savemat

    savemat(folder / "run.mat", content)


def _scope() -> dict[str, object]:
    fields = [("values", object), ("dimensions", object), ("label", object), ("title", object)]
    signals = np.array(
        [(ANGLE[:, None], 1.0, "angle", "angle"), (TORQUE[:, None], 1.0, "torque", "torque")],
        dtype=fields,
    )
    return {"ScopeData": {"time": TIME[:, None], "signals": signals, "blockName": "m/Scope"}}


_JOINTS = range(3)
_ARM_POSITIONS = [ANGLE, 0.5 * ANGLE + 0.1, np.roll(ANGLE, 20)]
_ARM_SPEEDS = [SPEED, 0.5 * SPEED, np.roll(SPEED, 20)]
_ARM_TORQUES = [TORQUE, 0.5 * TORQUE, np.roll(TORQUE, 20)]
ROBOTS = [
    table("robot arm", "UR RTDE",
          " ".join(["timestamp", *(f"target_q_{j}" for j in _JOINTS),
                    *(f"target_moment_{j}" for j in _JOINTS), *(f"actual_q_{j}" for j in _JOINTS),
                    *(f"actual_qd_{j}" for j in _JOINTS),
                    *(f"actual_current_{j}" for j in _JOINTS), "robot_mode"]),
          [decimals(5000 + TIME, 3), *(np.roll(q, -3) for q in _ARM_POSITIONS), *_ARM_TORQUES,
           *_ARM_POSITIONS, *_ARM_SPEEDS, *(t + NOISE for t in _ARM_TORQUES), ["7"] * ROWS],
          {"actual_q_0": ("state", "rad"), "actual_qd_1": ("state", "rad/s"),
           "target_moment_0": ("action", "N*m"), "actual_current_0": ("no action", "A"),
           "target_q_0": ("no action", None)}, separator=" "),
    table("robot arm", "KUKA RSI",
          ";".join(["IPOC", *(f"AIPos.A{j}" for j in range(1, 4)),
                    *(f"ASPos.A{j}" for j in range(1, 4)), *(f"MACur.A{j}" for j in range(1, 4))]),
          [integers(123_456, 4), *map(np.rad2deg, _ARM_POSITIONS),
           *(np.rad2deg(np.roll(q, -3)) for q in _ARM_POSITIONS), *_ARM_TORQUES],
          {"AIPos.A1": ("state", None), "ASPos.A1": ("no action", None),
           "MACur.A1": ("action", None)}, dt=0.004, separator=";", unit="ms"),
    Sample("robot arm", "Franka, list of states", lambda folder: (folder / "run.json").write_text(
        json.dumps([
            {"time": round(float(TIME[k]), 3), "q": [q[k] for q in _ARM_POSITIONS],
             "dq": [q[k] for q in _ARM_SPEEDS], "tau_J": [q[k] + NOISE[k] for q in _ARM_TORQUES],
             "tau_J_d": [q[k] for q in _ARM_TORQUES], "robot_mode": "move"}
            for k in range(ROWS)
        ])), DT, {"q[0]": ("state", "rad"), "dq[1]": ("state", "rad/s"),
                  "tau_J_d[0]": ("action", "N*m"), "tau_J[0]": ("no action", "N*m")}),
    Sample("robot arm", "JSON lines, nested", lambda folder: _json(folder, [
        {"t": float(TIME[k]), "joint": {"pos": [ANGLE[k], 0.5 * ANGLE[k]], "vel": [SPEED[k], 0.5
         * SPEED[k]]}, "cmd": {"tau": [TORQUE[k], -TORQUE[k]]}, "note": "ok"}
        for k in range(ROWS)
    ]), DT, {"joint.pos[0]": ("state", "rad"), "joint.vel[1]": ("state", "rad/s"),
             "cmd.tau[1]": ("action", "N*m")}),
    Sample("robot arm", "JSON lines, a topic each", lambda folder: _json(folder, [
        row for k in range(ROWS) for row in (
            {"topic": "/joints", "stamp": EPOCH + float(TIME[k]),
             "data": {"position": ANGLE[k], "velocity": SPEED[k]}},
            {"topic": "/command", "stamp": EPOCH + float(TIME[k]) + 0.002,
             "data": {"torque": TORQUE[k]}},
        )
    ]), DT, {"/joints.data.position": ("state", "rad"), "/command.data.torque": ("action", "N*m")}),
    Sample("robot arm", "JSON lines, topics with the same fields", lambda folder: _json(folder, [
        row for k in range(ROWS) for row in (
            {"topic": "/left", "stamp": EPOCH + float(TIME[k]),
             "position": ANGLE[k], "torque": TORQUE[k]},
            {"topic": "/right", "stamp": EPOCH + float(TIME[k]) + 0.002,
             "position": 3.0 - ANGLE[k], "torque": -TORQUE[k]},
        )
    ]), DT, {"/left.position": ("state", "rad"), "/right.torque": ("action", "N*m")}),
    Sample("robot arm", "rows of two joints by turns", lambda folder: lines(
        folder, ["time,joint,position,velocity,torque"],
        [np.repeat(TIME, 2), ["hip", "knee"] * ROWS, *(
            np.stack([v, factor * v], axis=1).ravel()
            for v, factor in ((ANGLE, 0.5), (SPEED, 0.5), (TORQUE, -1.0)))]), DT,
           {"hip.position": ("state", "rad"), "knee.velocity": ("state", "rad/s"),
            "knee.torque": ("action", "N*m")}),
    Sample("simulator", "MuJoCo npz", _archive(
        time=TIME, qpos=np.stack([ANGLE, 0.5 * ANGLE], axis=1),
        qvel=np.stack([SPEED, 0.5 * SPEED], axis=1), ctrl=TORQUE[:, None]), DT,
        {"qpos[0]": ("state", None), "qvel[1]": ("state", None), "ctrl": ("action", None)}),
    Sample("simulator", "MuJoCo npz, timestep", _archive(
        timestep=np.array(DT), qpos=np.stack([ANGLE, 0.5 * ANGLE], axis=1),
        qvel=np.stack([SPEED, 0.5 * SPEED], axis=1), ctrl=TORQUE[:, None]), DT,
        {"qpos[0]": ("state", None), "ctrl": ("action", None)}),
    Sample("simulator", "Isaac Lab hdf5", _hdf5, DT,
           {"states/joint_pos[0]": ("state", "rad"), "states/joint_vel[1]": ("state", "rad/s"),
            "actions/joint_effort[0]": ("action", "N*m")}),
    Sample("simulator", "PyBullet npz", _archive(
        timestamps=TIME, joint_positions=np.stack([ANGLE, 0.5 * ANGLE], axis=1),
        joint_velocities=np.stack([SPEED, 0.5 * SPEED], axis=1),
        applied_torques=np.stack([TORQUE, -TORQUE], axis=1)), DT,
        {"joint_positions[0]": ("state", "rad"), "joint_velocities[0]": ("state", "rad/s"),
         "applied_torques[0]": ("action", "N*m")}),
    Sample("simulator", "Simulink scope", lambda folder: _mat(folder, _scope()), DT, STATES),
    Sample("simulator", "Simulink To File", lambda folder: _mat(
        folder, {"logged": np.stack([TIME, ANGLE, SPEED, TORQUE])}), DT, {}),
    Sample("simulator", "workspace of MATLAB", lambda folder: _mat(
        folder, {"t": TIME[:, None], "q": ANGLE[:, None], "u": TORQUE[:, None], "m": 1.2}), DT,
        {"q": ("state", None), "u": ("action", None)}),
    Sample("simulator", "npy", lambda folder: np.save(
        folder / "run.npy", np.stack([TIME, ANGLE, SPEED, TORQUE], axis=1)), DT, {}),
]  # fmt: skip
LOOPS = [
    table("controller", f"loop in {language}", f"{clock};{setpoint};{level};{valve}",
          [10 * TIME, SETPOINT, LEVEL, VALVE],
          {setpoint: ("left", None), level: ("state", None), valve: ("action", None)}, dt=0.1,
          separator=";", comma=True)
    for language, clock, setpoint, level, valve in (
        ("Polish", "czas", "wartość zadana", "poziom", "sterowanie"),
        ("Swedish", "tid", "börvärde", "ärvärde", "styrsignal"),
        ("Spanish tags", "tiempo", "nivel_deseado", "nivel_medido", "salida_control"),
        ("French tags", "temps", "consigne_niveau", "mesure_niveau", "commande_vanne"),
        ("Siemens tags", "Zeit", "PID_Compact_1.Setpoint", "PID_Compact_1.Input",
         "PID_Compact_1.Output"),
        ("English abbreviations", "t", "level_sp", "level_act", "valve_cmd"),
    )
]  # fmt: skip
RIGOL = "X,CH1,CH2,Start,Increment\nSequence,Volt,Ampere,0.000000e+00,1.000000e-02"
LECROY = """LECROYHDO4024,12345,Waveform
Segments,1,SegmentSize,400
Segment,TrigTime,TimeSinceSegment1
#1,01-May-2024 12:00:00,0
Time,Ampl"""
RACECHRONO = """This file is created using RaceChrono v7
Format,3
Session title,"Track"
Created,01/05/2024,12:00

timestamp,fragment_id,elapsed_time,speed,lateral_acc,throttle_pos
unix time,,s,m/s,G,%
,,,100: gps,calc,200: obd"""
MORE = [
    table("test bench", "Rigol", RIGOL, [integers(0, 1), TORQUE, SPEED, [""] * ROWS, [""] * ROWS],
          {}, dt=None, says="--rate HZ"),
    table("test bench", "LeCroy", LECROY, [TIME, SPEED], {"Ampl": ("state", None)}),
    table("test bench", "asammdf", "timestamps,angle,torque\ns,deg,Nm", [TIME, DEGREES, TORQUE],
          STATES),
    table("test bench", "summary below the rows", "Time [s],angle,torque",
          [[*decimals(TIME, 3), "Average", "Min", "Max"], [*ANGLE, 0.1, -1.0, 1.0],
           [*TORQUE, 0.0, -2.7, 2.7]], STATES),
    table("test bench", "groups of columns",
          ";Motor;;Last;\nZeit;Strom;Drehzahl;Drehmoment;Drehzahl\ns;A;1/min;Nm;1/min",
          [TIME, CURRENT, RPM, TORQUE, 0.5 * RPM],
          {"Motor.Drehzahl": ("state", "rpm"), "Last.Drehzahl": ("state", "rpm"),
           "Last.Drehmoment": ("action", "N*m")}, separator=";", comma=True),
    table("test bench", "header of each run in one file", "time,angle,torque",
          [[*TIME[:200], "time", *TIME[:199]], [*ANGLE[:200], "angle", *ANGLE[200:399]],
           [*TORQUE[:200], "torque", *TORQUE[200:399]]], STATES),
    Sample("spreadsheet", "Latin-1", lambda folder: csv(
        folder, {"Zeit [s]": TIME, "Winkel [°]": DEGREES, "Drehmoment [Nm]": TORQUE},
        separator=";", comma=True, encoding="latin-1"), DT,
        {"Winkel [°]": ("state", "rad"), "Drehmoment [Nm]": ("action", "N*m")}),
    table("spreadsheet", "Japanese", "時間[s],角度[deg],角速度[rad/s],トルク[Nm]",
          [TIME, DEGREES, SPEED, TORQUE],
          {"角度[deg]": ("state", "rad"), "角速度[rad/s]": ("state", "rad/s"),
           "トルク[Nm]": ("action", "N*m")}),
    table("spreadsheet", "Russian", "Время, с;Угол, град;Скорость, рад/с;Момент, Н·м",
          [TIME, DEGREES, SPEED, TORQUE],
          {"Угол, град": (None, None), "Момент, Н·м": (None, None)}, separator=";", comma=True),
    table("spreadsheet", "serial days, German", "Datum;Winkel [°];Moment [Nm]",
          [[f"{45413.5 + t / 86400:.10f}".replace(".", ",") for t in TIME], DEGREES, TORQUE],
          {"Winkel [°]": ("state", "rad"), "Moment [Nm]": ("action", "N*m")}, separator=";",
          comma=True, unit=86_400.0),
    table("vehicle", "AirData of DJI",
          "time(millisecond),datetime(utc),height_above_takeoff(feet),speed(mph), pitch(degrees),"
          "rc_elevator(percent),battery_percent",
          [integers(0, 100), [f"2024-05-01 12:00:{k // 10 % 60:02d}" for k in K], 30 + ANGLE,
           10 + SPEED, DEGREES, 30 * TORQUE, 90 - 0.01 * K],
          {"height_above_takeoff(feet)": ("state", "ft"), "speed(mph)": ("state", "mph"),
           "pitch(degrees)": ("state", "rad"), "rc_elevator(percent)": ("action", "percent")},
          dt=0.1, unit="ms"),
    table("vehicle", "Torque app",
          "GPS Time, Device Time, Longitude, Latitude,Engine RPM(rpm),Throttle Position(%)",
          [["Wed May 01 12:00:00 GMT+02:00 2024"] * ROWS, clock_of("01-May-2024 {}"),
           11.5 + 1e-5 * K, 48.1 + 1e-5 * K, 900 + RPM, 50 + 10 * TORQUE],
          {"Engine RPM(rpm)": ("state", "rpm"), "Throttle Position(%)": ("action", "percent")}),
    table("vehicle", "RaceChrono", RACECHRONO,
          [decimals(EPOCH + TIME, 3), ["0"] * ROWS, TIME, 20 + SPEED, ANGLE, 50 + 10 * TORQUE],
          {"speed": ("state", "m/s"), "lateral_acc": (None, "g_0"),
           "throttle_pos": ("action", "percent")}),
    table("vehicle", "seconds since midnight", "sec_of_day,angle,torque",
          [decimals((86_398 + TIME) % 86_400, 2), ANGLE, TORQUE], STATES, says="clock_wrap"),
    table("vehicle", "GPS week and time of week", "GPS_week,TOW_ms,angle,torque",
          [["2312"] * 200 + ["2313"] * 200,
           [str((604_798_000 + 10 * k) % 604_800_000) for k in K], ANGLE, TORQUE], STATES,
          unit="ms"),
    table("controller", "timeval of C", "tv_sec,tv_usec,angle,torque",
          [[str(EPOCH + k // 100) for k in K], [str(k % 100 * 10_000) for k in K], ANGLE, TORQUE],
          STATES),
    table("controller", "printf of names and values", "t=0.000000 angle=0.300000 torque=0.100000",
          [[f"t={t:.3f}" for t in TIME], [f"angle={v:.4f}" for v in ANGLE],
           [f"torque={v:.4f}" for v in TORQUE]], STATES, separator=" ", file="run.txt"),
    table("motion capture", "NatNet, a row per body", "timestamp,body_id,x,y,z,qx,qy,qz,qw",
          [np.repeat(TIME, 2), ["1", "2"] * ROWS, *(
              np.stack([v, np.roll(v, 9)], axis=1).ravel() for v in (*_PLACE, *_TURN))],
          {"1.x": ("state", None), "2.y": ("state", None)}),
    table("ROS", "ros2 topic echo --csv", "1714564800,0,,hip,0.3,0.0,0.0",
          [[str(EPOCH + k // 100) for k in K], [str(k % 100 * 10_000_000) for k in K],
           [""] * ROWS, ["hip"] * ROWS, ANGLE, SPEED, TORQUE], {}, dt=None, says="--rate 100"),
    table("simulator", "Modelica", '"time","phi","der(phi)","tau"', [TIME, ANGLE, SPEED, TORQUE],
          {"phi": ("state", "rad"), "der(phi)": ("state", "rad/s"), "tau": ("action", "N*m")}),
    Sample("robot arm", "JSON, lists below metadata", lambda folder: (
        folder / "run.json").write_text(json.dumps({
            "meta": {"robot": "arm", "rate_hz": 100},
            "data": {"t": [*map(float, TIME)], "q": [[a, a / 2] for a in map(float, ANGLE)],
                     "tau": [[a, -a] for a in map(float, TORQUE)]}})), DT,
        {"data/q[0]": ("state", "rad"), "data/tau[1]": ("action", "N*m")}),
    Sample("robot arm", "JSON lines, an object per joint", lambda folder: _json(folder, [
        {"ts": 1000 * EPOCH + 10 * k, "joints": {"hip": {"q": ANGLE[k], "tau": TORQUE[k]},
                                                 "knee": {"q": -ANGLE[k], "tau": -TORQUE[k]}}}
        for k in range(ROWS)
    ]), DT, {"joints.hip.q": ("state", "rad"), "joints.knee.tau": ("action", "N*m")}, unit="ms"),
]  # fmt: skip
LVM_MULTI = LVM.format(x="Multi").replace("angle\ttorque\tC", "angle\tX_Value\ttorque\tC")
STRANGE = [
    table("spreadsheet", "Polish, Windows-1250", "Data;Godzina;Kąt [°];Prąd silnika [A]",
          [["01.05.2024"] * ROWS, clock_of("{}", ","), DEGREES, CURRENT],
          {"Kąt [°]": ("state", "rad"), "Prąd silnika [A]": ("action", "A")}, separator=";",
          comma=True, encoding="cp1250", says="cp1250"),
    table("spreadsheet", "Japanese, Shift JIS", "時刻,位置(mm),速度(mm/s),トルク(N・m)",
          [clock_of("2024/05/01 {}"), 100 * ANGLE, 100 * SPEED, TORQUE],
          {"位置(mm)": ("state", "mm"), "速度(mm/s)": ("state", "mm/s"),
           "トルク(N・m)": ("action", "N*m")}, encoding="cp932", says="cp932"),
    table("spreadsheet", "Chinese, GBK", "时间(s),角度(°),角速度(rad/s),扭矩(N·m)",
          [TIME, DEGREES, SPEED, TORQUE],
          {"角度(°)": ("state", "rad"), "角速度(rad/s)": ("state", "rad/s")}, encoding="gbk"),
    table("test bench", "LabVIEW .lvm, a clock for each channel", LVM_MULTI,
          [TIME, ANGLE, TIME, TORQUE], STATES, separator="\t", file="run.lvm", tail="\t"),
    table("test bench", "ruled header",
          "time  angle  torque\n   s    deg      Nm\n----  -----  ------",
          [TIME, DEGREES, TORQUE], STATES, separator="  ", file="run.txt"),
    table("test bench", "sentinels of missing values", "time,angle,torque",
          [TIME, [*ANGLE[:200], -9999.0, -9999.0, *ANGLE[202:]], TORQUE], STATES,
          says="2 rows hold -9999"),
    table("test bench", "gap and reset of the clock", "time,angle,torque",
          [[*TIME[:150], *(5.0 + TIME[150:300]), *TIME[:100]], ANGLE, TORQUE], STATES,
          says="0 of 400 rows lost"),
    table("robot arm", "degrees without a unit", "time,joint1,joint2,current1,current2",
          [TIME, DEGREES, 0.5 * DEGREES + 20.0, TORQUE, -TORQUE],
          {"joint1": ("state", None), "current1": ("action", "A")}, says="in deg?"),
    table("drive", "CiA 402 in counts and permille",
          "time_ms,position_actual_value,velocity_actual_value,target_torque",
          [integers(0, 10), *([f"{v:.0f}" for v in column] for column in
                              (10_000 * ANGLE, 10_000 * SPEED, 300 * TORQUE))],
          {"position_actual_value": ("state", "1"), "target_torque": ("action", None)}, unit="ms",
          says="counts or permille?"),
    table("controller", "PID library of Arduino", "timestamp,setpoint,input,output,error,kp",
          [integers(0, 100), SETPOINT, LEVEL, VALVE, SETPOINT - LEVEL, ["0.8"] * ROWS],
          {"input": ("state", None), "output": ("action", None), "error": ("left", None)}, dt=0.1),
    table("controller", "oven with power in percent",
          "Time,Zone1_Temp,Zone1_SP,Zone1_Power_pct,Ambient_degC",
          [[f"2024-05-01 {12 + k // 60:02d}:{k % 60:02d}" for k in K], 100 + LEVEL, 100 + SETPOINT,
           VALVE, 20 + 0.1 * ANGLE],
          {"Zone1_Temp": ("state", None), "Zone1_Power_pct": ("action", "percent"),
           "Zone1_SP": ("left", None)}, dt=60.0),
    table("controller", "stroke in inches", "time,stroke_in,speed_in_s,valve_mA",
          [TIME, 3.0 + ANGLE, SPEED, 12.0 + TORQUE],
          {"stroke_in": ("state", "inch"), "speed_in_s": ("state", "inch/s"),
           "valve_mA": ("action", "mA")}),
    table("controller", "volts of drives", "time,level,motor_V,valve_V",
          [TIME, LEVEL, TORQUE, 0.5 * TORQUE + 1.0],
          {"motor_V": ("action", "V"), "valve_V": ("action", "V")}),
    Sample("simulator", "HDF5, a group per run", _hdf5_runs, DT,
           {"run_000/q": ("state", "rad"), "run_000/tau": ("action", "N*m")}, says="run_002/tau"),
    Sample("simulator", "npz, numbered runs with clocks", _archive(**{
        f"ep{run}_{name}": values * (1.0 if name == "t" else 1.0 + 0.1 * run)
        for run in range(3) for name, values in (("t", TIME), ("q", ANGLE), ("u", TORQUE))}), DT,
           {"ep0_q": ("state", None), "ep0_u": ("action", None)}, says="ep2_q"),
    Sample("simulator", "logsout of Simulink", lambda folder: _mat(folder, {"logsout": {
        name: {"Name": name, "Time": TIME[:, None], "Data": values[:, None]}
        for name, values in (("angle", ANGLE), ("torque", TORQUE))}}), DT, STATES),
    Sample("simulator", "structure with time", lambda folder: _mat(folder, {
        "tout": TIME[:, None], "simout": {"time": TIME[:, None], "signals": {
            "values": np.stack([ANGLE, TORQUE], axis=1), "dimensions": 2.0, "label": ""}}}), DT,
           {"simout/signals/values[0]": ("state", None), "tout": ("left", None)}),
]  # fmt: skip
TOOLS = [*BENCHES, *CONTROLLERS, *LOOPS, *DRIVES, *MOCAP, *VEHICLES, *ROS, *SPREADSHEETS, *ROBOTS,
         *MORE, *STRANGE]  # fmt: skip
