# Back-propagation through time for one layer and direction, in reverse order of the forward pass. In the time loop stand
# only the gates and the product that carries the gradient from step to step; what adds up over time (the gradients of
# the parameters) and the gradient of the input are products over blocks of whole steps, from the last step down.

cdef enum:
    BLOCK_ROWS = 384  # rows of a block; their gradients of the pre-activations stay in cache until they are used up


cdef struct Backward:
    # one call: its shape, its arrays and its workspace
    Py_ssize_t T, N, I, H
    Block block                     # its rows: those of a whole number of steps
    Py_ssize_t state_row, input_row # H and I, rounded up to vectors
    bint reverse
    Rows x, h_kept, c_kept, gates_kept, dy, dx, watched
    const int64_t* ids              # IN  [T, N] by the strides of x, or NULL
    const real* h0                  # IN  [N, H] or NULL
    const real* c0                  # IN  [N, H] or NULL
    bint add                        # dx: add to what is there
    int32_t* previous               # [T, N]: see list_previous
    int32_t* last                   # [N]
    Py_ssize_t* t_of                # [block]
    Py_ssize_t* n_of                # [block]
    const_row* dz_state             # [block] -> the vectors that the state feeds
    const_row* dz_input             # [block] -> the vectors that the input feeds
    real* dh                        # [N, state_row]: carried from the later step
    real* dc                        # [N, state_row]
    real** dh_rows                  # [N]: those of the step's active rows
    real* dreset                    # [N, state_row]: the gradient of r * h, where it is needed
    real** dreset_rows              # [N]
    const_row* h_prev               # [block] -> [H]
    const_row* reset_h              # [block] -> [H]
    const_row* x_rows               # [block] -> [I]
    Panels input, state, candidate  # gradients of the weights, [panel][K][vectors * VLEN]
    real* dx_copy                   # [block, input_row]
    real** dx_rows                  # [block]
    real* d_rows                    # OUT [I, G*H] gradient of weight_ih where the input is ids


cdef inline Py_ssize_t widest_row(const Backward* b) noexcept nogil:
    return max(b.H, 0 if b.ids != NULL else b.I)


cdef void place_backward(Backward* b, Weights w, bint need_dx, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t N = b.N, M = b.block.rows
    place_block(&b.block, a, widest_row(b), space)
    b.previous = <int32_t*>carve(space, b.T * N * sizeof(int32_t))
    b.last = <int32_t*>carve(space, N * sizeof(int32_t))
    b.t_of = <Py_ssize_t*>carve(space, M * sizeof(Py_ssize_t))
    b.n_of = <Py_ssize_t*>carve(space, M * sizeof(Py_ssize_t))
    b.dz_state = <const_row*>carve(space, M * sizeof(real*))
    b.dz_input = <const_row*>carve(space, M * sizeof(real*))
    b.dh = <real*>carve(space, N * b.state_row * sizeof(real))
    b.dc = <real*>carve(space, N * b.state_row * sizeof(real))
    b.dh_rows = <real**>carve(space, N * sizeof(real*))
    b.dreset = <real*>carve(space, N * b.state_row * sizeof(real) if a.candidate.vectors else 0)
    b.dreset_rows = <real**>carve(space, N * sizeof(real*))
    b.h_prev = <const_row*>carve(space, M * sizeof(real*))
    b.reset_h = <const_row*>carve(space, M * sizeof(real*))
    b.x_rows = <const_row*>carve(space, M * sizeof(real*))
    b.state = forward_panels(a, &a.state, b.H, space)
    b.candidate = forward_panels(a, &a.candidate, b.H, space)
    if b.ids == NULL:
        b.input = forward_panels(a, &a.input, b.I, space)
    b.dx_copy = <real*>carve(space, M * b.input_row * sizeof(real) if need_dx else 0)
    b.dx_rows = <real**>carve(space, M * sizeof(real*) if need_dx else 0)


cdef void start_backward(Backward* b, Weights w, Plan plan, bint need_dx, const real* dh, const real* dc) noexcept nogil:
    """Fill what stays the same through the call; dh, dc IN [N, H] or NULL: gradients of the final state."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t m, n
    list_previous(plan, b.reverse, b.last, b.previous)
    memset(b.dh, 0, b.N * b.state_row * sizeof(real))
    memset(b.dc, 0, b.N * b.state_row * sizeof(real))
    start_block(&b.block, a, widest_row(b))
    clear_panels(&b.state)
    clear_panels(&b.candidate)
    if b.ids == NULL:
        clear_panels(&b.input)
    for n in range(b.N):
        if dh != NULL:
            memcpy(b.dh + n * b.state_row, dh + n * b.H, b.H * sizeof(real))
        if dc != NULL:
            memcpy(b.dc + n * b.state_row, dc + n * b.H, b.H * sizeof(real))
        b.dreset_rows[n] = b.dreset + n * b.state_row
    for m in range(b.block.rows):
        b.dz_state[m] = b.block.dz_rows[m] + a.state.first * VLEN
        b.dz_input[m] = b.block.dz_rows[m] + a.input.first * VLEN
        if need_dx:
            b.dx_rows[m] = b.dx_copy + m * b.input_row


cdef void step_backward(Backward* b, Weights w, Plan plan, Py_ssize_t t, Py_ssize_t first) noexcept nogil:
    """dz of step t, rows first ... of the block, and the gradient carried to the step before."""
    cdef Layout* a = &w.layout
    cdef const int32_t* rows = plan.rows_at(t)
    cdef Py_ssize_t k, m, n, count = plan.count_at(t)
    cdef int32_t from_
    cdef Inner inner
    cdef Back back
    back.H, back.activation, back.dz_step = b.H, w.activation, b.block.rows * a.width * VLEN
    for k in range(count):
        n, m = rows[k], first + k
        b.t_of[m], b.n_of[m] = t, n
        b.dh_rows[k] = b.dh + n * b.state_row
        if b.dy.data != NULL and k + AHEAD < count:
            prefetch_row(row_at(&b.dy, t, rows[k + AHEAD]), b.H)
        point_back(b, &back, w, t, n, m)
        CELLS[w.cell].backward(&back)
    if a.candidate.vectors:
        inner = across_panels(&b.block, a, &a.candidate)
        gemm(count, b.block.dz_rows + first, &inner, &w.candidate_back, b.block.zero_rows, 0, b.dreset_rows, TILE_VECTORS * VLEN)
        for k in range(count):
            point_back(b, &back, w, t, rows[k], first + k)
            gru_reset_backward(&back, b.dreset_rows[k])
    inner = across_panels(&b.block, a, &a.state)
    gemm(count, b.dz_state + first, &inner, &w.state_back, <const_row*>b.dh_rows, TILE_VECTORS * VLEN,
         b.dh_rows, TILE_VECTORS * VLEN)
    for k in range(count):
        from_ = b.previous[t * b.N + rows[k]]
        if from_ == ZERO:
            memset(b.dh + rows[k] * b.state_row, 0, b.state_row * sizeof(real))
            memset(b.dc + rows[k] * b.state_row, 0, b.state_row * sizeof(real))


cdef void point_back(Backward* b, Back* back, Weights w, Py_ssize_t t, Py_ssize_t n, Py_ssize_t m) noexcept nogil:
    """Point the gates at row n of step t, which is row m of the block."""
    cdef int32_t from_ = b.previous[t * b.N + n]
    cdef const real* h_prev = b.block.zeros
    cdef const real* c_prev = b.block.zeros
    if from_ >= 0:
        h_prev, c_prev = row_at(&b.h_kept, from_, n), row_at(&b.c_kept, from_, n)
    elif from_ == INITIAL:
        if b.h0 != NULL:
            h_prev = b.h0 + n * b.H
        if b.c0 != NULL:
            c_prev = b.c0 + n * b.H
    b.h_prev[m] = h_prev
    back.h_prev, back.c_prev = h_prev, c_prev
    back.h, back.c = row_at(&b.h_kept, t, n), row_at(&b.c_kept, t, n)
    back.gates = row_at(&b.gates_kept, t, n)
    b.reset_h[m] = back.gates + 3 * b.H
    back.dh, back.dc = b.dh + n * b.state_row, b.dc + n * b.state_row
    back.dy = NULL if b.dy.data == NULL else row_at(&b.dy, t, n)
    back.watched = NULL if b.watched.data == NULL else row_at(&b.watched, t, n)
    back.dz = <real*>b.block.dz_rows[m]


cdef void scatter_rows(Backward* b, Weights w, Py_ssize_t M) noexcept nogil:
    """The gradient of a gathered row adds up in the order of the block."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t m, unit
    cdef int p, v, n
    cdef real* to
    cdef real* row
    for m in range(M):
        row = b.d_rows + b.ids[b.t_of[m] * b.x.t_step + b.n_of[m] * b.x.n_step] * a.gates * a.H
        for p in range(a.count):
            for v in range(part_vectors(a, &a.input, p)):
                unit = unit_of(a, p, v)
                n = lanes(a.H, unit)
                to = row + a.order[v] * a.H + unit
                v_store_n(to, v_load_n(to, n) + v_load(b.block.dz + (p * b.block.rows + m) * a.width * VLEN + v * VLEN), n)


cdef void send_input(Backward* b, Weights w, Py_ssize_t M) noexcept nogil:
    """dx = dz Wᵀ for the M rows of a block."""
    cdef Py_ssize_t m, i
    cdef real* to
    cdef Inner inner = across_panels(&b.block, &w.layout, &w.layout.input)
    gemm(M, b.dz_input, &inner, &w.input_back, b.block.zero_rows, 0, b.dx_rows, TILE_VECTORS * VLEN)
    for m in range(M):
        to = row_at(&b.dx, b.t_of[m], b.n_of[m])
        if b.add:
            for i in range(b.I):
                to[i] += b.dx_rows[m][i]
        else:
            copy_row(to, b.dx_rows[m], b.I)


cdef void end_block(Backward* b, Weights w, Py_ssize_t M) noexcept nogil:
    cdef Layout* a = &w.layout
    cdef Py_ssize_t m
    add_weights(&b.block, a, &a.state, b.h_prev, M, b.H, &b.state)
    if a.candidate.vectors:
        add_weights(&b.block, a, &a.candidate, b.reset_h, M, b.H, &b.candidate)
    add_bias(&b.block, a, M)
    if b.ids != NULL:
        scatter_rows(b, w, M)
        return
    for m in range(M):
        b.x_rows[m] = row_at(&b.x, b.t_of[m], b.n_of[m])
    add_weights(&b.block, a, &a.input, b.x_rows, M, b.I, &b.input)
    if b.dx.data != NULL:
        send_input(b, w, M)


cdef void run_backward(Backward* b, Weights w, Plan plan) noexcept nogil:
    cdef Py_ssize_t s, t, M = 0, steps = 0, block_steps = b.block.rows // max(b.N, 1)
    for s in range(b.T - 1, -1, -1):
        t = time_of(s, b.T, b.reverse)
        step_backward(b, w, plan, t, M)
        M += plan.count_at(t)
        steps += 1
        if steps == block_steps or s == 0:
            end_block(b, w, M)
            M = steps = 0


cdef backward_layer(Weights w, Kept kept, Rows dy, const real* dh, const real* dc, Rows dx, bint add, d_ih, d_hh, db_ih,
                    db_hh, real* dh0, real* dc0, Rows watched):
    """Run one layer and direction backwards; rows without data are not there.

    dy IN [T, N, H]; dh, dc IN [N, H] or NULL: gradients of the final state; dx OUT [T, N, I], added to where `add`,
    untouched at padded steps; d_ih OUT [I, G*H], zeros on entry where the input is ids; d_hh OUT [H, G*H]; db_ih, db_hh
    OUT [G*H] or None; dh0, dc0 OUT [N, H], dc0 of an LSTM only; watched OUT [T, N, H]: the gradient of every h.
    """
    cdef Backward b
    cdef Plan plan = kept.plan
    cdef char* space = NULL
    cdef Py_ssize_t n
    cdef unsigned int mode
    cdef bint need_dx = dx.data != NULL, biased = db_ih is not None
    cdef cnp.ndarray x = kept.x
    cdef real* weights_ih = data_of(checked(d_ih, "d_ih"))
    cdef Lie lie_ih = by_input(weights_ih, &w.layout)
    cdef Lie lie_hh = by_input(data_of(checked(d_hh, "d_hh")), &w.layout)
    cdef real* bias_ih = optional(db_ih, "db_ih")
    cdef real* bias_hh = optional(db_hh, "db_hh")
    memset(&b, 0, sizeof(Backward))
    b.T, b.N, b.I, b.H, b.reverse, b.add = plan.T, plan.N, w.I, w.H, kept.reverse, add
    b.dy, b.dx, b.watched, b.h0, b.c0 = dy, dx, watched, kept.h0, kept.c0
    b.state_row, b.input_row = round_up(w.H, VLEN), round_up(w.I, VLEN)
    b.block.rows = min(max(BLOCK_ROWS // max(b.N, 1), 1), max(b.T, 1)) * b.N
    b.h_kept = rows_of(kept.h)
    if kept.c is not None:
        b.c_kept = rows_of(kept.c)
    if kept.gates is not None:
        b.gates_kept = rows_of(kept.gates)
    if x.ndim == 2:
        b.ids, b.d_rows = <const int64_t*>cnp.PyArray_DATA(x), weights_ih
        b.x.t_step, b.x.n_step = x.strides[0] // 8, x.strides[1] // 8
    else:
        b.x = rows_of(x)
    w.need_state_back()
    if need_dx:
        w.need_input_back()
    place_backward(&b, w, need_dx, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_backward(&b, w, need_dx, &space)
    with nogil:
        mode = denormals_flush()
        start_backward(&b, w, plan, need_dx, dh, dc)
        run_backward(&b, w, plan)
        give_weights(&w.layout, &w.layout.state, &b.state, b.H, &lie_hh)
        give_weights(&w.layout, &w.layout.candidate, &b.candidate, b.H, &lie_hh)
        if b.ids == NULL:
            give_weights(&w.layout, &w.layout.input, &b.input, b.I, &lie_ih)
        if biased:
            give_bias(&w.layout, w.cell == GRU, b.block.bias, bias_ih, bias_hh)
        for n in range(b.N):
            memcpy(dh0 + n * b.H, b.dh + n * b.state_row, b.H * sizeof(real))
            if dc0 != NULL:
                memcpy(dc0 + n * b.H, b.dc + n * b.state_row, b.H * sizeof(real))
        denormals_restore(mode)
