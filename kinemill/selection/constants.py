"""Constants of the selection, each with what set it.

They bound time and memory, or say which errors carry information. What a statistic can decide has
no constant: candidates within the noise of the folds are equal, see `cross_validation.HeldOut`.
"""

# Shares of `learn.budget`; by hand, but for the part of closed forms: without it, polynomials were
# not tried, and they won on two of three real systems.
CLOSED = 0.4  # after it, fits in closed form end
ROUNDS = (0.3, 0.15)  # of each round of training
CROSS = 0.2  # of the cross-validation of finalists
MEASURE = 0.05  # the same, where no fit is repeated
LEAST = 0.2  # least share of the last training
# A shorter training does not show how good a candidate is, so fewer candidates are tried: SHORT s,
# or SHORTEST of a small budget.
SHORT = 4.0
SHORTEST = 0.07
GRACE = 4.0  # times its share: a first fit or a measurement that takes longer is stopped
PROBE_SHARE = 0.2  # of a candidate's time, to measure the time of a training step
NEWTON = 0.5  # of a candidate's time, for its Gauss-Newton fit
FEWEST = 10  # steps of a round
EVALUATIONS = 3  # in a round
LAST_WINDOWS = 4  # factor of the windows of a Gauss-Newton fit in the last training
MOST_STEPS = 20_000  # of the last training

# Cross-validation.
FOLDS = 3  # each costs a training of every finalist
FOLD_STEPS = 250  # of free runs; longer ones would take most of the time over all folds
FINALISTS = 6  # slow families of which the folds are fitted
QUICK_FOLDS = 2.0  # s; families that are faster are finalists too, because they cost little

LEEWAY = 1.05  # ratio to the best reference at the longest horizon, which the gate compares
# Ratio of errors up to which the simpler model comes first. Without it, models won that were 0.5 %
# better than the linear one on left-out rows of linear plants, and the gate found no gain in them.
TIE = 1.01
EXACT = 1e-5  # scores below are equal, because rows are stored in float32

# Which errors count, in standard deviations. Free runs of unstable and chaotic robots drift apart:
# from SKILL to GROSS their differences are random, and the gate does not count them either.
SKILL = 0.8
GROSS = 2.4
SMALLEST = 1e-6  # of an error: rounding of float32
LARGEST = 10.0
BOUND = 2.0  # ranges of a state; a model whose free run left them gave NaN on a new aircraft log
# A state is noise to a linear model, such as a battery voltage, if its error is NOISE after a step,
# and at least FLAT of that at the horizon. It would hide the errors of all others.
NOISE = 0.5
FLAT = 0.7
NOISE_WEIGHT = 0.01

# Sizes.
WINDOWS = 1024  # evenly spaced; more change the error little
EPISODES = 8  # of the free run, whole
LONGEST = 1000  # steps of the free run
# Training windows of a regression, or PER_TERM of each term if that is more: more would change
# predictions by less than 2 % of the noise.
FITTED = 20_000
PER_TERM = 30
COARSE = 4  # of all members every fourth window; then those up to NEAR times the best on all
NEAR = 1.15
HISTORY_SHARE = 0.6  # of the windows of a split that a longer history has to leave
SHORT_HISTORY = 4  # rows; up to here every episode has to keep a window
