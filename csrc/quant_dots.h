/* Products of low precision by instructions that multiply all numbers of a lane and add them to its sum: vpdpbusd for
 * int8, vdpbf16ps for bfloat16. Tiles are those of tile.h, with a lane in the place of a k.
 *
 * An assembler knows these instructions without a compiler's flag, which would let them into code that every machine of
 * the instruction set runs. */
#ifndef FASTRNN_QUANT_DOTS_H
#define FASTRNN_QUANT_DOTS_H

#include "quant_rows.h"

#if !defined(FASTRNN_DOUBLE) && (defined(__AVX512BW__) || defined(__AVX2__))

#if defined(__AVX512BW__)
#define INT8_DOT "vpdpbusd"
#define BFLOAT_DOT(w, x, sum) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x))
#define REGISTERS "v"
#else
#define INT8_DOT "%{vex%} vpdpbusd" /* AVX-VNNI's */
#define BFLOAT_DOT(w, x, sum) (void)0
#define REGISTERS "x"
#endif

/* vpdpbusd takes one factor without a sign: a lane of weights, each 128 more than it is. The sum begins with what that is
 * too much, -128 times the sum of the row. */
ALWAYS_INLINE vbits dot_weights(const int storage, const real *b)
{
    return storage == INT8 ? i_load(b) ^ i_set((int32_t)0x80808080) : i_load(b);
}

ALWAYS_INLINE vec dot_begin(const int storage, const real *a_scale, const real *init)
{
    return storage == INT8 ? v_real(i_broadcast(a_scale + 1) * -128) : v_load(init);
}

ALWAYS_INLINE vec dot(const int storage, vbits w, vbits x, vec sum)
{
    if (storage == INT8) __asm__(INT8_DOT " %2, %1, %0" : "+" REGISTERS(sum) : REGISTERS(w), REGISTERS(x));
    else BFLOAT_DOT(w, x, sum);
    return sum;
}

/* `panels` is more than 1 for one row alone, as in tile.h. */
SPECIALISED void dot_body(const int storage, const int rows, const int vectors, const int panels,
    const LowProduct *p, const real *const *a, const real *const *a_scales, const real *b, const real *const *init,
    ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    vec sums[MOST_ROWS][PANELS_AT_ONCE * TILE_VECTORS];
    const real *row[MOST_ROWS], *scales = b + p->scales;
    const ptrdiff_t b_step = p->b->row_step, count = p->rows;
    const PanelSteps step = p->panel;
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = a[r];
        UNROLL for (int v = 0; v < panels * vectors; v++)
            sums[r][v] = dot_begin(storage, storage == INT8 ? a_scales[r] : NULL,
                init[r] + init_offset + (v / vectors) * step.init + (v % vectors) * VLEN);
    }
    for (ptrdiff_t k = 0; k < count; k++, b += b_step) {
        if (rows < vectors || panels > 1) { /* the fewer of the two stay in registers */
            vbits x[MOST_ROWS];
            UNROLL for (int r = 0; r < rows; r++)
                x[r] = i_broadcast(row[r] + k);
            UNROLL for (int v = 0; v < panels * vectors; v++) {
                const vbits w = dot_weights(storage, b + (v / vectors) * step.b + (v % vectors) * VLEN);
                UNROLL for (int r = 0; r < rows; r++)
                    sums[r][v] = dot(storage, w, x[r], sums[r][v]);
            }
        } else {
            vbits w[TILE_VECTORS];
            UNROLL for (int v = 0; v < vectors; v++)
                w[v] = dot_weights(storage, b + v * VLEN);
            UNROLL for (int r = 0; r < rows; r++) {
                const vbits x = i_broadcast(row[r] + k);
                UNROLL for (int v = 0; v < vectors; v++)
                    sums[r][v] = dot(storage, w[v], x, sums[r][v]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        const real *from = init[r] + init_offset;
        real *to = out[r] + out_offset;
        UNROLL for (int v = 0; v < panels * vectors; v++) {
            const ptrdiff_t lane = (v % vectors) * VLEN, panel = v / vectors;
            const vec sum = sums[r][v];
            v_store(to + panel * step.out + lane, storage != INT8 ? sum : int8_result(v_bits(sum), v_set(*a_scales[r]),
                scales + panel * step.b + lane, from + panel * step.init + lane));
        }
    }
}

typedef void (*dot_function)(const LowProduct *p, const real *const *a, const real *const *a_scales, const real *b,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset);

#if defined(__AVX512BW__)
#define DOT_BODY(rows, vectors, panels)                                                                                \
    if (p->storage == INT8)                                                                                            \
        dot_body(INT8, rows, vectors, panels, p, a, a_scales, b, init, init_offset, out, out_offset);                  \
    else                                                                                                               \
        dot_body(BFLOAT16, rows, vectors, panels, p, a, a_scales, b, init, init_offset, out, out_offset);
#else
#define DOT_BODY(rows, vectors, panels)                                                                                \
    dot_body(INT8, rows, vectors, panels, p, a, a_scales, b, init, init_offset, out, out_offset);
#endif

#define DEFINE_DOT(rows, vectors)                                                                                      \
    static void dot_##rows##x##vectors(const LowProduct *p, const real *const *a, const real *const *a_scales,         \
        const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)         \
    {                                                                                                                  \
        DOT_BODY(rows, vectors, 1)                                                                                     \
    }
#define DEFINE_DOT_ACROSS(vectors, panels)                                                                             \
    static void dot_across_##panels##x##vectors(const LowProduct *p, const real *const *a, const real *const *a_scales, \
        const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)         \
    {                                                                                                                  \
        DOT_BODY(1, vectors, panels)                                                                                   \
    }
#define DOT_NAME(rows, vectors) dot_##rows##x##vectors,

UP_TO(ROWS_1, DEFINE_DOT, 1)
UP_TO(ROWS_2, DEFINE_DOT, 2)
UP_TO(ROWS_3, DEFINE_DOT, 3)
UP_TO(ROWS_4, DEFINE_DOT, 4)
UP_TO_4(DEFINE_DOT_ACROSS, 2)

static const dot_function DOT_TILES[TILE_VECTORS][MOST_ROWS] = {{UP_TO(ROWS_1, DOT_NAME, 1)},
    {UP_TO(ROWS_2, DOT_NAME, 2)}, {UP_TO(ROWS_3, DOT_NAME, 3)}, {UP_TO(ROWS_4, DOT_NAME, 4)}};
#define DOT_ACROSS_NAME(vectors, panels) dot_across_##panels##x##vectors,
static const dot_function DOTS_ACROSS_2[TILE_VECTORS] = {UP_TO_4(DOT_ACROSS_NAME, 2)};
#if PANELS_AT_ONCE == 4
UP_TO_4(DEFINE_DOT_ACROSS, 4)
static const dot_function DOTS_ACROSS_4[TILE_VECTORS] = {UP_TO_4(DOT_ACROSS_NAME, 4)};
#else
#define DOTS_ACROSS_4 DOTS_ACROSS_2
#endif

/* Some rows and one panel, or one row and 2 ... PANELS_AT_ONCE, a power of two. */
static void dot_panels(int vectors, int panels, const LowProduct *p, int rows, const real *const *a,
    const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset)
{
    if (panels > 1) {
        (panels == 2 ? DOTS_ACROSS_2 : DOTS_ACROSS_4)[vectors - 1](p, a, a_scales, b, init, init_offset, out, out_offset);
        return;
    }
    const int most = tile_rows(vectors);
    for (int m = 0; m < rows; m += most)
        DOT_TILES[vectors - 1][(rows - m < most ? rows - m : most) - 1](p, a + m, a_scales + m, b, init + m,
            init_offset, out + m, out_offset);
}

#elif !defined(FASTRNN_DOUBLE)

static void dot_panels(int vectors, int panels, const LowProduct *p, int rows, const real *const *a,
    const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset)
{
    (void)vectors, (void)panels, (void)p, (void)rows, (void)a, (void)a_scales, (void)b, (void)init, (void)init_offset;
    (void)out, (void)out_offset;
}

#endif
#endif
