/* A vector of `real`, VLEN lanes: one name for the widest register that the flags of this build allow.
 *
 * FASTRNN_DOUBLE picks the precision. + - * / are the compiler's own vector operators; what they cannot say stands here,
 * once per instruction set. Fused multiply-adds are written out (v_fma) and builds use -ffp-contract=off, so that a
 * product never rounds differently because of what else is done with it. */
#ifndef FASTRNN_VEC_H
#define FASTRNN_VEC_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LINE_BYTES 64 /* of a cache */

#undef I /* of complex.h, which NumPy's headers bring in: I is the input's size here */

#if defined(FASTRNN_DOUBLE)
typedef double real;
typedef int64_t real_bits;
#define REAL_BITS 64
#define REAL_SQRT sqrt
#define REAL_LOWEST (-DBL_MAX)
#else
typedef float real;
typedef int32_t real_bits;
#define REAL_BITS 32
#define REAL_SQRT sqrtf
#define REAL_LOWEST (-FLT_MAX)
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#define VBYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VBYTES 32
#elif defined(__GNUC__)
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#define VBYTES 16
#endif

#if defined(VBYTES)
#define VLEN ((int)(VBYTES / sizeof(real)))
typedef real vec __attribute__((vector_size(VBYTES)));
typedef real_bits vbits __attribute__((vector_size(VBYTES)));
typedef real vec_unaligned __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect((condition), 1)
static inline vec v_set(real a) { return a - (vec){0}; }
#else /* a compiler without vector extensions: one lane, the same sources */
#define VLEN 1
typedef real vec;
typedef real_bits vbits;
typedef real vec_unaligned;
#define ALWAYS_INLINE static inline
#define LIKELY(condition) (condition)
static inline vec v_set(real a) { return a; }
#endif

/* Compiled anew for the constants of every call; but without optimisation once, which takes half of the time. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
#define SPECIALISED static
#else
#define SPECIALISED ALWAYS_INLINE
#endif

ALWAYS_INLINE vec v_load(const real *p) { return *(const vec_unaligned *)p; }
ALWAYS_INLINE void v_store(real *p, vec a) { *(vec_unaligned *)p = a; }

/* The value in a register, for a load that several operations share: compilers would rather repeat it in each of them. */
#if defined(__GNUC__) && defined(__AVX512F__)
#define IN_REGISTER(value) __asm__("" : "+v"(value))
#elif defined(__GNUC__) && defined(__SSE2__)
#define IN_REGISTER(value) __asm__("" : "+x"(value))
#else
#define IN_REGISTER(value) ((void)0)
#endif

ALWAYS_INLINE vbits v_bits(vec a) { vbits b; memcpy(&b, &a, sizeof b); return b; }
ALWAYS_INLINE vec v_real(vbits b) { vec a; memcpy(&a, &b, sizeof a); return a; }

/* v_max, v_min: the larger and the smaller, b where either is nan; v_fma: a*b + c, rounded once where the machine can;
 * v_select_lt: a < b ? x : y, lane by lane (y where a is nan); v_may_be_lt: 0 only if a < b in no lane;
 * v_load_n, v_store_n: the first n lanes, 0 < n <= VLEN; the other lanes read as 0 and are left alone. */
#if defined(__AVX512F__) && defined(FASTRNN_DOUBLE)
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm512_max_pd(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm512_min_pd(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm512_sqrt_pd(a); }
ALWAYS_INLINE vec v_select_lt(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LT_OQ), y, x);
}
ALWAYS_INLINE int v_may_be_lt(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ) != 0; }
ALWAYS_INLINE vec v_load_n(const real *p, int n) { return _mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
ALWAYS_INLINE void v_store_n(real *p, vec a, int n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), a); }
#elif defined(__AVX512F__)
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
ALWAYS_INLINE vec v_select_lt(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
ALWAYS_INLINE int v_may_be_lt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ) != 0; }
ALWAYS_INLINE vec v_load_n(const real *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
ALWAYS_INLINE void v_store_n(real *p, vec a, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a); }
#else
#if defined(__AVX2__) && defined(__FMA__) && defined(FASTRNN_DOUBLE)
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm256_max_pd(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm256_min_pd(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm256_sqrt_pd(a); }
ALWAYS_INLINE vec v_select_lt(vec a, vec b, vec x, vec y)
{
    return _mm256_blendv_pd(y, x, _mm256_cmp_pd(a, b, _CMP_LT_OQ));
}
ALWAYS_INLINE int v_may_be_lt(vec a, vec b) { return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ)) != 0; }
#elif defined(__AVX2__) && defined(__FMA__)
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm256_sqrt_ps(a); }
ALWAYS_INLINE vec v_select_lt(vec a, vec b, vec x, vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
ALWAYS_INLINE int v_may_be_lt(vec a, vec b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ)) != 0; }
#else
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
ALWAYS_INLINE vec v_sqrt(vec a)
{
    real lanes[sizeof(vec) / sizeof(real)];
    v_store(lanes, a);
    for (int i = 0; i < VLEN; i++)
        lanes[i] = REAL_SQRT(lanes[i]);
    return v_load(lanes);
}
ALWAYS_INLINE vec v_select_lt(vec a, vec b, vec x, vec y)
{
#if defined(VBYTES)
    vbits m = a < b;
    return v_real((m & v_bits(x)) | (~m & v_bits(y)));
#else
    return a < b ? x : y;
#endif
}
ALWAYS_INLINE int v_may_be_lt(vec a, vec b) { (void)a, (void)b; return 1; }
ALWAYS_INLINE vec v_max(vec a, vec b) { return v_select_lt(b, a, a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return v_select_lt(a, b, a, b); }
#endif
ALWAYS_INLINE vec v_load_n(const real *p, int n)
{
    vec a = v_set(0);
    if (LIKELY(n >= VLEN)) return v_load(p);
    memcpy(&a, p, (size_t)n * sizeof(real));
    return a;
}
ALWAYS_INLINE void v_store_n(real *p, vec a, int n)
{
    if (LIKELY(n >= VLEN)) v_store(p, a);
    else memcpy(p, &a, (size_t)n * sizeof(real));
}
#endif

/* hvec, qvec: vectors of a half and a quarter of the lanes, for what would leave the others empty; where vectors are
 * short they are never used. _lower, _upper: the first and the second half of the lanes; _join: both, side by side. */
#if defined(__AVX512F__)
#define HALVES 1
typedef real hvec __attribute__((vector_size(VBYTES / 2)));
typedef real hvec_unaligned __attribute__((vector_size(VBYTES / 2), aligned(sizeof(real)), may_alias));
typedef real qvec __attribute__((vector_size(VBYTES / 4)));
typedef real qvec_unaligned __attribute__((vector_size(VBYTES / 4), aligned(sizeof(real)), may_alias));
ALWAYS_INLINE hvec h_load(const real *p) { return *(const hvec_unaligned *)p; }
ALWAYS_INLINE void h_store(real *p, hvec a) { *(hvec_unaligned *)p = a; }
ALWAYS_INLINE qvec q_load(const real *p) { return *(const qvec_unaligned *)p; }
ALWAYS_INLINE void q_store(real *p, qvec a) { *(qvec_unaligned *)p = a; }
ALWAYS_INLINE hvec v_lower(vec a) { return (hvec)_mm512_castpd512_pd256((__m512d)a); }
ALWAYS_INLINE hvec v_upper(vec a) { return (hvec)_mm512_extractf64x4_pd((__m512d)a, 1); }
ALWAYS_INLINE qvec h_lower(hvec a) { return (qvec)_mm256_castpd256_pd128((__m256d)a); }
ALWAYS_INLINE qvec h_upper(hvec a) { return (qvec)_mm256_extractf128_pd((__m256d)a, 1); }
ALWAYS_INLINE vec v_join(hvec a, hvec b)
{
    return (vec)_mm512_insertf64x4(_mm512_castpd256_pd512((__m256d)a), (__m256d)b, 1);
}
ALWAYS_INLINE hvec h_join(qvec a, qvec b)
{
    return (hvec)_mm256_insertf128_pd(_mm256_castpd128_pd256((__m128d)a), (__m128d)b, 1);
}
#if defined(FASTRNN_DOUBLE)
ALWAYS_INLINE hvec h_fma(hvec a, hvec b, hvec c) { return _mm256_fmadd_pd(a, b, c); }
#else
ALWAYS_INLINE hvec h_fma(hvec a, hvec b, hvec c) { return _mm256_fmadd_ps(a, b, c); }
#endif
#else
#define HALVES 0
typedef vec hvec;
#define h_load v_load
#define h_store v_store
#define h_fma v_fma
#define v_lower(a) (a)
#endif

/* v_stream: past the caches; other threads see it after v_streamed. Memory that is written whole need not be read
 * first, and what nobody reads soon drives nothing else out. Only for whole cache lines, all parts of one soon after
 * another. */
#if defined(__AVX512F__) && defined(FASTRNN_DOUBLE)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm512_stream_pd(p, a); }
#elif defined(__AVX512F__)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm512_stream_ps(p, a); }
#elif defined(__AVX2__) && defined(FASTRNN_DOUBLE)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm256_stream_pd(p, a); }
#elif defined(__AVX2__)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm256_stream_ps(p, a); }
#elif defined(__SSE2__) && defined(FASTRNN_DOUBLE)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm_stream_pd(p, a); }
#elif defined(__SSE2__)
ALWAYS_INLINE void v_stream(real *p, vec a) { _mm_stream_ps(p, a); }
#else
ALWAYS_INLINE void v_stream(real *p, vec a) { v_store(p, a); }
#endif

ALWAYS_INLINE int starts_line(const real *p) { return (uintptr_t)p % LINE_BYTES == 0; }

static inline void v_streamed(void)
{
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* The first n lanes, `fill` in the others where n < VLEN. */
ALWAYS_INLINE vec v_load_or(const real *p, int n, real fill)
{
    real lanes[sizeof(vec) / sizeof(real)];
    if (n >= VLEN) return v_load(p);
    for (int i = 0; i < VLEN; i++)
        lanes[i] = i < n ? p[i] : fill;
    return v_load(lanes);
}

static inline real lane_sum(vec a)
{
    real lanes[sizeof(vec) / sizeof(real)], sum = 0;
    v_store(lanes, a);
    for (int i = 0; i < VLEN; i++)
        sum += lanes[i];
    return sum;
}

static inline real lane_max(vec a)
{
    real lanes[sizeof(vec) / sizeof(real)];
    v_store(lanes, a);
    for (int i = 1; i < VLEN; i++)
        if (lanes[i] > lanes[0]) lanes[0] = lanes[i];
    return lanes[0];
}

/* Rows are short: a call of memcpy costs more than its work. */
static inline void copy_row(real *to, const real *from, ptrdiff_t count)
{
    ptrdiff_t j = 0;
    for (; j + VLEN <= count; j += VLEN)
        v_store(to + j, v_load(from + j));
    if (j < count) v_store_n(to + j, v_load_n(from + j, (int)(count - j)), (int)(count - j));
}

/* Compilers drop calls of functions that only prefetch, unless told that they do something. */
#if defined(__GNUC__) && defined(__SSE2__)
#define PREFETCH_NEAR(p) __asm__ volatile("prefetcht0 %0" : : "m"(*(p)))
#define PREFETCH_FAR(p) __asm__ volatile("prefetcht1 %0" : : "m"(*(p)))
#elif defined(__GNUC__)
#define PREFETCH_NEAR(p) do { __builtin_prefetch(p); __asm__ volatile("" : : "r"(p)); } while (0)
#define PREFETCH_FAR(p) do { __builtin_prefetch(p, 0, 2); __asm__ volatile("" : : "r"(p)); } while (0)
#else
#define PREFETCH_NEAR(p) ((void)(p))
#define PREFETCH_FAR(p) ((void)(p))
#endif
#define PER_LINE (LINE_BYTES / (ptrdiff_t)sizeof(real))

/* Ask for a row of `count` numbers ahead of its use. Rows of a batch-first array lie T rows apart, a pattern that the
 * hardware's prefetchers do not follow; from the ninth cache line on a row is its own stream, which they do. */
ALWAYS_INLINE void prefetch_row(const real *p, ptrdiff_t count)
{
    const ptrdiff_t end = count < 8 * PER_LINE ? count : 8 * PER_LINE;
    for (ptrdiff_t j = 0; j < end; j += PER_LINE)
        PREFETCH_NEAR(p + j);
}

/* Ask for all of a row that is needed much later: into the second-level cache. */
ALWAYS_INLINE void prefetch_far(const real *p, ptrdiff_t count)
{
    for (ptrdiff_t j = 0; j < count; j += PER_LINE)
        PREFETCH_FAR(p + j);
}

#endif
