/* Products with weights of low precision: bfloat16, or int8 with a scale for each row of the weights.
 *
 * A lane of a packed panel is 32 bits, as wide as a float: two successive k of bfloat16, the earlier one in the low half,
 * or four k of int8. So panels are those of tile.h with a half or a quarter of the rows. An int8 panel ends with a row of
 * float32 scales.
 *
 * bfloat16: weights are widened, rows of the other factor stay float32, and each output is tile.h's chain: the same bits
 * as that of float32 weights which have been rounded to bfloat16.
 * int8: rows of the other factor are rounded too (quantize_row), and products are summed exactly in 32 bits, so that no
 * order shows; |sum| <= 127^2 K stays below 2^31 for K <= 133,000. */
#ifndef FASTRNN_QUANT_H
#define FASTRNN_QUANT_H

#include "cpu.h"
#include "gemm.h"

enum { FULL_PRECISION = 0, BFLOAT16 = 1, INT8 = 2 };

/* A product with panels of low precision: `rows` rows of a panel, `rest` (0 or 1) of a row's first half after them, and
 * `scales` numbers from a panel's beginning to its scales; `fused`: by vpdpwssd. */
typedef struct {
    int storage, rest, fused;
    ptrdiff_t rows, scales;
    const Panels *b;
    PanelSteps panel;
} LowProduct;

ALWAYS_INLINE ptrdiff_t low_rows(int storage, ptrdiff_t K) { return storage == INT8 ? (K + 3) / 4 : (K + 1) / 2; }

/* Half of what quantize_row stores of a row of K, which are whole vectors. */
ALWAYS_INLINE ptrdiff_t quantized_words(ptrdiff_t K) { return (low_rows(INT8, K) + VLEN - 1) / VLEN * VLEN; }

#if defined(__AVX512BW__)
#define MAY_FUSE 1
#define FUSED_PAIRS cpu_has_avx512vnni()
#else
#define MAY_FUSE 0 /* so that no second loop is compiled */
#define FUSED_PAIRS 0
#endif

ALWAYS_INLINE LowProduct low_product(int storage, ptrdiff_t K, const Panels *b, ptrdiff_t init_panel,
    ptrdiff_t out_panel)
{
    const PanelSteps panel = {b->panel_step, init_panel, out_panel};
    const ptrdiff_t rows = low_rows(INT8, K);
    if (storage == INT8) return (LowProduct){INT8, 0, FUSED_PAIRS, rows, rows * b->row_step, b, panel};
    return (LowProduct){BFLOAT16, (int)(K % 2), 0, K / 2, 0, b, panel};
}

/* Where k stands: in which row of a panel, and at which bit of a lane. int8 takes a lane's four k from the four quarters
 * of the row, so that quantize_row works on whole vectors. */
ALWAYS_INLINE void low_place(int storage, ptrdiff_t K, ptrdiff_t k, ptrdiff_t *row, int *bit)
{
    const ptrdiff_t quarter = low_rows(INT8, K);
    *row = storage == INT8 ? k % quarter : k / 2;
    *bit = (int)(storage == INT8 ? k / quarter * 8 : k % 2 * 16);
}

#if defined(FASTRNN_DOUBLE) /* quantized layers are float32's: here stands what lets the one source compile */

static void quantize_row(const real *x, ptrdiff_t K, real *q, real *scale) { (void)x, (void)K, (void)q, (void)scale; }
static vec low_gather(int storage, const real *lanes, int bit, const real *scale)
{
    return (void)storage, (void)lanes, (void)bit, v_load(scale);
}
static void low_panels(const LowProduct *p, int first, int end, int rows, const real *const *a,
    const real *const *a_scales, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    (void)p, (void)first, (void)end, (void)rows, (void)a, (void)a_scales, (void)init, (void)init_offset, (void)out;
    (void)out_offset;
}
static const char *low_path(int storage) { return (void)storage, "none"; }

#else

#if defined(VBYTES)
ALWAYS_INLINE vbits i_set(int32_t a) { return a - (vbits){0}; }
ALWAYS_INLINE vec v_from_bits(vbits a) { return __builtin_convertvector(a, vec); }
#else
ALWAYS_INLINE vbits i_set(int32_t a) { return a; }
ALWAYS_INLINE vec v_from_bits(vbits a) { return (vec)a; }
#endif

/* even_bytes, odd_bytes: bytes 0 and 2, 1 and 3 of each lane as two 16-bit numbers; add_pairs: c plus the two products of
 * 16-bit numbers in each lane, the same exact sums `fused` or not (an assembler knows vpdpwssd without a compiler's flag,
 * which would let it into code that every AVX-512 machine runs). IN_REGISTER: the value is wanted in a register now. Left alone, a compiler
 * adds products up before they meet their sum, or reads a weight again for every row. */
#if defined(__AVX512F__)
#define IN_REGISTER(a) __asm__("" : "+v"(a))
#elif defined(__SSE2__) && defined(__GNUC__)
#define IN_REGISTER(a) __asm__("" : "+x"(a))
#else
#define IN_REGISTER(a) (void)(a)
#endif
#if defined(__AVX512BW__)
#define INT8_PATH (FUSED_PAIRS ? "avx512 vpdpwssd" : "avx512 vpmaddwd")
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm512_srai_epi16((__m512i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm512_slli_epi16((__m512i)w, 8)); }
ALWAYS_INLINE vbits add_pairs(const int fused, vbits a, vbits b, vbits c)
{
    if (fused) {
        __asm__("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    } else {
        c += (vbits)_mm512_madd_epi16((__m512i)a, (__m512i)b);
        IN_REGISTER(c);
    }
    return c;
}
#elif defined(__AVX2__)
#define INT8_PATH "avx2 vpmaddwd"
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm256_srai_epi16((__m256i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm256_slli_epi16((__m256i)w, 8)); }
ALWAYS_INLINE vbits add_pairs(const int fused, vbits a, vbits b, vbits c)
{
    (void)fused;
    c += (vbits)_mm256_madd_epi16((__m256i)a, (__m256i)b);
    IN_REGISTER(c);
    return c;
}
#elif defined(__SSE2__)
#include <emmintrin.h>
#define INT8_PATH "sse2 pmaddwd"
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm_srai_epi16((__m128i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm_slli_epi16((__m128i)w, 8)); }
ALWAYS_INLINE vbits add_pairs(const int fused, vbits a, vbits b, vbits c)
{
    (void)fused;
    c += (vbits)_mm_madd_epi16((__m128i)a, (__m128i)b);
    IN_REGISTER(c);
    return c;
}
#else
#define INT8_PATH "plain integers"
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (w >> 24 << 16) | (w << 16 >> 24 & 0xffff); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes(w << 8); }
ALWAYS_INLINE vbits add_pairs(const int fused, vbits a, vbits b, vbits c)
{
    (void)fused;
    return c + (a >> 16) * (b >> 16) + (a << 16 >> 16) * (b << 16 >> 16);
}
#endif
static const char *low_path(int storage) { return storage == INT8 ? INT8_PATH : "float32 multiply-add"; }

/* Below this a row counts as zeros: the factor of its numbers would overflow. */
#define LEAST_ROW 1e-30f
#define NEAREST 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, ties to even, in the low bits */

/* q = round(x * 127 / max|x|), scale = max|x| / 127. A row that holds nan or inf gets the scale nan.
 *   x  IN  [K]   q  OUT  [2, quantized_words(K)]: even_bytes of lanes like those of the weights, then odd_bytes */
static void quantize_row(const real *x, ptrdiff_t K, real *q, real *scale)
{
    const ptrdiff_t quarter = low_rows(INT8, K), words = quantized_words(K);
    vec most = v_set(0), zeros = v_set(0);
    for (ptrdiff_t k = 0; k < K; k += VLEN) {
        vec a = v_load_n(x + k, K - k < VLEN ? (int)(K - k) : VLEN);
        most = v_max(most, v_real(v_bits(a) & 0x7fffffff));
        zeros = zeros + a * (real)0; /* a number times 0 is 0, nan and inf are not numbers */
    }
    const real m = lane_max(most);
    const real factor = m > LEAST_ROW ? 127 / m : 0;
    *scale = lane_sum(zeros) + (m > LEAST_ROW ? m / 127 : 0);
    for (ptrdiff_t w = 0; w < words; w += VLEN) {
        vbits level[4];
        for (int i = 0; i < 4; i++) {
            const ptrdiff_t k = i * quarter + w, end = (i + 1) * quarter < K ? (i + 1) * quarter : K;
            const int n = end - k < VLEN ? (int)(end - k) : VLEN;
            vec a = n > 0 ? v_load_n(x + k, n) : v_set(0);
            level[i] = v_bits(a * factor + NEAREST) - v_bits(v_set(NEAREST));
        }
        v_store(q + w, v_real((level[0] & 0xffff) | level[2] << 16));
        v_store(q + words + w, v_real((level[1] & 0xffff) | level[3] << 16));
    }
}

/* Weights of one k: the bits from `bit` on of VLEN lanes, times their scales where they have any. */
ALWAYS_INLINE vec low_gather(int storage, const real *lanes, int bit, const real *scale)
{
    vbits w = v_bits(v_load(lanes));
    if (storage == INT8) return v_from_bits(w << (24 - bit) >> 24) * v_load(scale);
    return v_real(bit ? w & ~0xffff : w << 16);
}

ALWAYS_INLINE vec low_number(vbits w) { return v_real(w << 16); }
ALWAYS_INLINE vec high_number(vbits w) { return v_real(w & ~0xffff); }

/* One row: each weight is read once, so it is widened on its way. */
ALWAYS_INLINE void bfloat16_body(const int vectors, const int panels, const LowProduct *p, const real *a, const real *b,
    const real *init, real *out)
{
    vec sums[2 * TILE_VECTORS];
    const ptrdiff_t b_step = p->b->row_step, rows = p->rows;
    UNROLL for (int v = 0; v < panels * vectors; v++)
        sums[v] = v_load(init + (v / vectors) * p->panel.init + (v % vectors) * VLEN);
    for (ptrdiff_t k = 0; k < rows; k++, a += 2, b += b_step) {
        const vec x = v_set(a[0]), next = v_set(a[1]);
        UNROLL for (int v = 0; v < panels * vectors; v++) {
            vbits w = v_bits(v_load(b + (v / vectors) * p->panel.b + (v % vectors) * VLEN));
            sums[v] = v_fma(next, high_number(w), v_fma(x, low_number(w), sums[v]));
        }
    }
    UNROLL for (int v = 0; v < panels * vectors; v++) {
        if (p->rest) {
            vbits w = v_bits(v_load(b + (v / vectors) * p->panel.b + (v % vectors) * VLEN));
            sums[v] = v_fma(v_set(a[0]), low_number(w), sums[v]);
        }
        v_store(out + (v / vectors) * p->panel.out + (v % vectors) * VLEN, sums[v]);
    }
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
    const ptrdiff_t K = 2 * p->rows + p->rest;
    const int most = tile_rows(vectors), step = vectors * VLEN;
    ptrdiff_t k = 0;
    do {
        const ptrdiff_t count = K - k < 2 * WIDENED ? K - k : 2 * WIDENED;
        const Inner inner = {1, count, 1, 0, step};
        for (ptrdiff_t i = 0; i < count; i += 2, b += p->b->row_step) /* of an odd K the last number too, unused */
            for (int v = 0; v < vectors; v++) {
                vbits w = v_bits(v_load(b + v * VLEN));
                v_store(wide + i * step + v * VLEN, low_number(w));
                v_store(wide + (i + 1) * step + v * VLEN, high_number(w));
            }
        for (int m = 0; m < rows; m += most)
            tile(rows - m < most ? rows - m : most, vectors, a + m, k, wide, &inner,
                k ? (const real *const *)out + m : init + m, k ? out_offset : init_offset, out + m, out_offset);
        k += count;
    } while (k < K);
}

ALWAYS_INLINE vbits i_load(const real *p) { return v_bits(v_load(p)); }
ALWAYS_INLINE vbits i_broadcast(const real *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return i_set(word);
}

/* init + the exact sum, times both scales. */
ALWAYS_INLINE vec int8_result(vbits sum, vec a_scale, const real *scale, const real *init)
{
    return v_fma(v_from_bits(sum), a_scale * v_load(scale), v_load(init));
}

/* One row: each weight is read once, so its bytes are widened on their way. `words`: from a row's even bytes to its odd. */
ALWAYS_INLINE void int8_sums(const int fused, const int vectors, const LowProduct *p, ptrdiff_t words, const real *a,
    const real *b, vbits *sums)
{
    const ptrdiff_t b_step = p->b->row_step, rows = p->rows;
    for (ptrdiff_t k = 0; k < rows; k++, b += b_step) {
        const vbits even = i_broadcast(a + k), odd = i_broadcast(a + words + k);
        UNROLL for (int v = 0; v < vectors; v++) {
            const vbits w = i_load(b + v * VLEN);
            sums[v] = add_pairs(fused, odd, odd_bytes(w), add_pairs(fused, even, even_bytes(w), sums[v]));
        }
    }
}

ALWAYS_INLINE void int8_body(const int vectors, const LowProduct *p, ptrdiff_t words, const real *a, vec a_scale,
    const real *b, const real *init, real *out)
{
    vbits sums[TILE_VECTORS];
    const real *scales = b + p->scales;
    UNROLL for (int v = 0; v < vectors; v++)
        sums[v] = i_set(0);
    if (MAY_FUSE && p->fused) int8_sums(1, vectors, p, words, a, b, sums);
    else int8_sums(0, vectors, p, words, a, b, sums);
    UNROLL for (int v = 0; v < vectors; v++)
        v_store(out + v * VLEN, int8_result(sums[v], a_scale, scales + v * VLEN, init + v * VLEN));
}

static void int8_row(int vectors, const LowProduct *p, ptrdiff_t words, const real *a, vec a_scale, const real *b,
    const real *init, real *out)
{
    switch (vectors) {
    case 1: int8_body(1, p, words, a, a_scale, b, init, out); break;
    case 2: int8_body(2, p, words, a, a_scale, b, init, out); break;
    case 3: int8_body(3, p, words, a, a_scale, b, init, out); break;
    default: int8_body(4, p, words, a, a_scale, b, init, out);
    }
}

/* Several rows, up to INT8_VECTORS vectors of a panel: some rows of weights are widened, then multiplied by tiles, whose
 * sums wait in out. More vectors would leave no registers for weights and products. */
#define INT8_VECTORS 2
typedef struct {
    ptrdiff_t count, words; /* widened rows: even bytes, odd bytes, even bytes, ... */
    const real *scales;     /* where these are the last, else NULL */
    int first, fused;
} WideBlock;

ALWAYS_INLINE void wide_sums(const int fused, const int rows, const int vectors, const WideBlock *block,
    const real *const *row, const real *b, vbits sums[MOST_ROWS][INT8_VECTORS])
{
    for (ptrdiff_t i = 0, count = block->count, words = block->words; i < count; i++)
        for (ptrdiff_t odd = 0; odd < 2; odd++, b += vectors * VLEN) {
            vbits w[INT8_VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) {
                w[v] = i_load(b + v * VLEN);
                IN_REGISTER(w[v]);
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const vbits x = i_broadcast(row[r] + odd * words + i);
                UNROLL for (int v = 0; v < vectors; v++)
                    sums[r][v] = add_pairs(fused, x, w[v], sums[r][v]);
            }
        }
}

ALWAYS_INLINE void wide_body(const int rows, const int vectors, const WideBlock *block, const real *const *a,
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
    if (MAY_FUSE && block->fused) wide_sums(1, rows, vectors, block, row, b, sums);
    else wide_sums(0, rows, vectors, block, row, b, sums);
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

static void int8_rows(int vectors, const LowProduct *p, ptrdiff_t words, int rows, const real *const *a,
    const real *const *a_scales, const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset)
{
    real wide[4 * WIDENED * INT8_VECTORS * sizeof(vec) / sizeof(real)];
    const real *scales = b + p->scales;
    const int most = tile_rows(vectors);
    ptrdiff_t k = 0;
    do {
        const ptrdiff_t left = p->rows - k, count = left < 2 * WIDENED ? left : 2 * WIDENED;
        const WideBlock block = {count, words, count == left ? scales : NULL, k == 0, p->fused};
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

static void int8_panel(int vectors, const LowProduct *p, int rows, const real *const *a, const real *const *a_scales,
    const real *b, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    const ptrdiff_t words = quantized_words(4 * (p->scales / p->b->row_step));
    if (rows == 1) {
        int8_row(vectors, p, words, a[0], v_set(*a_scales[0]), b, init[0] + init_offset, out[0] + out_offset);
        return;
    }
    for (int v = 0; v < vectors; v += INT8_VECTORS)
        int8_rows(vectors - v < INT8_VECTORS ? vectors - v : INT8_VECTORS, p, words, rows, a, a_scales, b + v * VLEN,
            init, init_offset + v * VLEN, out, out_offset + v * VLEN);
}

/* out[m][panel] = init[m][panel] + a[m] b for m < rows and the panels first ... end - 1, as `tile`; the panels of init
 * and out begin p->panel.init and p->panel.out behind one another, with panel `first` at the offsets given.
 *   a         IN  [rows] pointers: float32 numbers, or for int8 what quantize_row gave
 *   a_scales  IN  [rows] pointers to one number, int8 */
static void low_panels(const LowProduct *p, int first, int end, int rows, const real *const *a,
    const real *const *a_scales, const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    for (int q = first, panels; q < end; q += panels) {
        const int vectors = panel_vectors(p->b, q);
        const real *b = p->b->data + q * p->panel.b;
        panels = 1;
        if (p->storage == INT8) {
            int8_panel(vectors, p, rows, a, a_scales, b, init, init_offset, out, out_offset);
        } else if (rows == 1) { /* two panels, for the sums of one alone would wait for one another */
            panels = q + 1 < end && panel_vectors(p->b, q + 1) == vectors ? 2 : 1;
            bfloat16_row(vectors, panels, p, a[0], b, init[0] + init_offset, out[0] + out_offset);
        } else {
            bfloat16_rows(vectors, p, rows, a, b, init, init_offset, out, out_offset);
        }
        init_offset += panels * p->panel.init, out_offset += panels * p->panel.out;
    }
}

#endif
#endif
