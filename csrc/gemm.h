/* Blocked products over column panels, built from tiles: the input projection, the carried gradient, the gradients of
 * parameters and of the input. */
#ifndef FASTRNN_GEMM_H
#define FASTRNN_GEMM_H

#include "panels.h"

/* A block of a panel that many row tiles read again stays in half of a 512 KB second-level cache. */
#define BLOCK_BYTES 196608

/* All rows of one panel, a tile after the other. Each asks for the sums that the next one starts from, then for a part of
 * what is ahead of the panel, but for the first, which fetches the panel, or else for a part of what is left of `asked`. */
ALWAYS_INLINE void panel_rows(ptrdiff_t rows, int vectors, Fill fill, const real *const *a, ptrdiff_t a_offset,
    const real *b, const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset, Asked ahead, Asked **asked)
{
    const int most = tile_rows(registers_of(fill, vectors));
    const ptrdiff_t length = inner->runs * inner->run;
    for (ptrdiff_t m = 0; m < rows;) {
        const int count = next_rows(rows - m, most);
        for (ptrdiff_t r = m + count; r < rows && r < m + count + most && init[r] != init[m]; r++)
            prefetch_row(init[r] + init_offset, vectors * VLEN);
        const Asked part[] = {take_lines(&ahead, m ? length : 0), {NULL, 0, 0}};
        tile(count, vectors, fill, a + m, a_offset, b, inner, init + m, init_offset, out + m, out_offset,
            part->lines ? part : *asked);
        if (!part->lines && count > 1) *asked = pass_lines(*asked, length - LATE);
        m += count;
    }
}

/* out[m][panel p] = init[m][panel p] + sum over k of a[m][k] b[k][panel p], for m < rows and the panels p of a walk.
 * A panel's columns begin p * init_panel and p * out_panel behind init[m] and out[m]. The inner dimension is cut into
 * blocks, of which its tail is the last; out holds the partial sums, so the order of additions is the same as without.
 * Tiles of several rows ask for what is `asked` meanwhile, as far as they have room; it is used up. */
static void gemm_asking(ptrdiff_t rows, const real *const *a, const Inner *inner, const Panels *b, Walk walk,
    const real *const *init, ptrdiff_t init_panel, real *const *out, ptrdiff_t out_panel, Asked *asked)
{
    const ptrdiff_t row_bytes = b->vectors * VLEN * (ptrdiff_t)sizeof(real);
    const int whole_runs = inner->runs > 1;
    const ptrdiff_t length = whole_runs ? inner->runs : inner->run, unit = whole_runs ? inner->run : 1;
    const ptrdiff_t tail_a = inner->runs * inner->a_run, tail_b = inner->runs * inner->run * b->row_step;
    const Inner tail = {inner->tail_runs, inner->tail_run, inner->a_step, inner->tail_a_run, b->row_step, 0, 0, 0};
    const int most = rows == 1 ? panels_at_once(b) : 1;
    ptrdiff_t block = BLOCK_BYTES / (row_bytes * unit);
    if (block < 1) block = 1;
    if (rows <= TILE_ROWS) block = length; /* each panel is read once: nothing to keep */
    while (walk.low < walk.high) {
        const int count = next_panels(b, &walk, most), p = take_panels(&walk, count);
        const int vectors = panel_vectors(b, p);
        const Fill fill = panel_fill(b, p + count - 1);
        const real *panel = panel_data(b, p);
        const real *const *from = init;
        ptrdiff_t from_panel = init_panel, first = 0;
        Inner part = *inner;
        part.b_step = b->row_step;
        if (count > 1) {
            tile_across(count, vectors, fill, a, 0, panel, &part, init, p * init_panel, out, p * out_panel,
                (PanelSteps){b->panel_step, init_panel, out_panel});
            if (tail.runs)
                tile_across(count, vectors, fill, a, tail_a, panel + tail_b, &tail, (const real *const *)out, p * out_panel,
                    out, p * out_panel, (PanelSteps){b->panel_step, out_panel, out_panel});
            continue;
        }
        do {
            const ptrdiff_t size = length - first < block ? length - first : block;
            const int last = first + size == length;
            *(whole_runs ? &part.runs : &part.run) = size;
            panel_rows(rows, vectors, fill, a, first * (whole_runs ? inner->a_run : inner->a_step),
                panel + first * unit * b->row_step, &part, from, p * from_panel, out, p * out_panel,
                panel_ahead(b, last ? coming_panel(&walk) : p, last ? 0 : (first + size) * unit, block * unit),
                &asked);
            from = (const real *const *)out, from_panel = out_panel;
            first += size;
        } while (first < length);
        if (tail.runs)
            panel_rows(rows, vectors, fill, a, tail_a, panel + tail_b, &tail, from, p * from_panel, out, p * out_panel,
                (Asked){NULL, 0, 0}, &asked);
    }
}

/* The same where nothing else is asked for. */
ALWAYS_INLINE void gemm(ptrdiff_t rows, const real *const *a, const Inner *inner, const Panels *b, Walk walk,
    const real *const *init, ptrdiff_t init_panel, real *const *out, ptrdiff_t out_panel)
{
    Asked nothing = {NULL, 0, 0};
    gemm_asking(rows, a, inner, b, walk, init, init_panel, out, out_panel, &nothing);
}

#endif
