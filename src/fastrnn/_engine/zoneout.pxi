# Zoneout (Krueger et al. 2017): with some probability a unit of a state stays as it was before the step. It acts on the
# states that a whole cell gives, h~ and c~, and h~ has been made from c~:
#
#     h = d_h h' + (1 - d_h) h~,  c = d_c c' + (1 - d_c) c~;  in inference by the expectation of d
#
# So the cells know nothing of it. Where a unit stays, no gradient reaches what the cell gave, which the tape therefore need
# not keep; but h~ reads all of c~, which the backward pass makes again.

cdef inline bint overwrites_cells(const Forward* f) noexcept nogil:
    """Whether zoneout wants c' where the cell writes c in its place: in inference."""
    return f.w.traits.zone_c > 0 and f.gates_kept.data == NULL


cdef void keep_cells(Forward* f, int count) noexcept nogil:
    """Put c' aside."""
    cdef Py_ssize_t H = f.w.H
    cdef int k
    for k in range(count):
        copy_row(f.c_before + k * H, f.step.c_prev[k], H)
        f.step.c_prev[k] = f.c_before + k * H


cdef void hold_states(Forward* f, Py_ssize_t t, int count) noexcept nogil:
    """h~ and, of LSTMs, c~ become h and c."""
    cdef const Traits* traits = &f.w.traits
    cdef const int32_t* rows = rows_at(f.steps, t) + place_of(f.steps, t, f.n0)
    cdef real** h = f.h_out if f.w.projected else f.step.h
    cdef real** y = f.y_out if f.w.projected else f.step.y
    cdef int k
    for k in range(count):
        if traits.zone_h > 0:
            hold_row(&f.masks, &f.masks.held_h, t, rows[k], traits.zone_h, f.step.h_prev[k], h[k], f.w.P)
            if y[k] != h[k]:
                copy_row(y[k], h[k], f.w.P)
        if traits.zone_c > 0:
            hold_row(&f.masks, &f.masks.held_c, t, rows[k], traits.zone_c, f.step.c_prev[k], f.step.c[k], f.w.H)


cdef void hold_row(const Masks* m, const Draw* d, Py_ssize_t t, Py_ssize_t n, real p, const real* before, real* now,
                   Py_ssize_t J) noexcept nogil:
    """now IN-OUT [J], before IN [J]."""
    cdef Py_ssize_t j
    cdef uint64_t key, threshold = d.threshold
    cdef uint32_t low, high
    if not m.drawn:
        for j from 0 <= j < J by VLEN:
            v_store_n(now + j, v_fma(v_set(p), v_load_n(before + j, lanes(J, j)),
                                     v_set(1 - p) * v_load_n(now + j, lanes(J, j))), lanes(J, j))
        return
    key = row_key(d, t, n)
    low, high = <uint32_t>key, <uint32_t>(key >> 32)
    for j in range(J):
        now[j] = before[j] if is_dropped(threshold, low, high, j) else now[j]


cdef inline void part_row(const Draw* d, Py_ssize_t t, Py_ssize_t n, Py_ssize_t first, Py_ssize_t end, real* now,
                          real* held) noexcept nogil:
    """now IN-OUT, held OUT, units first ... end - 1: a gradient goes to what the cell gave, or past the cell."""
    cdef Py_ssize_t j
    cdef uint64_t key = row_key(d, t, n), threshold = d.threshold
    cdef uint32_t low = <uint32_t>key, high = <uint32_t>(key >> 32)
    cdef bint stays
    cdef real whole
    for j in range(first, end):
        stays, whole = is_dropped(threshold, low, high, j), now[j]
        held[j] = whole if stays else 0
        now[j] = 0 if stays else whole


cdef void part_gradient(const Backward* b, Back* back, Py_ssize_t t, Py_ssize_t n) noexcept nogil:
    """Before the gates: what of the gradients of h and c goes through the cell; c~ for the gates."""
    cdef Py_ssize_t j, H = b.w.H
    cdef Py_ssize_t end = b.w.P if b.w.projected else back.end
    cdef real* c = <real*>back.c
    if b.masks.held_h.threshold:
        for j from back.first <= j < end by VLEN:
            v_store(back.dh + j, loss_gradient(back, j, lanes(b.w.P, j)))
        back.dy = back.watched = NULL
        part_row(&b.masks.held_h, t, n, back.first, end, back.dh, b.dh_held + n * b.carry_row)
    if b.masks.held_c.threshold:
        part_row(&b.masks.held_c, t, n, back.first, back.end, back.dc, b.dc_held + n * b.state_row)
        for j from back.first <= j < back.end by VLEN:
            v_store(c + j, v_fma(v_load_n(back.gates + H + j, lanes(H, j)), v_load_n(back.c_prev + j, lanes(H, j)),
                                 v_load_n(back.gates + j, lanes(H, j)) * v_load_n(back.gates + 2 * H + j, lanes(H, j))))


cdef inline void join_row(real* to, const real* held, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(first, end):
        to[j] += held[j]
