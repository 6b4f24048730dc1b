"""A ROS 2 node around a model: states in, commands out, the safe action when anything is late.

    python kinemill_node.py --ros-args -p model:=/opt/model -p task:=cart_pole_swing_up

Subscribes `~/state` (std_msgs/Float32MultiArray, the states in the model's order and units),
publishes `~/command` likewise, once every dt, and `~/why` (std_msgs/String) whenever the command is
the safe one. The controller is model-predictive, on the model itself, compiled where that can be;
any function from a state to an action may take its place. Stamps are taken on arrival, so a sender
whose clock is off does no harm.

Needs rclpy and std_msgs of ROS 2, and kinemill; `Watchdog` itself is tested in tests/runtime.
"""

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Float32MultiArray, String

from kinemill.control import learned_model, make_planner
from kinemill.control.planner import Online
from kinemill.runtime import Watchdog, load
from kinemill.task import load_task


class KinemillNode(Node):
    """Holds the watchdog, and calls it once every dt."""

    def __init__(self):
        super().__init__("kinemill")
        model = self.declare_parameter("model", "").value
        task = load_task(self.declare_parameter("task", "").value)
        simulator = load(model, non_finite="pass")
        stale = self.declare_parameter("max_age", 2.0 * simulator.dt).value
        controller = Online(make_planner(task, [learned_model(task, model)]), simulator)
        self.guard = Watchdog(
            simulator, controller, max_age=stale, deadline=0.8 * simulator.dt, sent=controller.sent
        )
        self.commands = self.create_publisher(Float32MultiArray, "~/command", 1)
        self.reasons = self.create_publisher(String, "~/why", 10)
        self.create_subscription(
            Float32MultiArray, "~/state", self.observe, qos_profile_sensor_data
        )
        self.create_timer(simulator.dt, self.tick)

    def observe(self, message):
        """Take a measurement."""
        self.guard.observe(np.asarray(message.data, np.float32))

    def tick(self):
        """Send a command, and log the reason if it is the safe action."""
        command = self.guard.act()
        self.commands.publish(Float32MultiArray(data=command.action.tolist()))
        if command.safe:
            self.reasons.publish(String(data=command.why))
            self.get_logger().warning(command.why, throttle_duration_sec=1.0)


def main():
    """Run until it is stopped; the last command is the safe action."""
    rclpy.init()
    node = KinemillNode()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        safe = node.guard.safe_action
        node.commands.publish(Float32MultiArray(data=safe.tolist()))
        node.guard.close()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
