"""Kernels in C: layers, bounded functions, sines.

`bounded` is tanh as x P(x²) / Q(x²) within ±8, fitted by iteratively reweighted least squares to a
relative error of 7e-9; rounded to float32 it is within 3e-7. It has no branches, so that compilers
vectorize it. `sines` takes x to within π/4 of k π/2 in three parts (Cody and Waite 1980),
whose products with k are exact, then Taylor's series; far from zero it calls math.h.
"""

BOUNDED = """\
static inline float bounded(float x)
{
    const float y = x > 8.0f ? 8.0f : x < -8.0f ? -8.0f : x;
    const float z = y * y;
    const float p = 0.99999999f + z * (0.134445311f + z * (3.57163644e-3f
        + z * (2.18952609e-5f + z * 1.52311862e-8f)));
    const float q = 1.0f + z * (0.467778585f + z * (2.61645914e-2f
        + z * (3.41135340e-4f + z * 8.52277425e-7f)));
    return y * p / q;
}
"""

ANGLES = """\
/* sin(x + quarter * pi / 2) */
static inline float sine(float x, int quarter)
{
    const float k = rintf(x * 0.636619772f);
    const float r =
        ((x - k * 1.5703125f) - k * 4.8375129699707031e-4f) - k * 7.5497899548918822e-8f;
    const float z = r * r;
    const float s = r + r * z * (-1.66666667e-1f + z * (8.33333333e-3f
        + z * (-1.98412698e-4f + z * 2.75573192e-6f)));
    const float c = 1.0f + z * (-0.5f + z * (4.16666667e-2f + z * (-1.38888889e-3f
        + z * (2.48015873e-5f - z * 2.75573192e-7f))));
    const int q = (int)k + quarter;
    const float v = q & 1 ? c : s;
    return q & 2 ? -v : v;
}

static int near(const float *x, int count)
{
    int far = 0;
    for (int i = 0; i < count; ++i)
        far |= !(fabsf(x[i]) < 8192.0f);
    return !far;
}
"""

SINES = """\
static void sines(const float *x, float *y, int count)
{
    if (near(x, count))
        for (int i = 0; i < count; ++i)
            y[i] = sine(x[i], 0);
    else /* one by one, so that a far value changes no other result */
        for (int i = 0; i < count; ++i)
            y[i] = near(x + i, 1) ? sine(x[i], 0) : sinf(x[i]);
}
"""

COSINES = """\
static void cosines(const float *x, float *y, int count)
{
    if (near(x, count))
        for (int i = 0; i < count; ++i)
            y[i] = sine(x[i], 1);
    else
        for (int i = 0; i < count; ++i)
            y[i] = near(x + i, 1) ? sine(x[i], 1) : cosf(x[i]);
}
"""

NORMALIZE = """\
/* Lanes apart; the variance is that of the values, not of a sample. */
static void normalize(const float *x, float *y, int count, float epsilon)
{
    for (int l = 0; l < LANES; ++l) {
        float mean = 0.0f, variance = 0.0f;
        for (int i = 0; i < count; ++i)
            mean += x[i * LANES + l];
        mean /= (float)count;
        for (int i = 0; i < count; ++i) {
            const float d = x[i * LANES + l] - mean;
            variance += d * d;
        }
        const float scale = 1.0f / sqrtf(variance / (float)count + epsilon);
        for (int i = 0; i < count; ++i)
            y[i * LANES + l] = (x[i * LANES + l] - mean) * scale;
    }
}
"""

SOFTMAX = """\
/* Lanes apart; minus the largest value, so that no exponential overflows. */
static void softmax(const float *x, float *y, int count)
{
    for (int l = 0; l < LANES; ++l) {
        float most = x[l], sum = 0.0f;
        for (int i = 1; i < count; ++i)
            most = x[i * LANES + l] > most ? x[i * LANES + l] : most;
        for (int i = 0; i < count; ++i) {
            const float e = expf(x[i * LANES + l] - most);
            y[i * LANES + l] = e;
            sum += e;
        }
        for (int i = 0; i < count; ++i)
            y[i * LANES + l] /= sum;
    }
}
"""

PRODUCT = """\
/* (rows, inner) times (inner, columns), lanes apart. */
static void product(const float *restrict x, const float *restrict y, float *restrict out,
    int rows, int inner, int columns)
{
    for (int r = 0; r < rows; ++r, out += columns * LANES) {
        for (int i = 0; i < columns * LANES; ++i)
            out[i] = 0.0f;
        for (int k = 0; k < inner; ++k, x += LANES)
            for (int c = 0; c < columns; ++c)
                for (int l = 0; l < LANES; ++l)
                    out[c * LANES + l] += x[l] * y[(k * columns + c) * LANES + l];
    }
}
"""

# One block of a layer's outputs: its weights hold, row after row, first the bias, then an input's.
DENSE = """\
static void dense_{width}(
    const float *restrict w, const float *restrict x, float *restrict y, int inputs)
{{
    float a[{width}], b[{width}]; /* two sums each, which do not wait for one another */
    for (int k = 0; k < {width}; ++k)
        a[k] = w[k], b[k] = 0.0f;
    w += {width};
    int i = 0;
    for (; i + 2 <= inputs; i += 2, w += 2 * {width}) {{
        for (int k = 0; k < {width}; ++k)
            a[k] += x[i] * w[k];
        for (int k = 0; k < {width}; ++k)
            b[k] += x[i + 1] * w[{width} + k];
    }}
    for (int k = 0; i < inputs && k < {width}; ++k)
        a[k] += x[i] * w[k];
    for (int k = 0; k < {width}; ++k)
        y[k] = a[k] + b[k];
}}
"""

# The same for several rows in parallel; gcc and clang keep such vectors in registers.
DENSE_LANES = """\
static void dense_{width}(
    const float *restrict w, const float *restrict x, float *restrict y, int inputs)
{{
    row a[{width}];
    for (int k = 0; k < {width}; ++k)
        a[k] = w[k] + (row){{0}};
    for (int i = 0; i < inputs; ++i) {{
        const row b = *(const row *)(x + i * LANES);
        w += {width};
        for (int k = 0; k < {width}; ++k)
            a[k] += w[k] * b;
    }}
    for (int k = 0; k < {width}; ++k)
        *(row *)(y + k * LANES) = a[k];
}}
"""

# A layer of few outputs: its weights hold, output after output, first the bias. Sixteen independent
# sums hide the latency of an addition.
DOTS = """\
static void dots(const float *restrict w, const float *restrict x, float *restrict y, int inputs,
    int outputs)
{
    for (int k = 0; k < outputs; ++k, w += inputs + 1) {
        float a[16] = {w[0]};
        int i = 0;
        for (; i + 16 <= inputs; i += 16)
            for (int j = 0; j < 16; ++j)
                a[j] += x[i + j] * w[1 + i + j];
        for (; i < inputs; ++i)
            a[0] += x[i] * w[1 + i];
        for (int half = 8; half; half /= 2)
            for (int j = 0; j < half; ++j)
                a[j] += a[j + half];
        y[k] = a[0];
    }
}
"""

LOOKUP = """\
/* One row of a table; an index beyond its ends reads the first or last row, NaN the first. */
static int row_at(float index, int rows)
{
    return !(index > 0.0f) ? 0 : index < (float)(rows - 1) ? (int)index : rows - 1;
}
"""
