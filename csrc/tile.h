/* Register tiles: the inner product under every step, projection and gradient.
 *
 * A tile is some rows by 1 to TILE_VECTORS vectors of columns, held in registers over the whole inner dimension. Each
 * output is one chain: its initial value, then k ascending. The tile's shape never changes a bit. */
#ifndef FASTRNN_TILE_H
#define FASTRNN_TILE_H

#include "vec.h"

/* The inner dimension: `runs` runs of `run` values of k. Within a run A moves by a_step, from run to run by a_run;
 * B moves by b_step throughout. Where A's last panel is not full, gemm goes on behind them with `tail_runs` shorter runs. */
typedef struct {
    ptrdiff_t runs, run, a_step, a_run, b_step;
    ptrdiff_t tail_runs, tail_run, tail_a_run;
} Inner;

#define TILE_VECTORS 4
#define MOST_ROWS 12

/* Rows of a tile of 1, 2, 3 and 4 vectors. Accumulators, then one vector of B and a row's broadcast each (or the other
 * way round, whichever is fewer) fit the register file: 24 + 6 + 1 of 32, 12 + 3 + 1 of 16. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS_1 12
#define ROWS_2 12
#define ROWS_3 8
#define ROWS_4 6
#else
#define ROWS_1 12
#define ROWS_2 6
#define ROWS_3 4
#define ROWS_4 3
#endif
#define TILE_ROWS ROWS_4

ALWAYS_INLINE int tile_rows(int vectors)
{
    static const int rows[] = {ROWS_1, ROWS_2, ROWS_3, ROWS_4};
    return rows[vectors - 1];
}

/* Rows of the next tile where some are left: the last two share theirs, since a tile of one or two waits for its weights. */
ALWAYS_INLINE int next_rows(ptrdiff_t left, int most)
{
    return (int)(left >= 2 * most ? most : left > most ? (left + 1) / 2 : left);
}

/* One row takes two panels at once, since the chains of one alone would wait for the multiply-adds before them: how far
 * the second panel's numbers lie behind the first's. */
typedef struct {
    ptrdiff_t b, init, out;
} PanelSteps;

#define UNROLL _Pragma("GCC unroll 12")

ALWAYS_INLINE void tile_body(const int rows, const int vectors, const int panels, const real *const *a,
    ptrdiff_t a_offset, const real *b, const Inner *inner, const real *const *init, ptrdiff_t init_offset,
    real *const *out, ptrdiff_t out_offset, PanelSteps step)
{
    vec acc[MOST_ROWS][2 * TILE_VECTORS];
    const real *row[MOST_ROWS];
    const ptrdiff_t a_step = inner->a_step, b_step = inner->b_step;
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = a[r] + a_offset;
        UNROLL for (int v = 0; v < panels * vectors; v++)
            acc[r][v] = v_load(init[r] + init_offset + (v / vectors) * step.init + (v % vectors) * VLEN);
    }
    for (ptrdiff_t s = 0; s < inner->runs; s++) {
        for (ptrdiff_t k = 0, end = inner->run * a_step; k != end; k += a_step, b += b_step) {
            if (rows < vectors || panels > 1) { /* the fewer of the two stay in registers */
                vec x[MOST_ROWS];
                UNROLL for (int r = 0; r < rows; r++)
                    x[r] = v_set(row[r][k]);
                UNROLL for (int v = 0; v < panels * vectors; v++) {
                    vec w = v_load(b + (v / vectors) * step.b + (v % vectors) * VLEN);
                    UNROLL for (int r = 0; r < rows; r++)
                        acc[r][v] = v_fma(x[r], w, acc[r][v]);
                }
            } else {
                vec w[TILE_VECTORS];
                UNROLL for (int v = 0; v < vectors; v++)
                    w[v] = v_load(b + v * VLEN);
                UNROLL for (int r = 0; r < rows; r++) {
                    vec x = v_set(row[r][k]);
                    UNROLL for (int v = 0; v < vectors; v++)
                        acc[r][v] = v_fma(x, w[v], acc[r][v]);
                }
            }
        }
        UNROLL for (int r = 0; r < rows; r++)
            row[r] += inner->a_run;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        real *to = out[r] + out_offset; /* read once: a store might change out[r], for all the compiler knows */
        UNROLL for (int v = 0; v < panels * vectors; v++)
            v_store(to + (v / vectors) * step.out + (v % vectors) * VLEN, acc[r][v]);
    }
}

typedef void (*tile_function)(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset);

#define DEFINE_TILE(rows, vectors)                                                                                     \
    static void tile_##rows##x##vectors(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,   \
        const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)                        \
    {                                                                                                                  \
        tile_body(rows, vectors, 1, a, a_offset, b, inner, init, init_offset, out, out_offset, (PanelSteps){0, 0, 0}); \
    }
#define TILE_NAME(rows, vectors) tile_##rows##x##vectors,

#define UP_TO_3(X, v) X(1, v) X(2, v) X(3, v)
#define UP_TO_4(X, v) UP_TO_3(X, v) X(4, v)
#define UP_TO_6(X, v) UP_TO_4(X, v) X(5, v) X(6, v)
#define UP_TO_8(X, v) UP_TO_6(X, v) X(7, v) X(8, v)
#define UP_TO_12(X, v) UP_TO_8(X, v) X(9, v) X(10, v) X(11, v) X(12, v)
#define UP_TO_(n, X, v) UP_TO_##n(X, v)
#define UP_TO(n, X, v) UP_TO_(n, X, v)

UP_TO(ROWS_1, DEFINE_TILE, 1)
UP_TO(ROWS_2, DEFINE_TILE, 2)
UP_TO(ROWS_3, DEFINE_TILE, 3)
UP_TO(ROWS_4, DEFINE_TILE, 4)

static const tile_function TILES[TILE_VECTORS][MOST_ROWS] = {{UP_TO(ROWS_1, TILE_NAME, 1)},
    {UP_TO(ROWS_2, TILE_NAME, 2)}, {UP_TO(ROWS_3, TILE_NAME, 3)}, {UP_TO(ROWS_4, TILE_NAME, 4)}};

/* out[r][out_offset..] = init[r][init_offset..] + sum over k of a[r][k] b[k][..], rows x vectors * VLEN.
 *   a     IN   [rows] pointers              b    IN   [runs * run, b_step]
 *   init  IN   [rows] pointers, may be out  out  OUT  [rows] pointers
 * rows is at most tile_rows(vectors). */
ALWAYS_INLINE void tile(int rows, int vectors, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    TILES[vectors - 1][rows - 1](a, a_offset, b, inner, init, init_offset, out, out_offset);
}

/* The same for one row and two whole panels. */
static void tile_pair(int vectors, const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset, PanelSteps step)
{
    switch (vectors) {
    case 1: tile_body(1, 1, 2, a, a_offset, b, inner, init, init_offset, out, out_offset, step); break;
    case 2: tile_body(1, 2, 2, a, a_offset, b, inner, init, init_offset, out, out_offset, step); break;
    case 3: tile_body(1, 3, 2, a, a_offset, b, inner, init, init_offset, out, out_offset, step); break;
    default: tile_body(1, 4, 2, a, a_offset, b, inner, init, init_offset, out, out_offset, step);
    }
}

#endif
