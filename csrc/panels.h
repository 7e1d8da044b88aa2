/* A matrix in panels of columns, as tiles read it, and the ways through them. */
#ifndef FASTRNN_PANELS_H
#define FASTRNN_PANELS_H

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

/* A way through panels: low ... high - 1 are still to come, the last of them first where `turned`. */
typedef struct {
    int low, high, turned;
} Walk;

/* The panel that comes next: where none does, the one beyond. */
ALWAYS_INLINE int coming_panel(const Walk *walk) { return walk->turned ? walk->high - 1 : walk->low; }

/* Take the `count` panels that come next; the lowest of them. */
ALWAYS_INLINE int take_panels(Walk *walk, int count)
{
    if (walk->turned) return walk->high -= count;
    walk->low += count;
    return walk->low - count;
}

/* How many of the panels to come to take at once: up to `most`, a power of two, of one width. */
ALWAYS_INLINE int next_panels(const Panels *b, const Walk *walk, int most)
{
    while (most > 1 && (most > walk->high - walk->low ||
        ((walk->turned ? walk->high : walk->low + most) == b->count && (b->last != b->vectors || b->apart))))
        most /= 2;
    return most;
}

/* The rows k ... k + count - 1 of panel p, as far as it has them, for the tiles before them to ask for, where the matrix
 * comes from so far that the hardware's prefetchers do not bring it in time; from the third cache they mostly do, and
 * asking would cost 3 %. */
#define ASKED_MATRIX (1 << 23)
ALWAYS_INLINE Asked panel_ahead(const Panels *b, int p, ptrdiff_t k, ptrdiff_t count)
{
    const ptrdiff_t first = k * b->row_step, end = (k + count) * b->row_step;
    if (p < 0 || p >= b->count || b->count * b->panel_step * (ptrdiff_t)sizeof(real) <= ASKED_MATRIX)
        return (Asked){NULL, 0, 0};
    return (Asked){panel_data(b, p) + first, PER_LINE, ((end < b->panel_step ? end : b->panel_step) - first) / PER_LINE};
}

/* Up to `count` of these lines, which are taken from them. */
ALWAYS_INLINE Asked take_lines(Asked *from, ptrdiff_t count)
{
    Asked part = *from;
    if (part.lines > count) part.lines = count;
    from->next += part.lines * part.step, from->lines -= part.lines;
    return part;
}

/* What is left of some streams behind the next `count` of their lines. */
ALWAYS_INLINE Asked *pass_lines(Asked *asked, ptrdiff_t count)
{
    while (asked->lines && count > 0) {
        count -= take_lines(asked, count).lines;
        if (!asked->lines) asked++;
    }
    return asked;
}

#endif
