/* Low precision: how weights lie in panels, and how the rows that are multiplied by them are rounded.
 *
 * A lane of a packed panel is 32 bits, as wide as a float, and holds two k of bfloat16 or four of int8. So panels are
 * those of panels.h with a half or a quarter of the rows. An int8 panel ends with a row of float32 scales.
 *
 * bfloat16: products are exact in float32, and each output is one chain: its initial value, then for each lane the high
 * number's product and the low one's, each added with one rounding. That is what vdpbf16ps computes, and what
 * multiply-adds compute where there is no such instruction: the same bits (denormals are zeros in either).
 * int8: products are summed exactly in 32 bits, so that no order shows; |sum| <= 127^2 K stays below 2^31 for
 * K <= 133,000. */
#ifndef FASTRNN_QUANT_ROWS_H
#define FASTRNN_QUANT_ROWS_H

#include "cpu.h"
#include "panels.h"

enum { FULL_PRECISION = 0, BFLOAT16 = 1, INT8 = 2 };

/* A product with panels of low precision: `rows` rows of a panel; `words` of a rounded row, see round_row; `scales`
 * numbers from a panel's beginning to its scales; `dots`: by one instruction for each lane, quant_dots.h. */
typedef struct {
    int storage, dots;
    ptrdiff_t rows, words, scales;
    const Panels *b;
    PanelSteps panel;
} LowProduct;

ALWAYS_INLINE ptrdiff_t low_rows(int storage, ptrdiff_t K) { return storage == INT8 ? (K + 3) / 4 : (K + 1) / 2; }

/* Where k stands: in which row of a panel, and at which bit of a lane. A lane takes its k from the halves or the quarters
 * of the row, so that rounding works on whole vectors. */
ALWAYS_INLINE void low_place(int storage, ptrdiff_t K, ptrdiff_t k, ptrdiff_t *row, int *bit)
{
    const ptrdiff_t part = low_rows(storage, K);
    *row = k % part;
    *bit = (int)(k / part * (storage == INT8 ? 8 : 16));
}

/* Whether products are dots, by what this machine has. */
#if defined(FASTRNN_DOUBLE)
#define HAS_DOTS(storage) 0
#elif defined(__AVX512BW__)
#define HAS_DOTS(storage) ((storage) == INT8 ? cpu_has_avx512vnni() : cpu_has_avx512bf16())
#elif defined(__AVX2__)
#define HAS_DOTS(storage) ((storage) == INT8 && cpu_has_avxvnni())
#else
#define HAS_DOTS(storage) 0
#endif

/* Words of a rounded row of K, as many for each lane as instructions take it: 1, or 2. */
ALWAYS_INLINE ptrdiff_t rounded_words(int storage, ptrdiff_t K)
{
    return (HAS_DOTS(storage) ? 1 : 2) * ((low_rows(storage, K) + VLEN - 1) / VLEN * VLEN);
}

ALWAYS_INLINE LowProduct low_product(int storage, ptrdiff_t K, const Panels *b, ptrdiff_t init_panel,
    ptrdiff_t out_panel)
{
    const ptrdiff_t rows = low_rows(storage, K);
    return (LowProduct){storage, HAS_DOTS(storage), rows, rounded_words(storage, K), rows * b->row_step, b,
        {b->panel_step, init_panel, out_panel}};
}

#if defined(FASTRNN_DOUBLE) /* quantized layers are float32's: here stands what lets the one source compile */

static void round_row(int storage, const real *x, ptrdiff_t K, real *q, real *scale)
{
    (void)storage, (void)x, (void)K, (void)q, (void)scale;
}
static vec low_gather(int storage, const real *lanes, int bit, const real *scale)
{
    return (void)storage, (void)lanes, (void)bit, v_load(scale);
}

#else

#if defined(VBYTES)
ALWAYS_INLINE vbits i_set(int32_t a) { return a - (vbits){0}; }
ALWAYS_INLINE vec v_from_bits(vbits a) { return __builtin_convertvector(a, vec); }
#else
ALWAYS_INLINE vbits i_set(int32_t a) { return a; }
ALWAYS_INLINE vec v_from_bits(vbits a) { return (vec)a; }
#endif

ALWAYS_INLINE vbits i_load(const real *p) { return v_bits(v_load(p)); }
ALWAYS_INLINE vbits i_broadcast(const real *p)
{
    int32_t word;
    memcpy(&word, p, sizeof word);
    return i_set(word);
}

/* The numbers of a lane: the low and the high one of bfloat16; of int8 bytes 0 and 2, and 1 and 3, as two of 16 bits. */
ALWAYS_INLINE vec low_number(vbits w) { return v_real(w << 16); }
ALWAYS_INLINE vec high_number(vbits w) { return v_real(w & ~0xffff); }
#if defined(__AVX512BW__)
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm512_srai_epi16((__m512i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm512_slli_epi16((__m512i)w, 8)); }
#elif defined(__AVX2__)
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm256_srai_epi16((__m256i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm256_slli_epi16((__m256i)w, 8)); }
#elif defined(__SSE2__)
#include <emmintrin.h>
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (vbits)_mm_srai_epi16((__m128i)w, 8); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes((vbits)_mm_slli_epi16((__m128i)w, 8)); }
#else
ALWAYS_INLINE vbits odd_bytes(vbits w) { return (w >> 24 << 16) | (w << 16 >> 24 & 0xffff); }
ALWAYS_INLINE vbits even_bytes(vbits w) { return odd_bytes(w << 8); }
#endif

static inline int32_t lane_total(vbits a)
{
    int32_t lanes[sizeof(vbits) / sizeof(int32_t)], total = 0;
    memcpy(lanes, &a, sizeof a);
    for (int i = 0; i < VLEN; i++)
        total += lanes[i];
    return total;
}

/* To the nearest, ties to even; a nan stays one. */
ALWAYS_INLINE vec round_to_bfloat(vec a)
{
    const vbits bits = v_bits(a), rounded = bits + 0x7fff + (bits >> 16 & 1);
    return high_number(v_bits(v_select_lt(a, v_set(INFINITY), v_real(rounded), a + a)));
}

/* Below this a row counts as zeros: the factor of its numbers would overflow. */
#define LEAST_ROW 1e-30f
#define NEAREST 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, ties to even, in the low bits */

/* q = round(x * 127 / max|x|), scale = max|x| / 127. A row that holds nan or inf gets the scale nan. */
static void round_to_int8(const real *x, ptrdiff_t K, real *q, real *scale)
{
    const ptrdiff_t quarter = low_rows(INT8, K), words = rounded_words(INT8, K);
    const int dots = HAS_DOTS(INT8);
    const ptrdiff_t count = dots ? words : words / 2;
    vec most = v_set(0), zeros = v_set(0);
    vbits total = i_set(0);
    for (ptrdiff_t k = 0; k < K; k += VLEN) {
        vec a = v_load_n(x + k, K - k < VLEN ? (int)(K - k) : VLEN);
        most = v_max(most, v_real(v_bits(a) & 0x7fffffff));
        zeros = zeros + a * (real)0; /* a number times 0 is 0, nan and inf are not numbers */
    }
    const real m = lane_max(most);
    const real factor = m > LEAST_ROW ? 127 / m : 0;
    scale[0] = lane_sum(zeros) + (m > LEAST_ROW ? m / 127 : 0);
    for (ptrdiff_t w = 0; w < count; w += VLEN) {
        vbits level[4];
        for (int i = 0; i < 4; i++) {
            const ptrdiff_t k = i * quarter + w, end = (i + 1) * quarter < K ? (i + 1) * quarter : K;
            const int n = end - k < VLEN ? (int)(end - k) : VLEN;
            vec a = n > 0 ? v_load_n(x + k, n) : v_set(0);
            level[i] = v_bits(a * factor + NEAREST) - v_bits(v_set(NEAREST));
            total += level[i];
        }
        const vbits even = (level[0] & 0xffff) | level[2] << 16, odd = (level[1] & 0xffff) | level[3] << 16;
        if (dots) {
            v_store(q + w, v_real((even & 0x00ff00ff) | (odd & 0x00ff00ff) << 8));
        } else {
            v_store(q + w, v_real(even));
            v_store(q + count + w, v_real(odd));
        }
    }
    const int32_t sum = lane_total(total);
    memcpy(scale + 1, &sum, sizeof sum);
}

/* A row as its products take it.
 *   x      IN   [K]
 *   q      OUT  [rounded_words]: for dots the lanes of a panel's row. Else, of int8, even_bytes of such lanes, then
 *               odd_bytes; of bfloat16 float32 numbers, the high one of a lane, then the low one
 *   scale  OUT  [2] of int8: what q is multiplied by, and the sum of q, an int32 */
static void round_row(int storage, const real *x, ptrdiff_t K, real *q, real *scale)
{
    if (storage == INT8) {
        round_to_int8(x, K, q, scale);
        return;
    }
    const ptrdiff_t half = low_rows(BFLOAT16, K);
    const int dots = HAS_DOTS(BFLOAT16);
    for (ptrdiff_t w = 0; w < half; w += VLEN) { /* x ends within the high numbers */
        const int n = K - half - w < VLEN ? (int)(K - half - w) : VLEN, m = half - w < VLEN ? (int)(half - w) : VLEN;
        const vec low = round_to_bfloat(v_load_n(x + w, m));
        const vec high = n > 0 ? round_to_bfloat(v_load_n(x + half + w, n)) : v_set(0);
        if (dots) {
            v_store(q + w, v_real(v_bits(high) | (v_bits(low) >> 16 & 0xffff)));
            continue;
        }
        real lanes[2 * sizeof(vec) / sizeof(real)];
        v_store(lanes, high);
        v_store(lanes + VLEN, low);
        for (int i = 0; i < VLEN; i++)
            q[2 * (w + i)] = lanes[i], q[2 * (w + i) + 1] = lanes[VLEN + i];
    }
}

/* init + the exact sum, times both scales. */
ALWAYS_INLINE vec int8_result(vbits sum, vec a_scale, const real *scale, const real *init)
{
    return v_fma(v_from_bits(sum), a_scale * v_load(scale), v_load(init));
}

/* Weights of one k: the bits from `bit` on of VLEN lanes, times their scales where they have any. */
ALWAYS_INLINE vec low_gather(int storage, const real *lanes, int bit, const real *scale)
{
    vbits w = i_load(lanes);
    if (storage == INT8) return v_from_bits(w << (24 - bit) >> 24) * v_load(scale);
    return bit ? high_number(w) : low_number(w);
}

#endif
#endif
