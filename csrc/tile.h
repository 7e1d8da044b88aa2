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

/* Memory that tiles of several rows ask for while they compute, a line with each k: `lines` lines, each `step` behind the
 * one before, then those of the next such stream; the last has none. Nothing is read, so that they may lie anywhere. */
typedef struct {
    const real *next;
    ptrdiff_t step, lines;
} Asked;

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

ALWAYS_INLINE int tile_rows(int registers)
{
    static const int rows[] = {ROWS_1, ROWS_2, ROWS_3, ROWS_4};
    return rows[registers - 1];
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

/* How a panel's columns lie in registers: each vector in its own; the last vector's first half alone (33 columns at
 * VLEN = 16); or, where every vector holds but a few units of a gate (33 units: the third panel has one of each), two or
 * four vectors' first lanes side by side in one. So lie its weights; sums begin a vector for each gate, as in all panels. */
typedef enum { WHOLE, LAST_HALF, BY_TWO, BY_FOUR } Fill;

ALWAYS_INLINE int side_by_side(Fill fill) { return fill == BY_FOUR ? 4 : fill == BY_TWO ? 2 : 1; }

/* Registers that a panel of so many vectors takes: whole ones, then half ones. */
ALWAYS_INLINE int whole_registers(Fill fill, int vectors)
{
    return fill == WHOLE ? vectors : fill == LAST_HALF ? vectors - 1 : fill == BY_TWO ? vectors / 2 : vectors > 2;
}
ALWAYS_INLINE int half_registers(Fill fill, int vectors)
{
    return fill == WHOLE ? 0 : fill == LAST_HALF ? 1 : fill == BY_TWO ? vectors % 2 : vectors <= 2;
}
ALWAYS_INLINE int registers_of(Fill fill, int vectors)
{
    return whole_registers(fill, vectors) + half_registers(fill, vectors);
}

#define UNROLL _Pragma("GCC unroll 16")

/* The register of up to `across` vectors at p, of which there are `left`. */
#if HALVES
ALWAYS_INLINE vec load_across(const int across, const int left, const real *p)
{
    if (across == 1) return v_load(p);
    if (across == 2) return v_join(h_load(p), h_load(p + VLEN));
    return v_join(h_join(q_load(p), q_load(p + VLEN)), h_join(q_load(p + 2 * VLEN), q_load(p + (left > 3 ? 3 : 2) * VLEN)));
}
ALWAYS_INLINE hvec load_half(const int across, const int left, const real *p)
{
    return across == 4 ? h_join(q_load(p), q_load(p + (left > 1 ? VLEN : 0))) : h_load(p);
}
ALWAYS_INLINE void store_half(const int across, const int left, real *p, hvec a)
{
    if (across < 4) {
        h_store(p, a);
        return;
    }
    q_store(p, h_lower(a));
    if (left > 1) q_store(p + VLEN, h_upper(a));
}
ALWAYS_INLINE void store_across(const int across, const int left, real *p, vec a)
{
    if (across == 1) {
        v_store(p, a);
        return;
    }
    store_half(across, left, p, v_lower(a));
    store_half(across, left - across / 2, p + across / 2 * VLEN, v_upper(a));
}
#else
#define load_across(across, left, p) v_load(p)
#define load_half(across, left, p) v_load(p)
#define store_across(across, left, p, a) v_store(p, a)
#define store_half(across, left, p, a) v_store(p, a)
#endif

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
        if (half) acc_half[r] = h_fma(v_lower(x), w_half, acc_half[r]);                                                \
    }
#define TILE_ROW_STORE(r)                                                                                              \
    {                                                                                                                  \
        real *to = out[r] + out_offset; /* read once: a store might change out[r], for all the compiler knows */       \
        UNROLL for (int v = 0; v < whole; v++)                                                                         \
            store_across(ACROSS(v), LEFT(v), to + SUMS_AT(v, step.out), acc[r][v]);                                    \
        if (half) store_half(across, LEFT(whole), to + SUMS_AT(whole, step.out), acc_half[r]);                         \
    }

/* `panels`, of which the last has the fill: one, but for one row. Register v holds ACROSS(v) vectors of LEFT(v) that its
 * panel has from there on, at SUMS_AT(v, .) behind a row's sums and at WEIGHTS_AT(v) behind the weights. */
#define ACROSS(v) ((v) < before ? 1 : across)
#define LEFT(v) (vectors - ((v) - before) * across)
#define SUMS_AT(v, panel) ((v) < before ? (v) / vectors * (panel) + (v) % vectors * VLEN                               \
                                        : (panels - 1) * (panel) + ((v) - before) * across * VLEN)
#define WEIGHTS_AT(v) ((v) / vectors * step.b + (v) % vectors * VLEN)

/* One k of a tile: x in row[.][k] times the weights at b. */
ALWAYS_INLINE void tile_step(const int rows, const int vectors, const int panels, const Fill fill, const real *const *row,
    ptrdiff_t k, const real *b, const PanelSteps step, vec (*acc)[PANELS_AT_ONCE * TILE_VECTORS], hvec *acc_half)
{
    const int before = (panels - 1) * vectors;
    const int whole = before + whole_registers(fill, vectors), half = half_registers(fill, vectors);
    if (rows < whole + half || panels > 1) { /* the fewer of rows and registers of weights stay in registers */
        vec x[MOST_ROWS];
        UNROLL for (int r = 0; r < rows; r++)
            x[r] = v_set(row[r][k]);
        UNROLL for (int v = 0; v < whole; v++) {
            vec w = v_load(b + WEIGHTS_AT(v));
            if (rows > 1) IN_REGISTER(w);
            UNROLL for (int r = 0; r < rows; r++)
                acc[r][v] = v_fma(x[r], w, acc[r][v]);
        }
        if (half) {
            hvec w = h_load(b + WEIGHTS_AT(whole));
            if (rows > 1) IN_REGISTER(w);
            UNROLL for (int r = 0; r < rows; r++)
                acc_half[r] = h_fma(v_lower(x[r]), w, acc_half[r]);
        }
    } else {
        vec w[TILE_VECTORS];
        hvec w_half = {0};
        UNROLL for (int v = 0; v < whole; v++) {
            w[v] = v_load(b + WEIGHTS_AT(v));
            if (rows > 1) IN_REGISTER(w[v]);
        }
        if (half) {
            w_half = h_load(b + WEIGHTS_AT(whole));
            if (rows > 1) IN_REGISTER(w_half);
        }
        UNROLL for (int r = 0; r < rows; r++)
            TILE_ROW_ADD(r, k, w, w_half)
    }
}

SPECIALISED void tile_body(const int rows, const int vectors, const int panels, const Fill fill, const real *const *a,
    ptrdiff_t a_offset, const real *b, const Inner *inner, const real *const *init, ptrdiff_t init_offset,
    real *const *out, ptrdiff_t out_offset, PanelSteps step, const Asked *asked)
{
    const int before = (panels - 1) * vectors, across = side_by_side(fill);
    const int whole = before + whole_registers(fill, vectors), half = half_registers(fill, vectors);
    const int late = rows < whole + half || panels > 1 ? 0 : LATE;
    vec acc[MOST_ROWS][PANELS_AT_ONCE * TILE_VECTORS];
    hvec acc_half[MOST_ROWS];
    const real *row[MOST_ROWS];
    const ptrdiff_t a_step = inner->a_step, b_step = inner->b_step;
    const real *ahead = asked ? asked->next : NULL;
    ptrdiff_t left = asked ? asked->lines : 0;
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = a[r] + a_offset;
        UNROLL for (int v = 0; v < whole; v++)
            acc[r][v] = load_across(ACROSS(v), LEFT(v), init[r] + init_offset + SUMS_AT(v, step.init));
        if (half) acc_half[r] = load_half(across, LEFT(whole), init[r] + init_offset + SUMS_AT(whole, step.init));
    }
    for (ptrdiff_t s = 0; s < inner->runs; s++) {
        const ptrdiff_t run = late && s == inner->runs - 1 && inner->run >= late ? inner->run - late : inner->run;
        ptrdiff_t k = 0;
        for (ptrdiff_t end = run * a_step; rows > 1 && left && k != end; k += a_step, b += b_step) {
            PREFETCH_FAR(ahead);
            ahead += asked->step;
            if (--left == 0) {
                asked++;
                ahead = asked->next, left = asked->lines;
            }
            tile_step(rows, vectors, panels, fill, row, k, b, step, acc, acc_half);
        }
        for (ptrdiff_t end = run * a_step; k != end; k += a_step, b += b_step)
            tile_step(rows, vectors, panels, fill, row, k, b, step, acc, acc_half);
        if (run != inner->run) {
            vec w[LATE + 1][TILE_VECTORS];
            hvec w_half[LATE + 1];
            UNROLL for (int q = 0; q < late; q++) {
                UNROLL for (int v = 0; v < whole; v++)
                    w[q][v] = v_load(b + q * b_step + WEIGHTS_AT(v));
                if (half) w_half[q] = h_load(b + q * b_step + WEIGHTS_AT(whole));
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
#undef ACROSS
#undef LEFT
#undef SUMS_AT
#undef WEIGHTS_AT

typedef void (*tile_function)(const real *const *a, ptrdiff_t a_offset, const real *b, const Inner *inner,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset, const Asked *asked);

#define DEFINE_TILE(rows, vectors, fill)                                                                               \
    static void tile_##rows##x##vectors##_##fill(const real *const *a, ptrdiff_t a_offset, const real *b,              \
        const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset,    \
        const Asked *asked)                                                                                            \
    {                                                                                                                  \
        const PanelSteps none = {0, 0, 0};                                                                             \
        tile_body(rows, vectors, 1, fill, a, a_offset, b, inner, init, init_offset, out, out_offset, none, asked);     \
    }
#define TILE_NAME(rows, vectors, fill) tile_##rows##x##vectors##_##fill,

#define UP_TO_3(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__)
#define UP_TO_4(X, ...) UP_TO_3(X, __VA_ARGS__) X(4, __VA_ARGS__)
#define UP_TO_6(X, ...) UP_TO_4(X, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)
#define UP_TO_8(X, ...) UP_TO_6(X, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define UP_TO_12(X, ...) UP_TO_8(X, __VA_ARGS__) X(9, __VA_ARGS__) X(10, __VA_ARGS__) X(11, __VA_ARGS__) X(12, __VA_ARGS__)
#define UP_TO_(n, X, ...) UP_TO_##n(X, __VA_ARGS__)
#define UP_TO(n, X, ...) UP_TO_(n, X, __VA_ARGS__)

#define DEFINE_TILES(fill, rows_1, rows_2, rows_3, rows_4)                                                             \
    UP_TO(rows_1, DEFINE_TILE, 1, fill)                                                                                \
    UP_TO(rows_2, DEFINE_TILE, 2, fill)                                                                                \
    UP_TO(rows_3, DEFINE_TILE, 3, fill)                                                                                \
    UP_TO(rows_4, DEFINE_TILE, 4, fill)
#define TILE_TABLE(fill, rows_1, rows_2, rows_3, rows_4)                                                               \
    {{UP_TO(rows_1, TILE_NAME, 1, fill)}, {UP_TO(rows_2, TILE_NAME, 2, fill)}, {UP_TO(rows_3, TILE_NAME, 3, fill)},    \
        {UP_TO(rows_4, TILE_NAME, 4, fill)}}

DEFINE_TILES(WHOLE, ROWS_1, ROWS_2, ROWS_3, ROWS_4)
#if HALVES
DEFINE_TILES(LAST_HALF, ROWS_1, ROWS_2, ROWS_3, ROWS_4)
DEFINE_TILES(BY_TWO, ROWS_1, ROWS_1, ROWS_2, ROWS_2)
DEFINE_TILES(BY_FOUR, ROWS_1, ROWS_1, ROWS_1, ROWS_1)
static const tile_function TILES[][TILE_VECTORS][MOST_ROWS] = {TILE_TABLE(WHOLE, ROWS_1, ROWS_2, ROWS_3, ROWS_4),
    TILE_TABLE(LAST_HALF, ROWS_1, ROWS_2, ROWS_3, ROWS_4), TILE_TABLE(BY_TWO, ROWS_1, ROWS_1, ROWS_2, ROWS_2),
    TILE_TABLE(BY_FOUR, ROWS_1, ROWS_1, ROWS_1, ROWS_1)};
#else
static const tile_function TILES[][TILE_VECTORS][MOST_ROWS] = {TILE_TABLE(WHOLE, ROWS_1, ROWS_2, ROWS_3, ROWS_4)};
#endif

/* out[r][out_offset..] = init[r][init_offset..] + sum over k of a[r][k] b[k][..], rows x vectors * VLEN.
 *   a     IN   [rows] pointers              b    IN   [runs * run, b_step]
 *   init  IN   [rows] pointers, may be out  out  OUT  [rows] pointers
 * out overlaps no a. rows is at most tile_rows(registers_of(fill, vectors)); lanes that hold no column may be left alone.
 * `asked` is what to ask for meanwhile, or NULL. */
ALWAYS_INLINE void tile(int rows, int vectors, Fill fill, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset,
    const Asked *asked)
{
    TILES[fill][vectors - 1][rows - 1](a, a_offset, b, inner, init, init_offset, out, out_offset, asked);
}

/* The same for one row and 2 ... PANELS_AT_ONCE panels, a power of two, of which the last has the fill; a LAST_HALF's other
 * lanes are multiplied as the zeros that they are. */
static void tile_across(int panels, int vectors, Fill fill, const real *const *a, ptrdiff_t a_offset, const real *b,
    const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset, PanelSteps step)
{
#define CASE_ACROSS(vectors, panels, fill)                                                                                  \
    case vectors: tile_body(1, vectors, panels, fill, a, a_offset, b, inner, init, init_offset, out, out_offset, step, NULL); \
        break;
#define FILLED_ACROSS(fill)                                                                                               \
    if (panels == 2) {                                                                                                 \
        switch (vectors) { UP_TO_4(CASE_ACROSS, 2, fill) }                                                                  \
    } else {                                                                                                           \
        switch (vectors) { UP_TO_4(CASE_ACROSS, PANELS_AT_ONCE, fill) }                                                     \
    }
    if (HALVES && fill == BY_TWO) {
        FILLED_ACROSS(BY_TWO)
    } else if (HALVES && fill == BY_FOUR) {
        FILLED_ACROSS(BY_FOUR)
    } else {
        FILLED_ACROSS(WHOLE)
    }
#undef FILLED_ACROSS
#undef CASE_ACROSS
}

#endif
