"""Constants of drafts: what each bounds, and the data that set those of a module.

Corpus: the small logs of `tests/unseen/corpus`. Sound logs: 59 public ones of 9 robots, which lose
no row to a draft from another log of their robot. A setting is a default that no data set.
"""

COMPARED_ROWS = 20_000  # of a log, from its start, for models and smoothness
COMPARED_LOGS = 3  # for relations of columns without descriptive names

# body_frame.py: set by logs whose gyro follows the roll near level, or whose velocity along the
# nose follows x at a heading of zero
BODY_EXACT = 0.03  # largest difference from a derivative, as a share of the motion
BODY_EXPLAINED = 0.5  # least share of the variance of the difference that the attitude explains
BODY_USUAL = 0.95  # share of the windows that are compared, without those of faults
BODY_FEWEST = 100  # least number of windows for a conclusion

# builder.py: set by encoders of 16 bits, arms of LeRobot in degrees and in percent, a diver whose
# heading jumps by a turn
ANGLE_FEWEST_WHOLE = 8  # different whole numbers that show that an angle is not in rad
ANGLE_FEWEST_COUNTS = 250.0  # of a register; an encoder of 8 bits has 256
DOUBT_LOGS = 3  # named with a doubt about the unit of few logs
ANGLE_PERCENT = 100.5
ANGLE_DEGREES = 400.0  # largest values of joints in percent and in degrees
ANGLE_FULL = 0.95  # share of the register that the counts of a log cover
GYRO_LARGEST = 70.0  # rad/s: 4000 deg/s, the widest range of a MEMS gyro
SENTINEL_FAR = 3.0  # times the range of the others: how far -9999 lies from measured values
ANGLE_RARE = 0.05  # largest share of rows in which an angle jumps by a turn

# clip_names.py: set by retargeted clips without a header, of DeepMimic and of npz
CLIP_UPRIGHT = 0.05  # least difference of the mean tilts of two orders of a quaternion's numbers

# clock.py: set by the clocks of the corpus, with and without velocities
CLOCK_DATES = (788_918_400.0, 2_366_841_600.0)  # s since 1970: 1995 to 2045
CLOCK_ABSURD = 1e10  # s: 317 years since any zero that has no name here
CLOCK_USUAL_STEP = 0.01  # s
CLOCK_STEPS = (5e-5, 2.0)  # s, usual time steps of robots
CLOCK_RARE = 4.0  # score against these without dates
CLOCK_IMPLAUSIBLE = -1.5  # score of a clock that no unit makes likely
CLOCK_INTEGRATES = 3.0  # score of a velocity that is the derivative of a position
CLOCK_DATE_DOUBT = 2.0  # the same for a unit by dates
CLOCK_DOUBT = 1.0  # difference of scores below which the draft asks
CLOCK_SAME = 0.03  # relative; minutes and degrees differ by 0.05
CLOCK_RISING = 0.9  # share of rows in which a clock rises
# Share of rows with another timestamp than the row before, below which digits lack.
CLOCK_FRESH = 0.3
CLOCK_BURSTS = 0.1  # share of short steps of a clock that shows when rows were received
CLOCK_EVEN = 0.01  # deviation of 90 % of the steps of a clock without a name, relative
CLOCK_MOST_PAIRS = 12  # of velocity and position, that are compared
CLOCK_FEWEST_STAMPS = 20  # different numbers of a clock with too few digits
CLOCK_FEWEST_NAMED = 4  # the same for a column with the name of a clock, or of epoch times

# column_relations.py: set by logs with texts as character codes; for the rest no data are recorded
RELATION_LENGTH_OFF = 0.02  # of a quaternion's length, which is 1
RELATION_LETTERS = 0.8  # least share of letters in a text
RELATION_SAME = 0.05  # largest distance of an error or a power from what it is of, per spread
RELATION_ROWS = 256  # rows that are compared
RELATION_EXCLUDING = 16  # rows of these that exclude most pairs of columns
RELATION_NEAR = 0.3  # rms distance between a joint and its target, relative to the position

# derivatives.py: set by the sound logs, of whose 148 checks earlier drafts cut 83; a six-joint arm
# without names
DERIVATIVE_MAJORITY = 0.5  # least share of the windows with motion that agree with the line
DERIVATIVE_HOPELESS = 0.5  # of that share, in the first logs: others are not compared
DERIVATIVE_SURE = 0.9  # the same, where neither a name nor a unit suggests the relation
DERIVATIVE_MANY = 28  # columns of which not every two are compared
# Relative distance of a factor from 1, for a column that no name calls a velocity.
DERIVATIVE_SAME = 0.1
DERIVATIVE_NEAR = 0.3  # relative distance of a factor from that of two units
DERIVATIVE_LATE = 0.01  # s of delay from which a shift is tested

# draft_check.py: set by the sound logs, drafted from one log and from all
CHECK_MANY = 0.2  # share of the logs that a check must refuse to become a warning
CHECK_MOST = 0.8  # share of the rows of a log that a check must drop to refuse it
CHECK_LEAST = 2  # number of the logs as well, unless there are fewer
CHECK_FEWEST = 3  # logs of which one is for validation and one for the test
CHECK_ROUNDS = 3  # checks may be found one after the other

# experiments.py: set by public files with several experiments (u1 z1 u2 z2)
EXPERIMENT_FEWEST = 2  # columns of each experiment
EXPERIMENT_LAGS = 3  # rows behind a prediction
EXPERIMENT_COUPLED = 0.02  # least reduction of an error by columns of another experiment, relative
EXPERIMENT_SAME = 0.99  # least correlation of inputs that are the same up to a factor
# Smaller errors, relative to the changes, are of a simulation without noise.
EXPERIMENT_EXACT = 0.01
# Largest error of the model of another experiment, relative to the own one.
EXPERIMENT_LARGEST_RATIO = 2.0

# horizon.py: set by logs at 1 kHz, for which 25 rows are 25 ms
HORIZON_FEWEST = 5  # steps of a horizon
HORIZON_MOST = 50  # steps; longer rollouts cost more than they show
HORIZON_SHARE = 10  # a horizon is at most this part of the median log
HORIZON_LONGEST_DELAY = 40  # steps
HORIZON_PAST = 3  # rows of the states so far
HORIZON_ACTS = 0.02  # least share of the error that commands explain
HORIZON_DELAYED = 0.8  # largest error with delayed commands, relative to that with commands at once
HORIZON_ROWS = 5000  # that are compared, of each of
HORIZON_LOGS = 8  # logs, evenly spread
HORIZON_LONGEST = 100_000  # rows of a log whose time constants are measured

# imitation.py: settings
# Demonstrations from which shares by hash leave no side of the split empty.
DEMONSTRATION_SHARES_FROM = 20
# Rows: the usual `validate.min_steps`, which would lose shorter demonstrations.
DEMONSTRATION_SHORT = 20
DEMONSTRATION_LEAST_ROWS = 5  # of a demonstration

# input_evidence.py: set by silverbox (AT_ONCE) and the tanks of the corpus (jumps, SETTLED); for
# the rest no data are recorded
INPUT_LAGS = 8  # rows of the past
INPUT_HORIZONS = (1, 4, 16)  # rows over which a change is predicted
INPUT_DRIVES = 0.2  # least reduction of the squared error by a column that drives another, relative
INPUT_INDEPENDENT = 0.1  # largest such reduction for a column that nothing drives
INPUT_AT_ONCE = 0.5  # least such reduction by the input's value in the predicted row itself
# Relative squared error from the own past, below which it cannot be reduced.
INPUT_PREDICTABLE = 1e-5
INPUT_MOST_COLUMNS = 12
# What actions leave of a state, relative to its changes, and the least reduction of it by a
# command. Set by some 50 simulated loops, no recorded ones: commands reduce 0.98 or more, outer
# set points at most 0.6, or 0.99 of a rest of 0.002.
INPUT_LEFT = 5e-3
INPUT_COMMANDS = 0.8
INPUT_FEWEST_JUMPS = 3
INPUT_HELD = 0.5  # least share of the rows in which a held command does not change
INPUT_SETTLED = 0.5  # distance from a set point before its jumps, relative to its spread
INPUT_SPREAD = 0.2  # least usual jump of a held column, relative to its spread
INPUT_MOST_JUMPS = 0.2  # share of the rows in which a held set point changes
# Least step of a controller's output with the set point, relative to its usual ones.
INPUT_JUMP = 2.0

# letter_names.py: set by public arms with qg next to qm
# Largest spread of measured columns around their references, relative to the motion.
LETTER_FOLLOWS = 0.5

# mirror_pairs.py: settings
MIRROR_ROUNDED = 1e-3  # rad, tolerance of equal limits
MIRROR_CLEAR = 1.5  # ratio of the misfits of both signs, from which one is clear
MIRROR_HARMONICS = 6
MIRROR_RIDGE = 0.05  # of the commands, relative to their largest value

# motion.py: settings; clips of 40 rows have no end for validation
MOTION_VALIDATION = 0.2  # share of each clip, at its end
MOTION_LEAST = 10  # rows of a part of a clip

# motion_physics.py: set by the robots of awd_robots, which walk after training with these settings
MOTION_COMMANDS = 8  # largest number of commands of clips that the trials use
MOTION_QUICK = 1 / 45  # s, time step above which the preset `quick` trains enough
MOTION_STILL = 1e-3  # rad, largest movement and offset of a joint that can be locked
MOTION_HORIZON = 1.65  # s, mean time until a reward of which the discount leaves 1/e

# mechanism.py: settings of arms and carts in MJCF without a free joint
MECHANISM_SECONDS = 10.0  # of an episode
MECHANISM_START_NOISE = 0.05  # rad, m and their rates per s
MECHANISM_WITHIN = 0.1  # rad or m, root mean square of a success

# optional_columns.py: set by sets of which most logs, not all, have a column
OPTIONAL_HORIZON = 5  # rows over which the change of a state is predicted
OPTIONAL_LOGS = 5  # logs that are used
# Least reduction of the error of some state, relative, that makes a column needed.
OPTIONAL_GAIN = 0.2
OPTIONAL_RIDGE = 1e-6  # relative to the number of rows, of standardized columns

# plan_evidence.py: set by made demonstrations that part at few rows
# Least variance of the difference of similar rows, relative to independent ones.
PLAN_DISAGREE = 0.1
PLAN_NEAR = 0.2  # distance of similar rows, relative to that of rows of different demonstrations
PLAN_PERSISTS = 0.5  # autocorrelation of the difference down to which it lasts
PLAN_SPLIT = 0.3  # least variance of an action among similar rows that may form two groups
PLAN_BIMODAL = 0.05  # variance within two groups, relative to the total; 0.24 for 8 normal values
PLAN_COMMON = 0.05  # least share of the similar rows that form two groups
PLAN_NEIGHBORS = 8  # similar rows that are grouped
PLAN_SHORTEST = 2
PLAN_LONGEST = 32  # planned actions
PLAN_SAMPLED = 8  # least planned actions of one of two ways, to leave the rows that show neither
PLAN_QUERIES = 1500
PLAN_REFERENCES = 8000  # rows that are compared
PLAN_FEWEST = 50  # pairs of similar rows that decide

# ranges.py: set by the sound logs: the range of one log cut other logs of its robot
RANGE_AGREEING = 20  # least number of recordings that can make limits
RANGE_NEW = 0.1  # of the range of all others: how far one recording may leave it
RANGE_MARGIN = 0.5  # of the range, added on both sides
RANGE_REST = 0.1  # of the largest value, added as well: a joint at rest may move in another log
RANGE_OUTLIERS = 0.0005  # share of the samples on each side that is not part of a range

# rates.py: set by PX4 and DataFlash logs: IMU 50 to 250 Hz, attitude 10 to 20 Hz, outputs 10 Hz
RATE_SLOW = 4.0  # times the step of a draft; slower columns leave few rows in common
RATE_SLOWEST_COMMAND = 20.0  # the same for commands, if no faster column is one
RATE_REACH = 50.0  # times the fastest step; a draft is not slowed down further
RATE_LONGEST = 0.5  # s, longest step that a fast log is slowed down to

# reinforcement.py: settings
RANDOM_EPISODES = 5  # of random actions that check the environment
# Ratio of the standard deviations of two observations that calls for normalization.
RANDOM_UNEVEN = 10.0
ROUND_STEPS = 50_000  # most steps of a round, unless one evaluation takes more: a kill loses one
RANDOM_MOST_STEPS = 1000  # steps of an episode that neither the environment nor a clock limits
ROBOT_SECONDS = 20.0  # s of an episode of a robot in MJCF
ROBOT_DT = 0.02  # s, about the time step of a robot in MJCF

# rules.py: set by public logs with row counters, modes and flags
RULE_CLOCK_UNITS = (1.0, 1e3, 1e6, 1e9)  # s, ms, us and ns of a clock in 1 s
RULE_EPOCH = 1e9  # s, of 2001: timestamps since 1970 are larger in any unit
RULE_FEWEST_NUMBERED = 20  # rows that show that a column numbers them
RULE_NUMBERED = 0.95  # share of the steps of such a column that are equal
RULE_MOST_MODES = 32
RULE_MOST_FLAGS = 8  # different values of a column named as a mode, and of another one

# schema_inference.py: set by DataFlash logs, whose topics come in bursts
TOPIC_SHORT = 20  # rows of the shortest log
TOPIC_COVERED = 0.8  # of the log's duration that a topic must span
TOPIC_RARE = 0.1  # of the mean time between messages: the least usual one; less are bursts

# selection.py: set by wide tables of topics, where a column with fewer values cut nearly all rows
SELECTION_MOSTLY = 0.5  # share of missing samples above which a column would cut most rows

# stated_limits.py: set by robot files next to logs beyond their limits
LIMIT_ROUNDING = 1e-3  # of the range: values that far beyond a limit do not exceed it
LIMIT_FARTHER = 3.0  # times the range of a joint in rad: values that far are in deg
# Share of the logs beyond a limit, above which it is not a limit of the channel.
LIMIT_CONTRADICTED = 0.5
LIMIT_RARE = 0.01  # share of the samples of a log beyond a limit that may be faults

# task_draft_writer.py: set by g1_lerobot: shorter blocks left no window to a history of 10 rows
SPLIT_TEST = 0.2  # test share of a single log
SPLIT_BLOCKS = 0.15  # share of validation; in blocks of each log where these are long
SPLIT_EPISODES = 5  # of a test, `promote.min_test_episodes`
# Rows that a block has to leave beyond the horizon, for models with a long history.
SPLIT_LAGS = 100
SPLIT_MANY_LOGS = 20  # with fewer logs, shares by hash may leave a side of the split empty

# table.py: a setting
RESTART_GAP = 10.0  # usual steps between stretches of a clock that starts again

# text_table.py: set by a LeRobot set that states 30 Hz and has 15
RATE_MISMATCH = 0.1  # relative difference between the rates of metadata and timestamps

# time_join.py: settings
JOIN_PERIODS = 1.5  # of the slower log: the largest distance of a sample from a row
JOIN_JUMP = 0.75  # share of a column's range between two samples from which nothing is interpolated
JOIN_ROUNDING = 1e-6  # s; float64 resolves epoch times to 2.4e-7 s

# timing.py: set by the sound logs (gaps), and logs at 1 kHz
TIMING_EVEN = 1e-6  # of a step: deviation of evenly spaced timestamps
TIMING_BRIDGED = 0.02  # rms error of interpolation over a gap, relative to the spread of a channel
TIMING_NOISE = 1.5  # the same, relative to the error over the shortest gap, which is noise
TIMING_MOST_STEPS = 50  # rows of the longest gap to bridge
# Linear interpolation bridges about a sixteenth of the period of the fastest motion, and a fourth
# of that is a time step: 10 ms for the double pendulum, 7.5 ms for the pendubot.
TIMING_STEPS_A_GAP = 4
TIMING_ROBOT = 0.02  # s, the slowest usual time step of a robot's controller
TIMING_FASTER = 4.0  # rows in a time step, from which on a log is much faster than its motion
TIMING_MUCH_FASTER = 20.0  # the same of slow logs, whose rate was mostly chosen for the motion
# Rows, from which on commands are held; else they are a signal, whose mean acts.
TIMING_LEAST_HOLD = 3.0
TIMING_USUAL_GAP = 5.0  # time steps: the default of `ingest.resample.max_gap`

# velocity_fit.py: set by the sound logs, with faults
FIT_WINDOW = 0.5  # s over which a velocity is integrated
FIT_ROWS = 50_000  # of a log that are compared
FIT_WINDOWS = 4_000  # of a log that are compared
FIT_APART = 0.3  # distance from the line, relative to the motion, within which a window agrees
FIT_LIKELY = 0.9  # least correlation of an integral with the motion that it may be of
FIT_ROUNDS = 5  # of fitting the line to the windows close to it
FIT_CONSTANT = 1e-3  # spread of the motion relative to its mean, below which it is constant
