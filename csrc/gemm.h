/* Blocked products over column panels, built from tiles: the input projection, the carried gradient, the gradients of
 * parameters and of the input. */
#ifndef FASTRNN_GEMM_H
#define FASTRNN_GEMM_H

#include "tile.h"

/* A matrix as panels of `vectors` (the last: `last`) vectors of columns, each [inner dimension, row_step]. */
typedef struct {
    real *data, *apart; /* the last panel, where it does not lie behind the others, or NULL */
    ptrdiff_t panel_step, row_step;
    int count, vectors, last;
    Fill fill; /* of the last panel */
} Panels;

ALWAYS_INLINE const real *panel_data(const Panels *b, int p)
{
    return p == b->count - 1 && b->apart ? b->apart : b->data + p * b->panel_step;
}

ALWAYS_INLINE int panel_vectors(const Panels *b, int p) { return p == b->count - 1 ? b->last : b->vectors; }

ALWAYS_INLINE Fill panel_fill(const Panels *b, int p) { return p == b->count - 1 ? b->fill : WHOLE; }

/* Panels that one row takes at once. Of a matrix in a farther cache they are read fastest one after the other, as a single
 * stream, where each has chains enough; and what is read panel by panel in turn, up and down, is found nearer: in the
 * nearest cache a small panel, in the second the half of a matrix of few panels. */
#define NEAR_PANEL 32768
#define NEAR_MATRIX 49152
#define FAR_MATRIX 524288
ALWAYS_INLINE int panels_at_once(const Panels *b)
{
    const ptrdiff_t panel = b->panel_step * (ptrdiff_t)sizeof(real), matrix = b->count * panel;
    if (VLEN * sizeof(real) == 64 && b->vectors >= 3 && panel <= NEAR_PANEL && matrix > NEAR_MATRIX) return 1;
    return b->count <= PANELS_AT_ONCE && matrix > FAR_MATRIX ? PANELS_AT_ONCE / 2 : PANELS_AT_ONCE;
}

/* How many of the panels first ... end - 1 are next, up to `most` of one width; the last of them where `turned`. */
ALWAYS_INLINE int next_panels(const Panels *b, int most, int first, int end, int turned)
{
    while (most > 1 && (most > end - first ||
        ((turned ? end : first + most) == b->count && (b->last != b->vectors || b->apart))))
        most /= 2;
    return most;
}

/* The rows k ... k + count - 1 of panel p, as far as it has them, for the tiles before them to ask for, where the matrix
 * comes from so far that the hardware's prefetchers do not bring it in time; from the third cache they mostly do, and
 * asking would cost 3 %. */
#define ASKED_MATRIX (1 << 23)
ALWAYS_INLINE Ahead panel_ahead(const Panels *b, int p, ptrdiff_t k, ptrdiff_t count)
{
    const ptrdiff_t end = (k + count) * b->row_step;
    const real *panel;
    if (p < 0 || p >= b->count || b->count * b->panel_step * (ptrdiff_t)sizeof(real) <= ASKED_MATRIX)
        return (Ahead){NULL, NULL};
    panel = panel_data(b, p);
    return (Ahead){panel + k * b->row_step, panel + (end < b->panel_step ? end : b->panel_step)};
}

/* A block of a panel that many row tiles read again stays in half of a 512 KB second-level cache. */
#define BLOCK_BYTES 196608

/* All rows of one panel, a tile after the other. Each asks for the sums that the next one starts from, and but for the
 * first, which fetches the panel, for a part of what is ahead. */
ALWAYS_INLINE void panel_rows(ptrdiff_t rows, int vectors, Fill fill, const real *const *a, ptrdiff_t a_offset,
    const real *b, const Inner *inner, const real *const *init, ptrdiff_t init_offset, real *const *out,
    ptrdiff_t out_offset, Ahead ahead)
{
    const int most = tile_rows(registers_of(fill, vectors));
    for (ptrdiff_t m = 0; m < rows;) {
        const int count = next_rows(rows - m, most);
        for (ptrdiff_t r = m + count; r < rows && r < m + count + most && init[r] != init[m]; r++)
            prefetch_row(init[r] + init_offset, vectors * VLEN);
        tile(count, vectors, fill, a + m, a_offset, b, inner, init + m, init_offset, out + m, out_offset,
            m ? next_ahead(&ahead, inner->runs * inner->run) : NULL);
        m += count;
    }
}

/* out[m][panel p] = init[m][panel p] + sum over k of a[m][k] b[k][panel p], for m < rows and the panels from first_panel
 * up to, without, end_panel; or, where that comes first, from the one before first_panel down to end_panel.
 * A panel's columns begin p * init_panel and p * out_panel behind init[m] and out[m]. The inner dimension is cut into
 * blocks, of which its tail is the last; out holds the partial sums, so the order of additions is the same as without. */
static void gemm(ptrdiff_t rows, const real *const *a, const Inner *inner, const Panels *b, int first_panel,
    int end_panel, const real *const *init, ptrdiff_t init_panel, real *const *out, ptrdiff_t out_panel)
{
    const ptrdiff_t row_bytes = b->vectors * VLEN * (ptrdiff_t)sizeof(real);
    const int whole_runs = inner->runs > 1;
    const ptrdiff_t length = whole_runs ? inner->runs : inner->run, unit = whole_runs ? inner->run : 1;
    const ptrdiff_t tail_a = inner->runs * inner->a_run, tail_b = inner->runs * inner->run * b->row_step;
    const Inner tail = {inner->tail_runs, inner->tail_run, inner->a_step, inner->tail_a_run, b->row_step, 0, 0, 0};
    const int turned = first_panel > end_panel, most = rows == 1 ? panels_at_once(b) : 1;
    int low = turned ? end_panel : first_panel, high = turned ? first_panel : end_panel;
    ptrdiff_t block = BLOCK_BYTES / (row_bytes * unit);
    if (block < 1) block = 1;
    if (rows <= TILE_ROWS) block = length; /* each panel is read once: nothing to keep */
    while (low < high) {
        const int count = next_panels(b, most, low, high, turned), p = turned ? high - count : low;
        const int vectors = panel_vectors(b, p);
        const Fill fill = panel_fill(b, p + count - 1);
        const real *panel = panel_data(b, p);
        const real *const *from = init;
        ptrdiff_t from_panel = init_panel, first = 0;
        Inner part = *inner;
        part.b_step = b->row_step;
        if (turned) high = p;
        else low = p + count;
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
                panel_ahead(b, !last ? p : turned ? p - 1 : p + 1, last ? 0 : (first + size) * unit, block * unit));
            from = (const real *const *)out, from_panel = out_panel;
            first += size;
        } while (first < length);
        if (tail.runs)
            panel_rows(rows, vectors, fill, a, tail_a, panel + tail_b, &tail, from, p * from_panel, out, p * out_panel,
                (Ahead){NULL, NULL});
    }
}

#endif
