"""Whole rollouts compiled for this machine with gcc or clang, for `runtime.load(engine="c")`.

They run one row at a time, or several rows in parallel.
"""

from functools import lru_cache
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.export.c99.codegen import functions
from kinemill.export.c99.compiler import compile_cached, compiler
from kinemill.export.c99.source import STACK, Parts, read, sizes_of
from kinemill.runtime.native_engine import CompiledRollout
from kinemill.runtime.simulator import COMPILERS

LANES = 16  # rows in parallel: 16 float32 fill one AVX-512 register, or two of AVX

_TYPE = """\
typedef float row __attribute__((vector_size(4 * LANES), may_alias));
"""

_ROLLOUT = """\
#define STATES {states}
#define CARRY {carry}
#define ACTIONS {actions}
#define HISTORY {history}

static void put(float *restrict to, const float *restrict from, int count, long stride, int rows)
{{
    for (int i = 0; i < count; ++i)
        for (int l = 0; l < LANES; ++l)
            to[i * LANES + l] = from[(l < rows ? l : 0) * stride + i];
}}

static void watch(float *restrict nothing, const float *restrict from, long count, int rows)
{{
    for (int l = 0; l < rows; ++l) {{
        float a[16] = {{0}};
        long i = 0;
        for (; i + 16 <= count; i += 16)
            for (int j = 0; j < 16; ++j)
                a[j] += 0.0f * from[l * count + i + j];
        for (; i < count; ++i)
            a[0] += 0.0f * from[l * count + i];
        for (int j = 0; j < 16; ++j)
            nothing[l] += a[j];
    }}
}}

void kinemill_rollout_{lanes}(const float *restrict states, const float *restrict past,
    const float *restrict actions, float *restrict next, long batch, long horizon)
{{
    for (long first = 0; first < batch; first += LANES) {{
        const int rows = batch - first < LANES ? (int)(batch - first) : LANES;
        const float *s = states + first * (HISTORY * STATES);
        const float *p = past + first * ((HISTORY - 1) * ACTIONS);
        const float *a = actions + first * horizon * ACTIONS;
        float memory[2][(STATES + CARRY + ACTIONS) * LANES]{aligned};
        float nothing[LANES] = {{0}};
        watch(nothing, s, HISTORY * STATES, rows);
        watch(nothing, p, (HISTORY - 1) * ACTIONS, rows);
        watch(nothing, a, horizon * ACTIONS, rows);
        float *in = memory[0], *out = memory[1];
        memset(in, 0, sizeof memory[0]);
        for (int k = 0; CARRY && k < HISTORY - 1; ++k) {{
            put(in, s + k * STATES, STATES, HISTORY * STATES, rows);
            put(in + (STATES + CARRY) * LANES, p + k * ACTIONS, ACTIONS,
                (HISTORY - 1) * ACTIONS, rows);
            {warm}
            float *const other = in;
            in = out, out = other;
        }}
        put(in, s + (HISTORY - 1) * STATES, STATES, HISTORY * STATES, rows);
        for (long k = 0; k < horizon; ++k) {{
            put(in + (STATES + CARRY) * LANES, a + k * ACTIONS, ACTIONS, horizon * ACTIONS, rows);
            core(in, out);
            for (int i = 0; i < STATES; ++i)
                for (int l = 0; l < rows; ++l)
                    next[((first + l) * horizon + k) * STATES + i]
                        = out[i * LANES + l] + nothing[l];
            float *const other = in;
            in = out, out = other;
        }}
    }}
}}
"""


def rollout_code(parts: Parts, lanes: int) -> str:
    """Return C with `kinemill_rollout_LANES(states, past, actions, next, batch, horizon)`.

    Arrays are (B, H, S), (B, H-1, A), (B, T, A) and, for the results, (B, T, S).
    """
    states, actions, carry = sizes_of(parts.interface)
    programs = {"core": parts.core} | ({"warm": parts.warm} if carry else {})
    return "\n".join(
        [
            "#include <math.h>\n#include <string.h>\n",
            f"#define LANES {lanes}",
            _TYPE if lanes > 1 else "",
            functions(programs, lanes),
            _ROLLOUT.format(
                states=states,
                carry=carry,
                actions=actions,
                history=parts.interface.history,
                lanes=lanes,
                aligned=" __attribute__((aligned(64)))" if lanes > 1 else "",
                warm="warm(in, out + STATES * LANES);" if carry else "",
            ),
        ]
    )


@COMPILERS.register("c99")
def compile_rollout(step: bytes) -> CompiledRollout:
    """Compile the rollout of a step.onnx.

    Raises:
        BadInput: No compiler, an ensemble, or an unsupported operation.
    """
    compiler()  # before the cache: the compiler may have been removed
    return _compiled(step)


@lru_cache(maxsize=8)
def _compiled(step: bytes) -> CompiledRollout:
    parts = read(step)
    if parts.interface.belief is not None:
        raise BadInput("step.onnx", "is of an ensemble", expected="a single model")
    lanes = lanes_of(parts)
    library = compile_cached([rollout_code(parts, count) for count in sorted({1, lanes})])
    name = Path(compiler()).name
    return CompiledRollout(library, lanes, len(parts.interface.states), f"C by {name}")


def lanes_of(parts: Parts) -> int:
    """Return the number of rows that run in parallel: as many as the stack of a thread holds."""
    lane_bytes = 4 * max(parts.core.elements, parts.warm.elements)
    return next((lanes for lanes in (LANES, LANES // 4) if lanes * lane_bytes <= STACK), 1)
