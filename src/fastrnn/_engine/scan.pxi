# The forward pass of cells without recurrent weights over a chunk of steps. Units never meet: panel by panel, the product
# with the input of all steps, which stays in the first-level cache, then the gates of all steps in their order. Shares of
# the panels wait for one another once in a chunk.

cdef inline bint crosses_no_units(const Forward* f) noexcept nogil:
    """Whether there is a product with the input, and no other."""
    return f.w.layout.state.vectors == 0 and f.ids == NULL


cdef struct Scan:
    Forward* f
    Py_ssize_t rows         # the real rows of all steps


cdef void scan_chunk(Forward* f, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Scan scan = Scan(f, list_input(f, begin, end))
    list_states(f, begin, end)
    run_phase(f.team, scan_share, &scan, f.shares)


cdef void list_states(Forward* f, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Point at the states and outputs of the rows of all steps, one step behind the other."""
    cdef Step first = f.step
    cdef Step* s = &f.step
    cdef Py_ssize_t step, t
    cdef int count
    cdef bint regular = f.steps.full and f.steps.resets == NULL
    for step in range(begin, end):
        t = time_of(step, f.steps.T, f.reverse)
        if regular and step > begin:
            follow_states(f, t)
        else:
            begin_step(f, t, &count)
        s.h_prev, s.c_prev, s.h, s.c, s.y = s.h_prev + count, s.c_prev + count, s.h + count, s.c + count, s.y + count
        if s.gates != NULL:
            s.gates += count
    f.step = first


cdef void follow_states(Forward* f, Py_ssize_t t) noexcept nogil:
    """As begin_step where every row goes on from the step listed before it."""
    cdef Step* s = &f.step
    cdef Py_ssize_t r, R = f.n1 - f.n0, forward = -1 if f.reverse else 1
    for r in range(R):
        s.y[r] = s.y[r - R] + forward * f.y.t_step
        s.h_prev[r], s.c_prev[r] = s.h[r - R], s.c[r - R]
        s.h[r], s.c[r] = s.y[r], s.c[r - R]
        if f.keep:
            s.h[r] = s.h[r - R] + forward * f.h_kept.t_step
            s.gates[r] = s.gates[r - R] + forward * f.gates_kept.t_step
        f.h_now[r], f.last[r] = s.h[r], <int32_t>t


cdef void scan_share(void* argument, int share, int rank) noexcept nogil:
    cdef Scan* scan = <Scan*>argument
    cdef Forward* f = scan.f
    cdef const Pack* w = f.w
    cdef const Layout* a = &w.layout
    cdef Step step = f.step
    cdef Inner inner = run_of(w.I)
    cdef Group group
    cdef int p
    cdef real** z = f.z_rows + share * f.chunk * (f.n1 - f.n0)
    step.inputs, step.input_step = <const_row*>z, 0  # every panel in the same place
    group.panels, group.row, group.rows = 1, 0, <int>scan.rows
    for p in range(share_end(a.count, f.shares, share - 1), share_end(a.count, f.shares, share)):
        gemm(scan.rows, f.x_rows, &inner, &w.input, Walk(p, p + 1, False), f.bias_rows, a.width * VLEN, z, 0)
        group.panel = p
        CELLS[w.cell].forward(&step, &group, NULL)
