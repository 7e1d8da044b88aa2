/* Products with weights of low precision: bfloat16, or int8 with a scale for each row of the weights. The rows that are
 * multiplied by them are rounded likewise, so that what a row gives depends on nothing but the row. */
#ifndef FASTRNN_QUANT_H
#define FASTRNN_QUANT_H

#include "quant_dots.h"
#include "quant_wide.h"

#if defined(FASTRNN_DOUBLE) /* quantized layers are float32's */

static void low_panels(const LowProduct *p, Walk walk, int rows, const real *const *a, const real *const *a_scales,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    (void)p, (void)walk, (void)rows, (void)a, (void)a_scales, (void)init, (void)init_offset;
    (void)out, (void)out_offset;
}
static const char *low_path(int storage) { return (void)storage, "none"; }

#else

/* By which instructions products are computed. */
static const char *low_path(int storage)
{
#if defined(__AVX512BW__)
    if (HAS_DOTS(storage)) return storage == INT8 ? "avx512 vpdpbusd" : "avx512 vdpbf16ps";
#elif defined(__AVX2__)
    if (HAS_DOTS(storage)) return "avx2 vpdpbusd";
#endif
    return storage == INT8 ? INT8_WIDE : "float32 multiply-add";
}

/* out[m][panel] = init[m][panel] + a[m] b for m < rows and the panels of a walk; those of init and out begin
 * p->panel.init and p->panel.out behind one another, the lowest at the offsets.
 *   a         IN  [rows] pointers to what round_row gave, and
 *   a_scales  IN  [rows] pointers to its scales, int8 */
static void low_panels(const LowProduct *p, Walk walk, int rows, const real *const *a, const real *const *a_scales,
    const real *const *init, ptrdiff_t init_offset, real *const *out, ptrdiff_t out_offset)
{
    const int most = rows != 1 ? 1 : p->dots ? PANELS_AT_ONCE : 2, first = walk.low;
    while (walk.low < walk.high) {
        const int panels = next_panels(p->b, &walk, most), q = take_panels(&walk, panels);
        const int vectors = panel_vectors(p->b, q);
        const real *b = p->b->data + q * p->panel.b;
        const ptrdiff_t from = init_offset + (q - first) * p->panel.init, to = out_offset + (q - first) * p->panel.out;
        if (p->dots) dot_panels(vectors, panels, p, rows, a, a_scales, b, init, from, out, to);
        else wide_panels(vectors, panels, p, rows, a, a_scales, b, init, from, out, to);
    }
}

#endif
#endif
