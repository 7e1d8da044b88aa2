/* Products of low precision by instructions for wider numbers: weights are widened on their way, or some rows of them
 * before many rows are multiplied by them. */
#ifndef FASTRNN_QUANT_WIDE_H
#define FASTRNN_QUANT_WIDE_H

#include "quant_rows.h"

#if !defined(FASTRNN_DOUBLE)

/* add_pairs: c plus the two products of 16-bit numbers in each lane. Left alone (IN_REGISTER), a compiler adds products up
 * before they meet their sum, or reads a weight again for every row. */
#if defined(__AVX512BW__)
#define INT8_WIDE "avx512 vpmaddwd"
#define PAIR_PRODUCTS(a, b) (vbits)_mm512_madd_epi16((__m512i)(a), (__m512i)(b))
#elif defined(__AVX2__)
#define INT8_WIDE "avx2 vpmaddwd"
#define PAIR_PRODUCTS(a, b) (vbits)_mm256_madd_epi16((__m256i)(a), (__m256i)(b))
#elif defined(__SSE2__)
#define INT8_WIDE "sse2 pmaddwd"
#define PAIR_PRODUCTS(a, b) (vbits)_mm_madd_epi16((__m128i)(a), (__m128i)(b))
#else
#define INT8_WIDE "plain integers"
#define PAIR_PRODUCTS(a, b) ((a) >> 16) * ((b) >> 16) + ((a) << 16 >> 16) * ((b) << 16 >> 16)
#endif
ALWAYS_INLINE vbits add_pairs(vbits a, vbits b, vbits c)
{
    c += PAIR_PRODUCTS(a, b);
    IN_REGISTER(c);
    return c;
}

/* One row: each weight is read once, so it is widened on its way. */
SPECIALISED void bfloat16_body(const int vectors, const int panels, const LowProduct *p, const real *a, const real *b,
    const real *init, real *out)
{
    vec sums[2 * TILE_VECTORS];
    const ptrdiff_t b_step = p->b->row_step, rows = p->rows;
    UNROLL for (int v = 0; v < panels * vectors; v++)
        sums[v] = v_load(init + (v / vectors) * p->panel.init + (v % vectors) * VLEN);
    for (ptrdiff_t k = 0; k < rows; k++, a += 2, b += b_step) {
        const vec high = v_set(a[0]), low = v_set(a[1]);
        UNROLL for (int v = 0; v < panels * vectors; v++) {
            const vbits w = i_load(b + (v / vectors) * p->panel.b + (v % vectors) * VLEN);
            sums[v] = v_fma(low, low_number(w), v_fma(high, high_number(w), sums[v]));
        }
    }
    UNROLL for (int v = 0; v < panels * vectors; v++)
        v_store(out + (v / vectors) * p->panel.out + (v % vectors) * VLEN, sums[v]);
}

static void bfloat16_row(int vectors, int panels, const LowProduct *p, const real *a, const real *b, const real *init,
    real *out)
{
    switch (vectors + (panels - 1) * TILE_VECTORS) {
    case 1: bfloat16_body(1, 1, p, a, b, init, out); break;
    case 2: bfloat16_body(2, 1, p, a, b, init, out); break;
    case 3: bfloat16_body(3, 1, p, a, b, init, out); break;
    case 4: bfloat16_body(4, 1, p, a, b, init, out); break;
    case 5: bfloat16_body(1, 2, p, a, b, init, out); break;
    case 6: bfloat16_body(2, 2, p, a, b, init, out); break;
    case 7: bfloat16_body(3, 2, p, a, b, init, out); break;
    default: bfloat16_body(4, 2, p, a, b, init, out);
    }
}

/* Several rows of a panel: some rows of weights are widened, then multiplied by tile.h's tiles, whose sums wait in out. */
#define WIDENED 32 /* rows, two k each: 8 KB with 8 lanes */
static void bfloat16_rows(int vectors, const LowProduct *p, int rows, const real *const *a, const real *b,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    real wide[2 * WIDENED * TILE_VECTORS * sizeof(vec) / sizeof(real)];
    const ptrdiff_t K = 2 * p->rows;
    const int most = tile_rows(vectors), step = vectors * VLEN;
    ptrdiff_t k = 0;
    do {
        const ptrdiff_t count = K - k < 2 * WIDENED ? K - k : 2 * WIDENED;
        const Inner inner = {1, count, 1, 0, step};
        for (ptrdiff_t i = 0; i < count; i += 2, b += p->b->row_step)
            for (int v = 0; v < vectors; v++) {
                const vbits w = i_load(b + v * VLEN);
                v_store(wide + i * step + v * VLEN, high_number(w));
                v_store(wide + (i + 1) * step + v * VLEN, low_number(w));
            }
        for (int m = 0; m < rows; m += most)
            tile(rows - m < most ? rows - m : most, vectors, WHOLE, a + m, k, wide, &inner,
                k ? (const real *const *)out + m : init + m, k ? out_offset : init_offset, out + m, out_offset, NULL);
        k += count;
    } while (k < K);
}

/* One row: each weight is read once, so its bytes are widened on their way. */
SPECIALISED void int8_body(const int vectors, const LowProduct *p, const real *a, vec a_scale, const real *b,
    const real *init, real *out)
{
    vbits sums[TILE_VECTORS];
    const real *scales = b + p->scales;
    const ptrdiff_t b_step = p->b->row_step, rows = p->rows, to_odd = p->words / 2;
    UNROLL for (int v = 0; v < vectors; v++)
        sums[v] = i_set(0);
    for (ptrdiff_t k = 0; k < rows; k++, b += b_step) {
        const vbits even = i_broadcast(a + k), odd = i_broadcast(a + to_odd + k);
        UNROLL for (int v = 0; v < vectors; v++) {
            const vbits w = i_load(b + v * VLEN);
            sums[v] = add_pairs(odd, odd_bytes(w), add_pairs(even, even_bytes(w), sums[v]));
        }
    }
    UNROLL for (int v = 0; v < vectors; v++)
        v_store(out + v * VLEN, int8_result(sums[v], a_scale, scales + v * VLEN, init + v * VLEN));
}

static void int8_row(int vectors, const LowProduct *p, const real *a, vec a_scale, const real *b, const real *init,
    real *out)
{
    switch (vectors) {
    case 1: int8_body(1, p, a, a_scale, b, init, out); break;
    case 2: int8_body(2, p, a, a_scale, b, init, out); break;
    case 3: int8_body(3, p, a, a_scale, b, init, out); break;
    default: int8_body(4, p, a, a_scale, b, init, out);
    }
}

/* Several rows, up to INT8_VECTORS vectors of a panel: some rows of weights are widened, then multiplied by tiles, whose
 * sums wait in out. More vectors would leave no registers for weights and products. */
#define INT8_VECTORS 2
typedef struct {
    ptrdiff_t count, to_odd; /* widened rows: even bytes, odd bytes, even bytes, ... */
    const real *scales;      /* where these are the last, else NULL */
    int first;
} WideBlock;

SPECIALISED void wide_body(const int rows, const int vectors, const WideBlock *block, const real *const *a,
    ptrdiff_t k, const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset,
    real *const *out, ptrdiff_t out_offset)
{
    vbits sums[MOST_ROWS][INT8_VECTORS];
    const real *row[MOST_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = a[r] + k;
        UNROLL for (int v = 0; v < vectors; v++)
            sums[r][v] = block->first ? i_set(0) : i_load(out[r] + out_offset + v * VLEN);
    }
    for (ptrdiff_t i = 0, count = block->count, to_odd = block->to_odd; i < count; i++)
        for (ptrdiff_t odd = 0; odd < 2; odd++, b += vectors * VLEN) {
            vbits w[INT8_VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) {
                w[v] = i_load(b + v * VLEN);
                IN_REGISTER(w[v]);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const vbits x = i_broadcast(row[r] + odd * to_odd + i);
                UNROLL for (int v = 0; v < vectors; v++)
                    sums[r][v] = add_pairs(x, w[v], sums[r][v]);
            }
        }
    UNROLL for (int r = 0; r < rows; r++) {
        const vec a_scale = v_set(*a_scales[r]);
        real *to = out[r] + out_offset;
        UNROLL for (int v = 0; v < vectors; v++)
            v_store(to + v * VLEN, block->scales == NULL ? v_real(sums[r][v])
                    : int8_result(sums[r][v], a_scale, block->scales + v * VLEN, init[r] + init_offset + v * VLEN));
    }
}

typedef void (*wide_function)(const WideBlock *block, const real *const *a, ptrdiff_t k, const real *const *a_scales,
    const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset);

#define DEFINE_WIDE(rows, vectors)                                                                                     \
    static void wide_##rows##x##vectors(const WideBlock *block, const real *const *a, ptrdiff_t k,                     \
        const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,  \
        ptrdiff_t out_offset)                                                                                          \
    {                                                                                                                  \
        wide_body(rows, vectors, block, a, k, a_scales, b, init, init_offset, out, out_offset);                        \
    }
#define WIDE_NAME(rows, vectors) wide_##rows##x##vectors,
UP_TO(ROWS_1, DEFINE_WIDE, 1)
UP_TO(ROWS_2, DEFINE_WIDE, 2)
static const wide_function WIDE_TILES[INT8_VECTORS][MOST_ROWS] = {{UP_TO(ROWS_1, WIDE_NAME, 1)},
    {UP_TO(ROWS_2, WIDE_NAME, 2)}};

static void int8_rows(int vectors, const LowProduct *p, int rows, const real *const *a,
    const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset)
{
    real wide[4 * WIDENED * INT8_VECTORS * sizeof(vec) / sizeof(real)];
    const real *scales = b + p->scales;
    const int most = tile_rows(vectors);
    ptrdiff_t k = 0;
    do {
        const ptrdiff_t left = p->rows - k, count = left < 2 * WIDENED ? left : 2 * WIDENED;
        const WideBlock block = {count, p->words / 2, count == left ? scales : NULL, k == 0};
        for (ptrdiff_t i = 0; i < count; i++, b += p->b->row_step)
            for (int v = 0; v < vectors; v++) {
                const vbits w = i_load(b + v * VLEN);
                v_store(wide + (2 * i * vectors + v) * VLEN, v_real(even_bytes(w)));
                v_store(wide + ((2 * i + 1) * vectors + v) * VLEN, v_real(odd_bytes(w)));
            }
        for (int m = 0; m < rows; m += most)
            WIDE_TILES[vectors - 1][(rows - m < most ? rows - m : most) - 1](&block, a + m, k, a_scales + m, wide,
                init + m, init_offset, out + m, out_offset);
        k += count;
    } while (k < p->rows);
}

/* Some rows and one panel, or one row and two. */
static void wide_panels(int vectors, int panels, const LowProduct *p, int rows, const real *const *a,
    const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset)
{
    if (p->storage == BFLOAT16 && rows == 1) {
        bfloat16_row(vectors, panels, p, a[0], b, init[0] + init_offset, out[0] + out_offset);
    } else if (p->storage == BFLOAT16) {
        bfloat16_rows(vectors, p, rows, a, b, init, init_offset, out, out_offset);
    } else if (rows == 1) {
        for (int q = 0; q < panels; q++)
            int8_row(vectors, p, a[0], v_set(*a_scales[0]), b + q * p->panel.b, init[0] + init_offset + q * p->panel.init,
                out[0] + out_offset + q * p->panel.out);
    } else {
        for (int v = 0; v < vectors; v += INT8_VECTORS)
            int8_rows(vectors - v < INT8_VECTORS ? vectors - v : INT8_VECTORS, p, rows, a, a_scales, b + v * VLEN, init,
                init_offset + v * VLEN, out, out_offset + v * VLEN);
    }
}

#endif
#endif
