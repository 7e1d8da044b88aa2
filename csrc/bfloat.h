/* bfloat16, the upper half of a float32: 8 bits of exponent as there, 8 of precision. */
#ifndef FASTRNN_BFLOAT_H
#define FASTRNN_BFLOAT_H

#include "vec.h"

/* Rounded to the nearest, ties to even; a nan stays one. */
static inline uint16_t bfloat_of(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
}

static void to_bfloat(uint16_t *to, const real *from, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j++)
        to[j] = bfloat_of((float)from[j]);
}

static void from_bfloat(real *to, const uint16_t *from, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j++) {
        const uint32_t bits = (uint32_t)from[j] << 16;
        float a;
        memcpy(&a, &bits, sizeof a);
        to[j] = a;
    }
}

#endif
