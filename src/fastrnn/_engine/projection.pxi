# The projection of an LSTM's output, h = R (o tanh(c)) (Sak, Senior and Beaufays 2014): a product of its own after the gates
# of a step, whose rows write what it reads. Back from there it comes first: the gates wait for the whole gradient of h,
# which the columns of R carry to the units.

cdef void place_projection(Forward* f, char** space) noexcept nogil:
    cdef Py_ssize_t R = f.n1 - f.n0
    f.hidden = <real*>carve(space, R * f.w.H * sizeof(real))
    f.projected = <real*>carve(space, R * projected_row(f) * sizeof(real))
    f.hidden_rows = <const_row*>carve(space, R * sizeof(real*))
    f.projected_rows = <real**>carve(space, R * sizeof(real*))
    f.zero_rows = <const_row*>carve(space, R * sizeof(real*))
    f.h_out = <real**>carve(space, R * sizeof(real*))
    f.y_out = <real**>carve(space, R * sizeof(real*))


cdef inline Py_ssize_t projected_row(const Forward* f) noexcept nogil:
    return f.w.project_layout.count * f.w.project_layout.width * VLEN


cdef inline void aim_projection(Forward* f, Py_ssize_t k) noexcept nogil:
    """Let row k of the step write what is to be projected, and keep where that goes."""
    cdef Step* s = &f.step
    f.h_out[k], f.y_out[k] = s.h[k], s.y[k]
    s.h[k] = s.y[k] = f.hidden + k * f.w.H


cdef void project_hidden(Forward* f, int count) noexcept nogil:
    """h = R (o tanh(c)) of a step's rows."""
    cdef int k
    share_product(f.team, f.shares, count, f.hidden_rows, run_of(f.w.H), &f.w.project, f.zero_rows, 0,
                  f.projected_rows, TILE_VECTORS * VLEN)
    for k in range(count):
        copy_row(f.h_out[k], f.projected_rows[k], f.w.P)
        copy_row(f.y_out[k], f.projected_rows[k], f.w.P)


cdef void place_back_projection(Backward* b, char** space) noexcept nogil:
    cdef const Layout* a = &b.w.project_layout
    cdef Py_ssize_t M = b.block.rows
    b.projection.rows, b.projection.shares = M, b.block.shares
    place_block(&b.projection, a, b.w.H, space)
    b.project = forward_panels(a, &a.state, b.w.H if has_several_blocks(b) else 0, space)
    b.hidden = <real*>carve(space, M * b.state_row * sizeof(real))
    b.hidden_rows = <const_row*>carve(space, M * sizeof(real*))
    b.dhidden = <real*>carve_rows(b, b.state_row * sizeof(real), space)
    b.dhidden_rows = <real**>carve_rows(b, sizeof(real*), space)


cdef void start_back_projection(Backward* b) noexcept nogil:
    cdef Py_ssize_t m, n
    start_block(&b.projection, &b.w.project_layout, b.w.H)
    for m in range(b.block.rows):
        b.hidden_rows[m] = b.hidden + m * b.state_row
    for n in range(b.n0, b.n1):
        b.dhidden_rows[n] = b.dhidden + n * b.state_row


cdef void step_arrived(Backward* b, const Span* s) noexcept nogil:
    """The whole gradient of a projected h: what was carried, and what came from above."""
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t j, k, m, columns = TILE_VECTORS * VLEN, P = b.w.P
    cdef real* dz
    cdef Back back = begin_back(b, s)
    for k in range(s.k0, s.k1):
        m = s.m + k - s.k0
        point_back(b, &back, s.t, rows[k], m)
        if b.masks.drawn:
            part_gradient(b, &back, s.t, rows[k])
        for j from s.q0 * columns <= j < s.q1 * columns by VLEN:
            dz = <real*>b.projection.dz_rows[m] + j // columns * b.projection.rows * columns + j % columns
            if j >= P:
                v_store(dz, v_set(0))
                continue
            v_store(dz, loss_gradient(&back, j, lanes(P, j)))
            v_store(back.dh + j, v_set(0))
        if b.masks.held_h.threshold:
            join_row(back.dh, b.dh_held + rows[k] * b.carry_row, 0, P)


cdef void step_projection(Backward* b, const Span* s) noexcept nogil:
    """The gradient of what the projection reads, after that of every number of h; also what it read, for that of R."""
    cdef const Layout* a = &b.w.project_layout
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t j, k, m, columns = TILE_VECTORS * VLEN, H = b.w.H
    cdef real* hidden
    cdef Inner inner = across_panels(&b.projection, a, &a.state)
    cdef Back back = begin_back(b, s)
    for k in range(s.k0, s.k1):
        m = s.m + k - s.k0
        point_back(b, &back, s.t, rows[k], m)
        hidden = <real*>b.hidden_rows[m]
        for j from back.first <= j < back.end by VLEN:
            v_store(hidden + j, v_load_n(back.gates + 3 * H + j, lanes(H, j))
                    * activate_one(&b.w.traits.h, v_load_n(back.c + j, lanes(H, j))))
    gemm(s.k1 - s.k0, b.projection.dz_rows + s.m, &inner, &b.w.project_back, Walk(s.u0, s.u1, False),
         b.block.zero_rows, 0, b.dhidden_rows + s.n0, columns)


cdef void projection_share(void* argument, int share, int rank) noexcept nogil:
    cdef Descent* d = <Descent*>argument
    cdef Span span = units_of(d, share)
    step_projection(d.b, &span)
    step_gates(d.b, &span, share == 0)
