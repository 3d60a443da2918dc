/* One step after the other of the lattices, in place, on one core: the sums of
   martiel_goldbeter.py and sgro.py, cell by cell.

   A row is read from a copy with its neighbours at both ends, since the row itself and the one
   above are new by then. REAL is float or double; sizes are int64, constants double. */

#include <math.h>
#include <stdint.h>
#include <string.h>

static void copy_row(REAL *restrict to, const REAL *restrict row, int64_t width, int wraps) {
    memcpy(to + 1, row, width * sizeof(REAL));
    to[0] = wraps ? to[width] : to[1];
    to[width + 1] = wraps ? to[1] : to[width];
}

/* The two reciprocals of the receptor and the quotient of the cyclase share one division. */
static void react_row(REAL *restrict rho, REAL *restrict b, REAL *restrict g,
                      const REAL *restrict secretion, const REAL *restrict above,
                      const REAL *restrict here, const REAL *restrict below, int64_t width,
                      const double *constants) {
    const REAL k1 = constants[0], k2 = constants[1], r1 = constants[2], r2_c = constants[3],
               c = constants[4], active = constants[5], idle = constants[6],
               active_total = constants[7], idle_total = constants[8], dt = constants[9],
               kept_b = constants[10], kept_g = constants[11], spread = constants[12];
    for (int64_t x = 0; x < width; x++) {
        REAL now = here[x + 1], receptors = rho[x], inside = b[x];
        REAL high = now + 1, low = c * now + 1, rates = high * low;
        REAL squared = high * high, bound = receptors * now * (receptors * now);
        REAL total = idle_total * squared + active_total * bound;
        REAL inverse = 1 / (rates * total);
        REAL recovery = (r2_c * now + r1) * high;
        REAL exchange = (k2 * now + k1) * low + recovery;
        REAL made = (idle * squared + active * bound) * (inverse * rates);
        REAL around = (above[x] + below[x]) + (here[x] + here[x + 2]);
        rho[x] = receptors + dt * (inverse * total) * (recovery - exchange * receptors);
        b[x] = kept_b * inside + dt * made;
        g[x] = kept_g * now + dt * (inside * secretion[x]) + spread * (around - 4 * now);
    }
}

/* Fields rho, b, g (changed), secretion, and room for two rows with two more points each;
   sizes height, width, n_steps. Without flux through the edges. */
void react(REAL *const *fields, const int64_t *sizes, const double *constants) {
    const int64_t height = sizes[0], width = sizes[1];
    REAL *rho = fields[0], *b = fields[1], *g = fields[2], *secretion = fields[3];
    for (int64_t step = 0; step < sizes[2]; step++) {
        REAL *here = fields[4], *last = fields[4] + width + 2;
        for (int64_t y = 0; y < height; y++) {
            const int64_t at = y * width;
            copy_row(here, g + at, width, 0);
            const REAL *above = y > 0 ? last + 1 : here + 1;
            const REAL *below = y + 1 < height ? g + at + width : here + 1;
            react_row(rho + at, b + at, g + at, secretion + at, above, here, below, width,
                      constants);
            REAL *next = last;
            last = here;
            here = next;
        }
    }
}

/* The logarithm of a number from 1 on. In double it is libm's. In float it is written out, so that
   the loop around it becomes vectors: v = 2^n (1 + t) / (1 - t) with |t| < 0.172, and
   ln((1 + t) / (1 - t)) = 2 (t + t^3/3 + t^5/5 + ...), cut where t^11/11 is below 4e-10. */
static inline double logarithm_double(double v) { return log(v); }

static inline float logarithm_float(float v) {
    const uint32_t root_half = 0x3f3504f3; /* the bits of sqrt(1/2) */
    uint32_t bits;
    float mantissa;
    memcpy(&bits, &v, sizeof v);
    const float n = (float)((int32_t)(bits - root_half) >> 23);
    bits = ((bits - root_half) & 0x007fffff) + root_half;
    memcpy(&mantissa, &bits, sizeof v);
    const float t = (mantissa - 1) / (mantissa + 1), s = t * t;
    const float series = 2 * t + 2 * t * s * (1.f / 3 + s * (1.f / 5 + s * (1.f / 7 + s / 9)));
    const float result = n * 0.69314718f + series; /* n ln 2 */
    return v > 0 ? result : NAN;
}

#define JOIN(a, b) a##b
#define LOGARITHM_OF(real) JOIN(logarithm_, real)

static void excite_row(REAL *restrict a, REAL *restrict r, REAL *restrict s,
                       const REAL *restrict kicks, const REAL *restrict above,
                       const REAL *restrict here, const REAL *restrict below, int64_t width,
                       const double *constants) {
    const REAL dt = constants[0], gain = constants[1], per_k_d = constants[2], kick = constants[3],
               slow = constants[4], gamma = constants[5], c0 = constants[6], kept = constants[7],
               leak = constants[8], fired = constants[9], spread = constants[10];
    for (int64_t x = 0; x < width; x++) {
        REAL now = here[x + 1], active = a[x], inhibited = r[x];
        REAL drive = gain * LOGARITHM_OF(REAL)(1 + now * per_k_d);
        REAL rise = active - active * active * (active / 3) - inhibited + drive;
        REAL around = (above[x] + below[x]) + (here[x] + here[x + 2]);
        a[x] = active + dt * rise + kick * kicks[x];
        r[x] = inhibited + slow * (active + c0 - gamma * inhibited);
        s[x] = kept * now + leak + (active > 0 ? fired : 0) + spread * (around - 4 * now);
    }
}

/* Fields A, R, S (changed), the noise of this step, and room for three rows with two more points
   each; sizes height, width. Opposite edges meet. */
void excite(REAL *const *fields, const int64_t *sizes, const double *constants) {
    const int64_t height = sizes[0], width = sizes[1];
    REAL *a = fields[0], *r = fields[1], *s = fields[2], *kicks = fields[3];
    REAL *here = fields[4], *last = fields[4] + width + 2, *first = fields[4] + 2 * (width + 2);
    memcpy(last + 1, s + (height - 1) * width, width * sizeof(REAL));
    memcpy(first, s, width * sizeof(REAL));
    for (int64_t y = 0; y < height; y++) {
        const int64_t at = y * width;
        copy_row(here, s + at, width, 1);
        const REAL *below = y + 1 < height ? s + at + width : first;
        excite_row(a + at, r + at, s + at, kicks + at, last + 1, here, below, width, constants);
        REAL *next = last;
        last = here;
        here = next;
    }
}
