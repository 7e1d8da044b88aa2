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

/* One row may take several panels at once, where the chains of one alone would wait for the multiply-adds before them: how
 * far each panel's numbers lie behind those of the one before. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define PANELS_AT_ONCE 4
#else
#define PANELS_AT_ONCE 2
#endif
typedef struct {
    ptrdiff_t b, init, out;
} PanelSteps;

/* Which lanes of a panel's vectors hold columns: all, or only those of the first half of the last vector (33 columns at
 * VLEN = 16, side by side) or of every one (33 units of each gate: the third panel holds one unit). */
typedef enum { WHOLE, LAST_HALF, ALL_HALF } Fill;

#define UNROLL _Pragma("GCC unroll 16")

/* Steps of k that a tile ends row by row, each row's stores among the multiply-adds of the next: 24 stores of 512 bits at
 * once keep a Zen 4 waiting for as many multiply-adds. */
#if defined(__AVX512F__)
#define LATE 4
#else
#define LATE 0
#endif

#define TILE_ROW_ADD(r, k, w, w_half)                                                                                  \
    {                                                                                                                  \
        vec x = v_set(row[r][k]);                                                                                      \
        UNROLL for (int v = 0; v < whole; v++)                                                                         \
            acc[r][v] = v_fma(x, (w)[v], acc[r][v]);                                                                   \
        UNROLL for (int v = 0; v < halves; v++)                                                                        \
            acc_half[r][v] = h_fma(v_lower(x), (w_half)[v], acc_half[r][v]);                                           \
    }
#define TILE_ROW_STORE(r)                                                                                              \
    {                                                                                                                  \
        real *to = out[r] + out_offset; /* read once: a store might change out[r], for all the compiler knows */       \
        UNROLL for (int v = 0; v < whole; v++)                                                                         \
            v_store(to + (v / vectors) * step.out + (v % vectors) * VLEN, acc[r][v]);                                  \
        UNROLL for (int v = 0; v < halves; v++)                                                                        \
            h_store(to + (whole + v) * VLEN, acc_half[r][v]);                                                          \
    }

ALWAYS_INLINE void tile_body(const int rows, const int vectors, const int panels, const Fill fill, const real *const *a,
    ptrdiff_t a_offset, const real *b, const Inner *inner, const real *const *init, ptrdiff_t init_offset,
    real *const *out, ptrdiff_t out_offset, PanelSteps step)
{
    const int halves = fill == WHOLE ? 0 : fill == LAST_HALF ? 1 : vectors, whole = panels * vectors - halves;
    const int late = rows >= vectors && panels == 1 ? LATE : 0;
    vec acc[MOST_ROWS][PANELS_AT_ONCE * TILE_VECTORS];
    hvec acc_half[MOST_ROWS][TILE_VECTORS];
    const real *row[MOST_ROWS];
    const ptrdiff_t a_step = inner->a_step, b_step = inner->b_step;
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = a[r] + a_offset;
        UNROLL for (int v = 0; v < whole; v++)
            acc[r][v] = v_load(init[r] + init_offset + (v / vectors) * step.init + (v % vectors) * VLEN);
        UNROLL for (int v = 0; v < halves; v++)
            acc_half[r][v] = h_load(init[r] + init_offset + (whole + v) * VLEN);
    }
    for (ptrdiff_t s = 0; s < inner->runs; s++) {
        const ptrdiff_t run = late && s == inner->runs - 1 && inner->run >= late ? inner->run - late : inner->run;
        for (ptrdiff_t k = 0, end = run * a_step; k != end; k += a_step, b += b_step) {
            if (rows < vectors || panels > 1) { /* the fewer of the two stay in registers */
                vec x[MOST_ROWS];
                UNROLL for (int r = 0; r < rows; r++)
                    x[r] = v_set(row[r][k]);
                UNROLL for (int v = 0; v < whole; v++) {
                    vec w = v_load(b + (v / vectors) * step.b + (v % vectors) * VLEN);
                    if (rows > 1) IN_REGISTER(w);
                    UNROLL for (int r = 0; r < rows; r++)
                        acc[r][v] = v_fma(x[r], w, acc[r][v]);
                }
                UNROLL for (int v = 0; v < halves; v++) {
                    hvec w = h_load(b + (whole + v) * VLEN);
                    if (rows > 1) IN_REGISTER(w);
                    UNROLL for (int r = 0; r < rows; r++)
                        acc_half[r][v] = h_fma(v_lower(x[r]), w, acc_half[r][v]);
                }
            } else {
                vec w[TILE_VECTORS];
                hvec w_half[TILE_VECTORS];
                UNROLL for (int v = 0; v < whole; v++) {
                    w[v] = v_load(b + v * VLEN);
                    if (rows > 1) IN_REGISTER(w[v]);
                }
                UNROLL for (int v = 0; v < halves; v++) {
                    w_half[v] = h_load(b + (whole + v) * VLEN);
                    if (rows > 1) IN_REGISTER(w_half[v]);
                }
                UNROLL for (int r = 0; r < rows; r++)
                    TILE_ROW_ADD(r, k, w, w_half)
            }
        }
        if (run != inner->run) {
            vec w[LATE + 1][TILE_VECTORS];
            hvec w_half[LATE + 1][TILE_VECTORS];
            UNROLL for (int q = 0; q < late; q++) {
                UNROLL for (int v = 0; v < whole; v++)
                    w[q][v] = v_load(b + q * b_step + v * VLEN);
                UNROLL for (int v = 0; v < halves; v++)
                    w_half[q][v] = h_load(b + q * b_step + (whole + v) * VLEN);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                UNROLL for (int q = 0; q < late; q++)
                    TILE_ROW_ADD(r, (run + q) * a_step, w[q], w_half[q])
                TILE_ROW_STORE(r)
            }
            return;
        }
        UNROLL for (int r = 0; r < rows; r++)
            row[r] += inner->a_run;
    }
    UNROLL for (int r = 0; r < rows; r++)
        TILE_ROW_STORE(r)
}
#undef TILE_ROW_ADD
#undef TILE_ROW_STORE

typedef void (*tile_function)(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset);

#define DEFINE_TILE(rows, vectors, fill)                                                                               \
    static void tile_##rows##x##vectors##_##fill(const real *const *a, ptrdiff_t a_offset, const real *b,              \
        const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)    \
    {                                                                                                                  \
        const PanelSteps none = {0, 0, 0};                                                                             \
        tile_body(rows, vectors, 1, fill, a, a_offset, b, inner, init, init_offset, out, out_offset, none);            \
    }
#define TILE_NAME(rows, vectors, fill) tile_##rows##x##vectors##_##fill,

#define UP_TO_3(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__)
#define UP_TO_4(X, ...) UP_TO_3(X, __VA_ARGS__) X(4, __VA_ARGS__)
#define UP_TO_6(X, ...) UP_TO_4(X, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)
#define UP_TO_8(X, ...) UP_TO_6(X, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define UP_TO_12(X, ...) UP_TO_8(X, __VA_ARGS__) X(9, __VA_ARGS__) X(10, __VA_ARGS__) X(11, __VA_ARGS__) X(12, __VA_ARGS__)
#define UP_TO_(n, X, ...) UP_TO_##n(X, __VA_ARGS__)
#define UP_TO(n, X, ...) UP_TO_(n, X, __VA_ARGS__)

#define DEFINE_TILES(fill)                                                                                             \
    UP_TO(ROWS_1, DEFINE_TILE, 1, fill)                                                                                \
    UP_TO(ROWS_2, DEFINE_TILE, 2, fill)                                                                                \
    UP_TO(ROWS_3, DEFINE_TILE, 3, fill)                                                                                \
    UP_TO(ROWS_4, DEFINE_TILE, 4, fill)
#define TILE_TABLE(fill)                                                                                               \
    {{UP_TO(ROWS_1, TILE_NAME, 1, fill)}, {UP_TO(ROWS_2, TILE_NAME, 2, fill)}, {UP_TO(ROWS_3, TILE_NAME, 3, fill)},    \
        {UP_TO(ROWS_4, TILE_NAME, 4, fill)}}

DEFINE_TILES(WHOLE)
#if HALVES
DEFINE_TILES(LAST_HALF)
DEFINE_TILES(ALL_HALF)
static const tile_function TILES[][TILE_VECTORS][MOST_ROWS] = {
    TILE_TABLE(WHOLE), TILE_TABLE(LAST_HALF), TILE_TABLE(ALL_HALF)};
#else
static const tile_function TILES[][TILE_VECTORS][MOST_ROWS] = {TILE_TABLE(WHOLE)};
#endif

/* out[r][out_offset..] = init[r][init_offset..] + sum over k of a[r][k] b[k][..], rows x vectors * VLEN.
 *   a     IN   [rows] pointers              b    IN   [runs * run, b_step]
 *   init  IN   [rows] pointers, may be out  out  OUT  [rows] pointers
 * out overlaps no a. rows is at most tile_rows(vectors); lanes that hold no column, as `fill` says, may be left alone. */
ALWAYS_INLINE void tile(int rows, int vectors, Fill fill, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    TILES[HALVES ? fill : WHOLE][vectors - 1][rows - 1](a, a_offset, b, inner, init, init_offset, out, out_offset);
}

/* The same for one row and 2 ... PANELS_AT_ONCE whole panels, a power of two. */
static void tile_across(int panels, int vectors, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset, PanelSteps step)
{
#define ACROSS(vectors, panels)                                                                                        \
    case vectors: tile_body(1, vectors, panels, WHOLE, a, a_offset, b, inner, init, init_offset, out, out_offset, step); break;
    if (panels == 2) {
        switch (vectors) { UP_TO_4(ACROSS, 2) }
    } else {
        switch (vectors) { UP_TO_4(ACROSS, PANELS_AT_ONCE) }
    }
#undef ACROSS
}

#endif
