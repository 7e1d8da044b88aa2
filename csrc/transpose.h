/* A square of numbers turned round in registers. */
#ifndef FASTRNN_TRANSPOSE_H
#define FASTRNN_TRANSPOSE_H

#include "vec.h"

#if defined(VBYTES)
/* The lanes of two vectors in turn, a's first: of their lower halves, and of their upper ones. */
#if defined(__clang__)
#define V_SHUFFLE(a, b, mask) v_shuffle(a, b, mask)
ALWAYS_INLINE vec v_shuffle(vec a, vec b, vbits mask)
{
    vec to;
    for (int i = 0; i < VLEN; i++)
        to[i] = mask[i] < VLEN ? a[mask[i]] : b[mask[i] - VLEN];
    return to;
}
#else
#define V_SHUFFLE(a, b, mask) __builtin_shuffle(a, b, mask)
#endif

ALWAYS_INLINE vec v_zip(vec a, vec b, const int upper)
{
    vbits mask;
    for (int i = 0; i < VLEN; i++)
        mask[i] = (i % 2) * VLEN + i / 2 + upper * (VLEN / 2);
    return V_SHUFFLE(a, b, mask);
}
#endif

/* to[lane * to_step + i] = from[i * from_step + lane], VLEN by VLEN. Each of log2 VLEN rounds zips every vector of the
 * first half with its fellow of the second; `stream`: past the caches, see v_stream. */
ALWAYS_INLINE void v_transpose(const real *from, ptrdiff_t from_step, real *to, ptrdiff_t to_step, const int stream)
{
#if defined(VBYTES)
    vec a[VLEN], b[VLEN];
    _Pragma("GCC unroll 16") for (int i = 0; i < VLEN; i++)
        a[i] = v_load(from + i * from_step);
    _Pragma("GCC unroll 4") for (int round = 1; round < VLEN; round *= 2) {
        _Pragma("GCC unroll 16") for (int i = 0; i < VLEN / 2; i++) {
            b[2 * i] = v_zip(a[i], a[i + VLEN / 2], 0);
            b[2 * i + 1] = v_zip(a[i], a[i + VLEN / 2], 1);
        }
        _Pragma("GCC unroll 16") for (int i = 0; i < VLEN; i++)
            a[i] = b[i];
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < VLEN; i++) {
        if (stream) v_stream(to + i * to_step, a[i]);
        else v_store(to + i * to_step, a[i]);
    }
#else
    (void)from_step, (void)to_step, (void)stream;
    to[0] = from[0];
#endif
}

#endif
