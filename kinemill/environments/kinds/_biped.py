"""A small biped in MJCF: the ten leg joints of the clips, in their senses and zeros.

Lengths are those that bring its feet to where the clips' feet are, to a few millimeters: thigh and
shank 65 mm, the sole 51 mm below the ankle, hips 143 mm apart. Masses are estimates: a trunk of
0.9 kg, and 0.36 kg a leg. Joints are position servos (PD) of 40 N·m/rad and 0.6 N·m·s/rad with
3 N·m at most. Each foot stands on four small spheres, 40 mm apart along it and 30 mm across, for
contacts that are cheap.
"""

SIDES = ("left", "right")
JOINTS = ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle")
LEGS = tuple(f"{side}_{joint}" for side in SIDES for joint in JOINTS)
LIMITS = {  # rad
    "hip_yaw": (-0.7, 0.7),
    "hip_roll": (-0.7, 0.7),
    "hip_pitch": (-0.6, 1.6),
    "knee": (-2.2, 0.0),
    "ankle": (-0.6, 1.6),
}
STANCE = dict(zip(JOINTS, (0.0, 0.0, 0.95, -1.63, 0.767), strict=True))  # rad; soles level
PITCH = -0.0873  # rad, of the trunk: 5 degrees back, as in the clips
STEP = 0.005  # s
SHANK = 0.065  # m, and of a thigh
HIPS = ((0.0, 0.0715, 0.0), (0.0, -0.0715, 0.0))  # m, left and right
_DROP, RADIUS = 0.051, 0.008  # m, from ankle to sole; of the balls that a foot stands on
BALLS = tuple(
    (x, y, RADIUS - _DROP) for x in (-0.02, 0.02) for y in (-0.015, 0.015)
)  # m, of a foot

_LEG = """
<body name="{side}_hip" pos="0 {place} 0">
  <inertial pos="0 0 0" mass="0.05" diaginertia="2e-5 2e-5 2e-5"/>
  <joint name="{side}_hip_yaw" axis="0 0 -1" range="{hip_yaw}"/>
  <body name="{side}_hip_side">
    <inertial pos="0 0 -0.01" mass="0.05" diaginertia="2e-5 2e-5 2e-5"/>
    <joint name="{side}_hip_roll" axis="{outwards} 0 0" range="{hip_roll}"/>
    <body name="{side}_thigh">
      <inertial pos="0 0 -0.0325" mass="0.10" diaginertia="6e-5 6e-5 3e-5"/>
      <joint name="{side}_hip_pitch" axis="0 1 0" range="{hip_pitch}"/>
      <body name="{side}_shank" pos="0 0 -0.065">
        <inertial pos="0 0 -0.0325" mass="0.10" diaginertia="6e-5 6e-5 3e-5"/>
        <joint name="{side}_knee" axis="0 1 0" range="{knee}"/>
        <body name="{side}_foot" pos="0 0 -0.065">
          <inertial pos="0 0 -0.03" mass="0.06" diaginertia="3e-5 4e-5 2e-5"/>
          <joint name="{side}_ankle" axis="0 1 0" range="{ankle}"/>
          {balls}
        </body>
      </body>
    </body>
  </body>
</body>
"""
_WHOLE = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{step}" integrator="implicitfast" iterations="10" ls_iterations="10"/>
  <default>
    <joint type="hinge" armature="0.003" damping="0.02" frictionloss="0.02"/>
    <geom friction="0.9 0.01 0.001" condim="3" solref="0.01 1"/>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" contype="0" conaffinity="1"/>
    <body name="trunk" pos="0 0 0.15">
      <freejoint/>
      <inertial pos="0 0 0.03" mass="0.9" diaginertia="3e-3 3e-3 2e-3"/>
      {legs}
    </body>
  </worldbody>
  <actuator>{servos}</actuator>
</mujoco>
"""


def mjcf() -> str:
    """Return the biped's model as MJCF."""
    balls = "".join(
        f'<geom type="sphere" size="{RADIUS}" pos="{x} {y} {z}" contype="1" conaffinity="0"/>'
        for x, y, z in BALLS
    )
    ranges = {name: f"{low} {high}" for name, (low, high) in LIMITS.items()}
    legs = "".join(
        _LEG.format(side=side, place=place[1], outwards=outwards, balls=balls, **ranges)
        for side, place, outwards in zip(SIDES, HIPS, (-1, 1), strict=True)
    )
    servos = "".join(
        f'<position joint="{name}" kp="40" kv="0.6" forcerange="-3 3" ctrlrange="-2.3 2.3"/>'
        for name in LEGS
    )
    return _WHOLE.format(step=STEP, legs=legs, servos=servos)
