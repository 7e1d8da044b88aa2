/* Register tiles: the inner product under every step, projection and gradient.
 *
 * A tile is up to TILE_ROWS rows by 1 to TILE_VECTORS vectors of columns, held in registers over the whole inner
 * dimension. Each output is one chain: its initial value, then k ascending. The tile's shape never changes a bit. */
#ifndef FASTRNN_TILE_H
#define FASTRNN_TILE_H

#include "vec.h"

/* Accumulators, one vector of B and TILE_ROWS broadcasts fit the register file: 24 + 6 + 1 of 32, 12 + 3 + 1 of 16. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 6
#else
#define TILE_ROWS 3
#endif
#define TILE_VECTORS 4

/* The inner dimension: `runs` runs of `run` values of k. Within a run A moves by a_step, from run to run by a_run;
 * B moves by b_step throughout. */
typedef struct {
    ptrdiff_t runs, run, a_step, a_run, b_step;
} Inner;

typedef void (*tile_function)(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset);

ALWAYS_INLINE void tile_body(const int rows, const int vectors, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    vec acc[TILE_ROWS][TILE_VECTORS];
    const real *row[TILE_ROWS];
    const ptrdiff_t a_step = inner->a_step, b_step = inner->b_step;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        row[r] = a[r] + a_offset;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            acc[r][v] = v_load(init[r] + init_offset + v * VLEN);
    }
    for (ptrdiff_t s = 0; s < inner->runs; s++) {
        for (ptrdiff_t k = 0, end = inner->run * a_step; k != end; k += a_step, b += b_step) {
            vec x[TILE_ROWS];
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++)
                x[r] = v_set(row[r][k]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                vec w = v_load(b + v * VLEN);
#pragma GCC unroll 6
                for (int r = 0; r < rows; r++)
                    acc[r][v] = v_fma(x[r], w, acc[r][v]);
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            row[r] += inner->a_run;
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            v_store(out[r] + out_offset + v * VLEN, acc[r][v]);
}

#define TILE(rows, vectors)                                                                                            \
    static void tile_##rows##x##vectors(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,   \
        const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)                        \
    {                                                                                                                  \
        tile_body(rows, vectors, a, a_offset, b, inner, init, init_offset, out, out_offset);                           \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3) TILE(rows, 4)
#define TILE_NAMES(rows) {tile_##rows##x1, tile_##rows##x2, tile_##rows##x3, tile_##rows##x4}

TILES(1) TILES(2) TILES(3)
#if TILE_ROWS == 6
TILES(4) TILES(5) TILES(6)
#endif

static const tile_function TILE_TABLE[TILE_ROWS][TILE_VECTORS] = {TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3),
#if TILE_ROWS == 6
    TILE_NAMES(4), TILE_NAMES(5), TILE_NAMES(6),
#endif
};

/* out[r][out_offset..] = init[r][init_offset..] + sum over k of a[r][k] b[k][..], rows x vectors * VLEN.
 *   a     IN   [rows] pointers              b    IN   [runs * run, b_step]
 *   init  IN   [rows] pointers, may be out  out  OUT  [rows] pointers */
ALWAYS_INLINE void tile(int rows, int vectors, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    TILE_TABLE[rows - 1][vectors - 1](a, a_offset, b, inner, init, init_offset, out, out_offset);
}

#endif
