// Run a model's step.c from C++, as a microcontroller would: no library, no allocation.
//
//     kinemill model export pendulum --c99 --to model
//     gcc -std=c99 -O3 -c model/step.c -o step.o
//     g++ -std=c++17 -O2 -Imodel -DSTEP=pendulum_step -DNAME=PENDULUM run_step.cpp step.o -lm
//
// STEP and NAME are the task's: the function, and what the sizes in step.h begin with.

#include <cstdio>

#include "step.h"

#define JOIN(a, b) a##b
#define SIZE(name, what) JOIN(name, what)

int main() {
  float state[SIZE(NAME, _STATES)] = {}, action[SIZE(NAME, _ACTIONS) + 1] = {};
  float carry[SIZE(NAME, _CARRY) + 1] = {};  // zeros: nothing was seen yet
  for (int k = 0; k < 25; ++k) STEP(state, action, carry, state);
  for (float value : state) std::printf("%.9g\n", value);
}
