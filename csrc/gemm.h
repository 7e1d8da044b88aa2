/* Blocked products over column panels, built from tiles: the input projection, the carried gradient, the gradients of
 * parameters and of the input. */
#ifndef FASTRNN_GEMM_H
#define FASTRNN_GEMM_H

#include "tile.h"

/* A matrix as panels of `vectors` (the last: `last`) vectors of columns, each [inner dimension, row_step]. */
typedef struct {
    real *data;
    ptrdiff_t panel_step, row_step;
    int count, vectors, last;
} Panels;

ALWAYS_INLINE int panel_vectors(const Panels *b, int p) { return p == b->count - 1 ? b->last : b->vectors; }

/* A block of a panel that many row tiles read again stays in half of a 512 KB second-level cache. */
#define BLOCK_BYTES 196608

/* out[m][panel p] = init[m][panel p] + sum over k of a[m][k] b[k][panel p], for m < rows and first_panel <= p < end_panel.
 * A panel's columns begin p * init_panel and p * out_panel behind init[m] and out[m]. The inner dimension is cut into
 * blocks; out holds the partial sums, so the order of additions is the same as without. */
static void gemm(ptrdiff_t rows, const real *const *a, const Inner *inner, const Panels *b, int first_panel,
    int end_panel, const real *const *init, ptrdiff_t init_panel, real *const *out, ptrdiff_t out_panel)
{
    const ptrdiff_t row_bytes = b->vectors * VLEN * (ptrdiff_t)sizeof(real);
    const int whole_runs = inner->runs > 1;
    const ptrdiff_t length = whole_runs ? inner->runs : inner->run;
    ptrdiff_t block = BLOCK_BYTES / (row_bytes * (whole_runs ? inner->run : 1));
    if (block < 1) block = 1;
    if (rows <= TILE_ROWS) block = length; /* each panel is read once: nothing to keep */
    for (int p = first_panel; p < end_panel; p++) {
        const int vectors = panel_vectors(b, p), most = tile_rows(vectors);
        ptrdiff_t first = 0;
        if (rows == 1 && p + 1 < end_panel && vectors == panel_vectors(b, p + 1)) {
            const PanelSteps step = {b->panel_step, init_panel, out_panel};
            Inner part = *inner;
            part.b_step = b->row_step;
            tile_pair(vectors, a, 0, b->data + p * b->panel_step, &part, init, p * init_panel, out, p * out_panel, step);
            p++;
            continue;
        }
        do {
            const ptrdiff_t size = length - first < block ? length - first : block;
            Inner part = *inner;
            part.b_step = b->row_step;
            *(whole_runs ? &part.runs : &part.run) = size;
            const ptrdiff_t a_offset = first * (whole_runs ? inner->a_run : inner->a_step);
            const real *b_block = b->data + p * b->panel_step + first * (whole_runs ? inner->run : 1) * b->row_step;
            for (ptrdiff_t m = 0; m < rows; m += most) {
                const int height = rows - m < most ? (int)(rows - m) : most;
                if (first == 0)
                    tile(height, vectors, a + m, a_offset, b_block, &part, init + m, p * init_panel, out + m, p * out_panel);
                else
                    tile(height, vectors, a + m, a_offset, b_block, &part, (const real *const *)out + m, p * out_panel,
                        out + m, p * out_panel);
            }
            first += size;
        } while (first < length);
    }
}

#endif
