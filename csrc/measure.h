/* The limits of the machine, for benchmarks: fused multiply-adds from registers, and reading. */
#ifndef FASTRNN_MEASURE_H
#define FASTRNN_MEASURE_H

#include "vec.h"

#define CHAINS 12 /* enough to hide the latency of two units, few enough for 16 registers */
#define FMA_FLOPS (2 * CHAINS * VLEN)

#if defined(__GNUC__)
#define NEVER_INLINE static __attribute__((noinline))
#else
#define NEVER_INLINE static
#endif

/* Never inlined, and `value` is volatile: so the work stays, between two looks at the clock. */
NEVER_INLINE void fma_chains(ptrdiff_t count, volatile real *value)
{
    const real start = *value;
    vec acc[CHAINS], x = v_set((real)0.999), y = v_set((real)0.001);
    real sum = 0;
    for (int i = 0; i < CHAINS; i++)
        acc[i] = v_set(start + (real)i);
    for (ptrdiff_t k = 0; k < count; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] = v_fma(acc[i], x, y);
    }
    for (int i = 0; i < CHAINS; i++)
        sum += lane_sum(acc[i]);
    *value = sum;
}

NEVER_INLINE void read_through(const real *data, ptrdiff_t count, volatile real *value)
{
    vec sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    for (ptrdiff_t k = 0; k + 4 * VLEN <= count; k += 4 * VLEN)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            sum[i] = sum[i] + v_load(data + k + i * VLEN);
    *value = lane_sum(sum[0] + sum[1] + sum[2] + sum[3]);
}

#endif
