/* exp, tanh and the logistic sigmoid of a vector: branch-free, the same bits in every lane and for every batch.
 *
 *                 range              bound (float32)   bound (float64)   +-0    -inf   +inf   nan
 *   v_exp_neg     x <= 0             1.1 ULP           1.1 ULP           1      0      -      nan
 *   v_sigmoid     all                2.5 ULP           2.5 ULP           0.5    0      1      nan
 *   v_tanh        all                2.5 ULP           2.5 ULP           +-0    -1     1      nan
 *
 * The bounds hold where argument and exact result are normal numbers; elsewhere the error is below the smallest normal
 * number. |tanh| and sigmoid never exceed 1. tests/test_elementary.py sweeps all of this. */
#ifndef FASTRNN_VMATH_H
#define FASTRNN_VMATH_H

#include "vec.h"

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln(2)/2; e^r = 1 + r + r^2 P(r). ln 2 is split so that n * LN2_HIGH is
 * exact without a fused multiply-add too. P: minimax (float32) and Chebyshev (float64) fits of (e^r - 1 - r) / r^2,
 * relative errors of e^r 2^-28 and 2^-61. Below EXP_LOW n reaches the exponent of zero, which makes the result 0; up to
 * EXP_HIGH 2^n is finite. sigmoid x = 1 / (1 + e^-x), whose small results are denormal from -EXP_HIGH on: 0, as denormals
 * are flushed inside the engine's calls. tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|), and (1 - 2^n) - 2^n (e^r - 1) keeps
 * every digit where |x| is small. From TANH_ONE on tanh rounds to 1. */
#define LOG2_E ((real)1.4426950408889634074)
#if defined(FASTRNN_DOUBLE)
#define ROUND_SHIFT 6755399441056767.0 /* 1.5 * 2^52 + 1023: adding it leaves the biased exponent in the low bits */
#define MANTISSA_BITS 52
#define EXP_LOW (-709.2)
#define EXP_HIGH 709.4
#define LN2_HIGH 6.93147180369123816490e-1
#define LN2_LOW 1.9082149292705878161e-10
static const real EXP_P[] = {0.5, 0.16666666666666670991, 0.041666666666666669755, 0.0083333333333261351258,
    0.0013888888888883748305, 0.00019841269874820625271, 0.000024801587325547741216, 2.755725540020642443e-6,
    2.7557273643110295328e-7, 2.5105217004720745164e-8, 2.0914686968086877233e-9};
#define TANH_ONE 19.1
#else
#define ROUND_SHIFT 12583039.0f /* 1.5 * 2^23 + 127 */
#define MANTISSA_BITS 23
#define EXP_LOW (-88.0f)
#define EXP_HIGH 88.37f
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-0.000212194440055f)
static const real EXP_P[] = {0.50000000951176907f, 0.16666518844237946f, 0.041666206050137839f,
    0.0083688890071802830f, 0.0013950475191639582f};
#define TANH_ONE 9.02f
#endif
#define COUNT_OF(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define SIGN_BIT ((real_bits)((uint64_t)1 << (REAL_BITS - 1)))

/* A polynomial in sign * x of an odd number of coefficients, by pairs: half as long a chain as Horner's rule, for as many
 * operations. */
ALWAYS_INLINE vec v_poly(vec x, const int sign, vec x_squared, const real *coefficients, int count)
{
    vec p = v_set(coefficients[count - 1]);
    for (int i = count - 3; i >= 0; i -= 2)
        p = v_fma(p, x_squared, v_fma(v_set(sign * coefficients[i + 1]), x, v_set(coefficients[i])));
    return p;
}

ALWAYS_INLINE vec v_minus_abs(vec x) { return v_real(v_bits(x) | SIGN_BIT); }

/* e^(sign x) = power * (1 + the value returned), power = 2^n. The sign goes into the constants: it costs nothing. */
ALWAYS_INLINE vec v_exp_parts(vec x, const int sign, vec *power)
{
    vec shifted = v_fma(x, v_set(sign * LOG2_E), v_set(ROUND_SHIFT));
    vec n = shifted - ROUND_SHIFT;
    vec r = v_fma(n, v_set(-sign * LN2_LOW), v_fma(n, v_set(-sign * LN2_HIGH), x)), r_squared = r * r; /* sign * r */
    *power = v_real(v_bits(shifted) << MANTISSA_BITS);
    return v_fma(r_squared, v_poly(r, sign, r_squared, EXP_P, COUNT_OF(EXP_P)), sign < 0 ? -r : r);
}

ALWAYS_INLINE vec v_exp_neg(vec x)
{
    vec power, p = v_exp_parts(v_max(v_set(EXP_LOW), x), 1, &power); /* a nan stays */
    return (p + (real)1) * power;
}

ALWAYS_INLINE vec v_recip_sigmoid(vec x) /* 1 / sigmoid x = 1 + e^-x, finite */
{
    vec power, p = v_exp_parts(v_min(v_set(-EXP_LOW), v_max(v_set(-EXP_HIGH), x)), -1, &power);
    return v_fma(power, p, power + (real)1);
}

ALWAYS_INLINE vec v_sigmoid(vec x) { return (real)1 / v_recip_sigmoid(x); }

ALWAYS_INLINE vec v_tanh(vec x)
{
    vec minus = v_max(v_set(-TANH_ONE), v_minus_abs(x)), power;
    vec p = v_exp_parts(minus + minus, 1, &power);
    vec difference = v_fma(-power, p, (real)1 - power); /* 1 - e^-2|x| */
    vec y = difference / ((real)2 - difference);
    return v_real(v_bits(y) | (v_bits(x) & SIGN_BIT)); /* so -0 stays -0 */
}

ALWAYS_INLINE vec v_relu(vec x) { return v_max(v_set(0), x); } /* nan in, nan out */

/* What the other activations are made of; nan in, nan out. */
ALWAYS_INLINE vec v_abs(vec x) { return v_real(v_bits(x) & ~SIGN_BIT); }
ALWAYS_INLINE vec v_clip(vec x, real bound) { return -v_max(v_set(-bound), -v_max(v_set(-bound), x)); }
ALWAYS_INLINE vec v_select_equal(vec a, vec b, vec x, vec y) { return v_select_lt(a, b, y, v_select_lt(b, a, y, x)); }

ALWAYS_INLINE vec v_expm1_neg(vec x) /* x <= 0 */
{
    vec power, p = v_exp_parts(v_max(v_set(EXP_LOW), x), 1, &power);
    return v_fma(power, p, power - (real)1);
}

/* log(1 + e^x) = max(x, 0) + log(1 + u), u = e^-|x|; log(1 + u) = 2 atanh(s), s = u / (2 + u) <= 1/3, by its series. */
ALWAYS_INLINE vec v_softplus(vec x)
{
    vec u = v_exp_neg(v_minus_abs(x)), s = u / (u + (real)2), square = s * s;
    const int terms = sizeof(real) == 8 ? 17 : 8;
    vec p = v_set((real)1 / (2 * terms - 1));
    for (int k = terms - 2; k >= 0; k--)
        p = v_fma(p, square, v_set((real)1 / (2 * k + 1)));
    return v_fma(s + s, p, v_max(v_set(0), x));
}

#endif
