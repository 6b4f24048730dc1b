"""Roles, meanings and units of names."""

import pytest

from kinemill.ingest.name_heuristics import guess

NAMES = """
tau_con1 action action N*m
motor_vel state velocity -
hipAngle_deg state position deg
cmd_vel_x action action -
/cmd_vel.linear.x action action m/s
/position_controller/commands.data[0] action action -
/control/control_cmd.longitudinal.acceleration action action -
carControl.actuators.accel action action -
/vehicle/status/velocity_status.heading_rate state velocity -
/vehicle/status/steering_status.steering_tire_angle state position -
/battery_status.state - unknown -
/mavros/local_position/velocity_local.twist.linear.z state velocity m/s
/mavros/local_position/velocity_local.twist.angular.z state velocity rad/s
/mavros/rc/out.channels[2] action action -
/mavros/rc/in.channels[2] - reference -
/odom.pose.pose.position.y state position m
/odom.twist.twist.angular.z state velocity rad/s
/imu.linear_acceleration.z observation acceleration m/s^2
/imu.angular_velocity.x state velocity rad/s
/tf/base.transform.translation.x state position m
angular_velocity state velocity -
torques_3 action action N*m
vel_des2 - reference -
q_vir_1 - reference -
speed_setpoint - reference -
pwm_left action action -
duty action action -
motor_current action action A
acc_x observation acceleration -
qDDot observation acceleration -
force_sensor observation sensor -
voltage action action V
qd3 state velocity -
relay action action -
actuator_1 action action -
motors/0 action action -
servos[2] action action -
servo_1 action action -
servo_load state unknown -
motors_temperature state unknown -
control_state.airspeed state unknown -
control_state.pos_x state position -
gps_position.eph - position -
vehicle_local_position.evh - position -
vehicle_local_position.z state position m
vehicle_local_position.vz state velocity m/s
vehicle_local_position.acceleration_x observation acceleration m/s^2
vehicle_local_position.heading state position rad
fan_percent action action percent
fan_rpm state unknown rpm
valve_pressure state unknown -
heater_temp_C state unknown degC
motor_temp state unknown -
phase_C state unknown -
phase_m state unknown -
easting_m state unknown m
/battery_state.voltage state unknown V
orientation.w state position -
Motorstrom action action A
Winkelgeschwindigkeit state velocity -
Druck_A state unknown -
Valve_Fbk[%] state unknown percent
motor_current_feedback action action A
elbow_feedback state position -
vehicle_speed_kmh state velocity km/h
vel_m_s state velocity m/s
pos_m state position m
yaw_rate_dps state velocity deg/s
brake_pressure_bar state unknown bar
thruster1 action action -
vbus_voltage state unknown V
uptime_ms - unknown -
wifi_rssi - unknown -
nav_psi state position -
V_IN action action -
flow_in action action -
V_C state unknown -
in_range state unknown -
angle_in state position -
T_set - reference -
speed_sp - reference -
set state unknown -
training_set state unknown -
Training_Set[3] state unknown -
voltage_cv action action cV
effort_n action action N
force_mn action action -
"""


@pytest.mark.parametrize("row", NAMES.strip().splitlines())
def test_name_gives_role_meaning_and_unit(row):
    name, *expected = row.split()
    found = guess(name)
    assert [found.role or "-", found.what, found.unit or "-"] == expected
