# What is drawn within a layer and direction for one forward call: of variational dropout (variational.pxi) a mask for each
# row of the batch, the same at every step, of the input and of the state; of zoneout (zoneout.pxi) one for each step.
# The backward pass draws all of them again: see dropout.pxi.

cdef struct Masks:
    bint drawn              # in training; else there are no masks, and zoneout goes by what it comes to on average
    Draw input, state       # variational dropout, as if all were at time 0
    Draw held_c, held_h     # zoneout: of the states that stay
    real* of_input          # [N, I], but for ids, whose masks are drawn id by id; room for the rows of a run or pass alone
    real* of_state          # [N, P], likewise
    Py_ssize_t I, P


cdef Masks new_masks(drawn, uint64_t k):
    """The masks of the k-th layer and direction; drawn: (seed, count, p, the number of the first) of the input, of the
    state, and of zoneout of c and of h; or None."""
    cdef Masks m
    cdef Draw draws[4]
    cdef uint64_t first
    cdef int i
    memset(&m, 0, sizeof(Masks))
    if drawn is None:
        return m
    for i in range(4):
        first = drawn[i][3]
        draws[i] = new_draw(drawn[i][:3], first + k)
    m.drawn, m.input, m.state, m.held_c, m.held_h = True, draws[0], draws[1], draws[2], draws[3]
    return m


cdef void place_masks(Masks* m, const Pack* w, Py_ssize_t n0, Py_ssize_t n1, bint ids, char** space) noexcept nogil:
    """Room for the masks of the rows n0 ... n1 - 1."""
    m.I, m.P = 0 if ids else w.I, w.P
    m.of_input = <real*>carve(space, (n1 - n0) * m.I * sizeof(real) if m.input.threshold else 0) - n0 * m.I
    m.of_state = <real*>carve(space, (n1 - n0) * m.P * sizeof(real) if m.state.threshold else 0) - n0 * m.P


cdef void start_masks(Masks* m, Py_ssize_t n0, Py_ssize_t n1) noexcept nogil:
    """Draw the masks of the rows n0 ... n1 - 1."""
    cdef Py_ssize_t n
    for n in range(n0, n1):
        if m.input.threshold:
            draw_row(&m.input, row_key(&m.input, 0, n), m.of_input + n * m.I, m.I)
        if m.state.threshold:
            draw_row(&m.state, row_key(&m.state, 0, n), m.of_state + n * m.P, m.P)


cdef inline real scale_of(const Masks* m, Py_ssize_t n, int64_t symbol) noexcept nogil:
    """The mask of an id in row n: as that of the same number of a one-hot row."""
    cdef uint64_t key
    if not m.input.threshold:
        return 1
    key = row_key(&m.input, 0, n)
    return 0 if is_dropped(m.input.threshold, <uint32_t>key, <uint32_t>(key >> 32), symbol) else m.input.scale


cdef inline void multiply_row(real* to, const real* a, const real* b, Py_ssize_t J) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(J):
        to[j] = a[j] * b[j]
