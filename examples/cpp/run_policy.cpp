// Run the policy.c of a legged robot as its onboard computer does: no library, no allocation.
//
//     kinemill model export go_bdx --c99 --to policy
//     gcc -std=c99 -O3 -c policy/policy.c -o policy.o
//     g++ -std=c++17 -O2 -Ipolicy -DACT=go_bdx_act -DNAME=GO_BDX run_policy.cpp policy.o -lm -o run
//     sensors | ./run | motors        # with --free: as fast as lines arrive, without a clock
//
// ACT and NAME are the task's: the function, and what the sizes in policy.h begin with. A line of
// stdin is one observation, in the order and units of policy.h; a line of stdout holds the targets
// of the joints, rad. The line "reset" starts a motion from its beginning. On a robot, replace
// `read_sensors` and `send` by your bus, and set the gains, which are printed first, in the servos.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>

#include "policy.h"

#define JOIN(a, b) a##b
#define OF(name, what) JOIN(name, what)

constexpr int kObservations = OF(NAME, _OBSERVATIONS), kActions = OF(NAME, _ACTIONS);
constexpr int kCarry = OF(NAME, _CARRY);

// Reads one observation; a line that is too short or no number leaves NaN, which is not acted on.
enum class Input { kObservation, kReset, kEnd };

Input read_sensors(float *observation) {
  static char line[16384];
  if (!std::fgets(line, sizeof line, stdin)) return Input::kEnd;
  if (!std::strncmp(line, "reset", 5)) return Input::kReset;
  char *at = line;
  for (int i = 0; i < kObservations; ++i) {
    char *end = at;
    observation[i] = std::strtof(at, &end);
    if (end == at) observation[i] = NAN;
    at = end;
  }
  return Input::kObservation;
}

void send(const float *targets) {
  for (int i = 0; i < kActions; ++i)
    std::printf("%.9g%c", targets[i], i + 1 < kActions ? ' ' : '\n');
  std::fflush(stdout);
}

int main(int argc, char **argv) {
  const bool paced = argc < 2 || std::strcmp(argv[1], "--free") != 0;
  const float kp[] = OF(NAME, _KP), kv[] = OF(NAME, _KV), limit[] = OF(NAME, _LIMIT);
  for (int i = 0; i < kActions; ++i)
    std::fprintf(stderr, "servo %d: kp %g N m/rad, kv %g N m s/rad, at most %g N m\n", i, kp[i],
                 kv[i], limit[i]);

  using Clock = std::chrono::steady_clock;
  const auto period = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(OF(NAME, _DT)));
  auto next = Clock::now();
  float observation[kObservations], targets[] = OF(NAME, _SAFE_ACTION), carry[kCarry] = {};
  for (;;) {
    const Input input = read_sensors(observation);
    if (input == Input::kEnd) return 0;
    if (input == Input::kReset) {
      std::fill(std::begin(carry), std::end(carry), 0.0f);  // the phase is unknown again
      continue;
    }
    float changed[kCarry], action[kActions];
    std::copy(std::begin(carry), std::end(carry), changed);
    ACT(observation, changed, action);
    // NaN in, NaN out: keep the last targets and the phase, and let a watchdog count.
    if (std::all_of(action, action + kActions, [](float one) { return std::isfinite(one); })) {
      std::copy(std::begin(changed), std::end(changed), carry);
      std::copy(std::begin(action), std::end(action), targets);
    } else {
      std::fprintf(stderr, "no action: the observation is not complete\n");
    }
    send(targets);
    if (!paced) continue;
    next += period;
    if (next < Clock::now()) {
      std::fprintf(stderr, "late\n");
      next = Clock::now();
    }
    std::this_thread::sleep_until(next);
  }
}
