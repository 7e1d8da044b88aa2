# Back-propagation through time for one layer and direction, in reverse order of the forward pass. In the time loop stand
# only the gates and the product that carries the gradient from step to step; what adds up over time (the gradients of
# the parameters) and the gradient of the input are products over blocks of whole steps, from the last step down.

cdef enum:
    FAR_TAPE = 1 << 19  # bytes of a tape, but for the states of cells that keep more: more comes from far away
    ASKED_OF_ROW = 4    # streams: one of each of three arrays, and the last of all
    BLOCK_ROWS = 384  # rows of a block; their gradients of the pre-activations stay in cache until they are used up


cdef struct Backward:
    # one layer and direction: its shape, its arrays and its workspace; R = n1 - n0. What there is for each of its rows
    # of the batch is found by their numbers in the whole batch
    const Pack* w
    const Steps* steps
    Py_ssize_t n0, n1               # its rows of the batch: all, or those of a slice
    Py_ssize_t block_steps          # of a block, but for the first steps' one, which may be shorter
    Block block                     # its rows: those of a whole number of steps
    Split split                     # of the time loop; the products of a block are shared besides
    Py_ssize_t state_row, carry_row, input_row  # H, P and I, rounded up to vectors
    bint reverse
    Py_ssize_t span                 # steps that are kept at once: all, or those of a segment
    Py_ssize_t t0, t1               # their times
    Rows x, h_kept, c_kept, gates_kept, dy, dx, watched
    const int64_t* ids              # IN  [T, N] by the strides of x, or NULL
    const int64_t* symbols          # IN  [T, N] by the steps of symbol_rows: the ids by which masks were drawn
    Rows symbol_rows
    Masks masks
    const real* h0                  # IN  [N, P] or NULL: the states before them
    const real* c0                  # IN  [N, H] or NULL
    const int32_t* last0            # IN  [N] or NULL at the sequence's start: see Forward's `last`
    const real* dh_final            # IN  [N, P] or NULL: gradients of the final state
    const real* dc_final            # IN  [N, H] or NULL
    real* dh0                       # OUT [N, P]
    real* dc0                       # OUT [N, H] or NULL
    Lie d_ih, d_hh, d_hr            # OUT [I, G*H], [P, G*H], [H, P]; NULL where there is no such weight
    real* db_ih                     # OUT [G*H] or NULL
    real* db_hh                     # OUT [G*H] or NULL
    real* d_peephole                # OUT [3, H] or NULL
    real* d_norm_ih                 # OUT [G*H] or NULL
    real* d_norm_hh                 # OUT [G*H] or NULL
    real* d_norm_c                  # OUT [H] or NULL
    real* db_norm_c                 # OUT [H] or NULL
    bint add                        # dx: add to what is there
    bint far                        # what the cell kept does not stay in cache
    bint listed                     # and tiles ask for it
    int32_t* previous_room          # [span, R]
    int32_t* previous               # the same by time, [T, R]: see list_previous
    int32_t* last                   # [R]
    Py_ssize_t* t_of                # [block]
    Py_ssize_t* n_of                # [block]
    const_row* dz_state             # [block] -> the vectors that the state feeds
    const_row* dz_input             # [block] -> the vectors that the input feeds
    real* dh                        # [R, carry_row]: carried from the later step
    real* dc                        # [R, state_row]
    Asked* asked                    # [ASKED_OF_ROW * R]: see list_before
    real** dh_rows                  # [R]: those of the step's active rows
    real* dreset                    # [R, state_row]: the gradient of r * h, where it is needed
    real** dreset_rows              # [R]
    const_row* h_prev               # [block] -> [P]
    const_row* reset_h              # [block] -> [H]
    const_row* c_prev               # [block] -> [H], where there are peepholes
    const_row* c                    # [block] -> [H]
    const_row* x_rows               # [block] -> [I]
    Panels input, state, candidate  # gradients of the weights until the last block, [panel][K][vectors * VLEN]
    Block projection                # its dz: the whole gradients of h, where h is projected
    Panels project                  # gradient of R until the last block, [panel][H][vectors * VLEN]
    real* hidden                    # [block, state_row]: what it read
    const_row* hidden_rows          # [block]
    real* dhidden                   # [R, state_row]: the gradient of that
    real** dhidden_rows             # [R]
    real* dx_copy                   # [block, input_row]
    real** dx_rows                  # [block]
    real* dproducts                 # as the block's dz: the gradients of U h', where it is normalised
    real* norm_sums                 # [R, norm_row]: each row's share of the gradients of the norms
    Py_ssize_t norm_row
    real* x_seen                    # [block, I], h_seen [block, P]: behind their masks, where they have any
    real* h_seen
    real* dh_seen                   # [R, carry_row]: the gradient of a masked state
    real** dh_seen_rows             # [R]
    real* c_given                   # [block, state_row]: what the cell gave before zoneout
    real* dh_held                   # [R, carry_row], dc_held [R, state_row]: what goes past the cell by zoneout
    real* dc_held


cdef inline bint has_several_blocks(const Backward* b) noexcept nogil:
    return b.steps.T > b.block_steps


cdef inline int carry_panels(const Backward* b) noexcept nogil:
    """Panels of the numbers of h."""
    return <int>ceil_div(b.carry_row, TILE_VECTORS * VLEN)


cdef inline int unit_panels(const Backward* b) noexcept nogil:
    """Panels of the units, which are those of h but where h is projected."""
    return <int>ceil_div(b.state_row, TILE_VECTORS * VLEN)


cdef inline Py_ssize_t widest_row(const Backward* b) noexcept nogil:
    return max(b.w.H, 0 if b.ids != NULL else b.w.I)


cdef inline char* carve_rows(const Backward* b, size_t size, char** space) noexcept nogil:
    """`size` bytes for each row of the batch that the pass has, to be found by the rows' numbers."""
    return carve(space, (b.n1 - b.n0) * size) - b.n0 * <Py_ssize_t>size


cdef void place_backward(Backward* b, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured."""
    cdef const Layout* a = &b.w.layout
    cdef Py_ssize_t M = b.block.rows
    cdef bint several = has_several_blocks(b)  # a single block's sums are the result
    cdef bint need_dx = b.dx.data != NULL
    place_block(&b.block, a, widest_row(b), space)
    b.previous_room = <int32_t*>carve(space, b.span * (b.n1 - b.n0) * sizeof(int32_t))
    b.last = <int32_t*>carve_rows(b, sizeof(int32_t), space)
    b.t_of = <Py_ssize_t*>carve(space, M * sizeof(Py_ssize_t))
    b.n_of = <Py_ssize_t*>carve(space, M * sizeof(Py_ssize_t))
    b.dz_state = <const_row*>carve(space, M * sizeof(real*))
    b.dz_input = <const_row*>carve(space, M * sizeof(real*))
    b.dh = <real*>carve_rows(b, b.carry_row * sizeof(real), space)
    b.dc = <real*>carve_rows(b, b.state_row * sizeof(real), space)
    b.asked = <Asked*>carve_rows(b, ASKED_OF_ROW * sizeof(Asked), space)
    b.dh_rows = <real**>carve_rows(b, sizeof(real*), space)
    b.dreset = <real*>carve_rows(b, b.state_row * sizeof(real) if a.candidate.vectors else 0, space)
    b.dreset_rows = <real**>carve_rows(b, sizeof(real*), space)
    b.h_prev = <const_row*>carve(space, M * sizeof(real*))
    b.reset_h = <const_row*>carve(space, M * sizeof(real*))
    b.c_prev = <const_row*>carve(space, M * sizeof(real*))
    b.c = <const_row*>carve(space, M * sizeof(real*))
    b.x_rows = <const_row*>carve(space, M * sizeof(real*))
    b.state = forward_panels(a, &a.state, b.w.P if several else 0, space)
    b.candidate = forward_panels(a, &a.candidate, b.w.H if several else 0, space)
    if b.ids == NULL:
        b.input = forward_panels(a, &a.input, b.w.I if several else 0, space)
    b.dx_copy = <real*>carve(space, M * b.input_row * sizeof(real) if need_dx else 0)
    b.dx_rows = <real**>carve(space, M * sizeof(real*) if need_dx else 0)
    if b.w.projected:
        place_back_projection(b, space)
    if b.w.normed:
        place_back_norm(b, space)
    if b.masks.drawn:
        place_back_masks(b, space)


cdef void place_back_masks(Backward* b, char** space) noexcept nogil:
    cdef Masks* m = &b.masks
    cdef Py_ssize_t M = b.block.rows
    place_masks(m, b.w, b.n0, b.n1, b.ids != NULL, space)
    b.x_seen = <real*>carve(space, M * m.I * sizeof(real) if m.input.threshold else 0)
    b.h_seen = <real*>carve(space, M * m.P * sizeof(real) if m.state.threshold else 0)
    b.dh_seen = <real*>carve_rows(b, b.carry_row * sizeof(real) if m.state.threshold else 0, space)
    b.dh_seen_rows = <real**>carve_rows(b, sizeof(real*), space)
    b.c_given = <real*>carve(space, M * b.state_row * sizeof(real) if m.held_c.threshold else 0)
    b.dh_held = <real*>carve_rows(b, b.carry_row * sizeof(real) if m.held_h.threshold else 0, space)
    b.dc_held = <real*>carve_rows(b, b.state_row * sizeof(real) if m.held_c.threshold else 0, space)


cdef void start_backward(Backward* b) noexcept nogil:
    """Fill what stays the same through the call."""
    cdef const Layout* a = &b.w.layout
    cdef Py_ssize_t m, n, H = b.w.H, P = b.w.P
    memset(b.dh + b.n0 * b.carry_row, 0, (b.n1 - b.n0) * b.carry_row * sizeof(real))
    memset(b.dc + b.n0 * b.state_row, 0, (b.n1 - b.n0) * b.state_row * sizeof(real))
    start_block(&b.block, a, widest_row(b))
    if b.w.projected:
        start_back_projection(b)
    if b.w.normed:
        memset(b.norm_sums + b.n0 * b.norm_row, 0, max(b.n1 - b.n0, 1) * b.norm_row * sizeof(real))
    if b.masks.drawn:
        start_masks(&b.masks, b.n0, b.n1)
        for n in range(b.n0, b.n1):
            b.dh_seen_rows[n] = b.dh_seen + n * b.carry_row
    if b.d_peephole != NULL:
        memset(b.d_peephole, 0, 3 * H * sizeof(real))
    for n in range(b.n0, b.n1):
        if b.dh_final != NULL:
            memcpy(b.dh + n * b.carry_row, b.dh_final + n * P, P * sizeof(real))
        if b.dc_final != NULL:
            memcpy(b.dc + n * b.state_row, b.dc_final + n * H, H * sizeof(real))
        b.dreset_rows[n] = b.dreset + n * b.state_row
    for m in range(b.block.rows):
        b.dz_state[m] = b.block.dz_rows[m] + a.state.first * VLEN
        if b.w.normed:
            b.dz_state[m] += b.dproducts - b.block.dz
        b.dz_input[m] = b.block.dz_rows[m] + a.input.first * VLEN
        if b.dx.data != NULL:
            b.dx_rows[m] = b.dx_copy + m * b.input_row


cdef struct Span:
    # a share of one step: its rows k0 ... k1 - 1 in the step's list, which stand from m on in the block, its panels
    # q0 ... q1 - 1 of the numbers of h, which gradients are carried to, and u0 ... u1 - 1 of the units
    Py_ssize_t t, m, n0, k0, k1
    int q0, q1, u0, u1


cdef void step_gates(Backward* b, const Span* s, bint whole) noexcept nogil:
    """dz of a span; `whole`: write also down where the block's rows come from."""
    cdef const Pack* w = b.w
    cdef const Layout* a = &w.layout
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t k, n, m
    cdef Back back = begin_back(b, s)
    cdef bint ask = b.far and not tiles_ask(b, s)
    for k in range(s.k0, s.k1):
        n, m = rows[k], s.m + k - s.k0
        point_back(b, &back, s.t, n, m)
        if ask:
            ask_before(b, s.t, n)
        if w.projected:  # everything that reaches h has gone through R already
            back.dh, back.dy, back.watched = b.dhidden_rows[s.n0 + k - s.k0], NULL, NULL
        elif b.masks.drawn:
            part_gradient(b, &back, s.t, n)
        if whole:
            b.t_of[m], b.n_of[m] = s.t, n
            b.h_prev[m], b.reset_h[m] = back.h_prev, back.gates + 3 * w.H
            if b.d_peephole != NULL:
                b.c_prev[m], b.c[m] = back.c_prev, back.c
        CELLS[w.cell].backward(&back)
        if w.normed:
            sums_backward(w, &back, b.dproducts + (back.dz - b.block.dz))
        if b.masks.held_c.threshold:
            join_row(back.dc, b.dc_held + n * b.state_row, back.first, back.end)
        if b.masks.held_h.threshold and not w.projected:
            join_row(back.dh, b.dh_held + n * b.carry_row, back.first, back.end)


cdef inline Back begin_back(const Backward* b, const Span* s) noexcept nogil:
    cdef Back back
    cdef Py_ssize_t columns = TILE_VECTORS * VLEN
    memset(&back, 0, sizeof(Back))
    back.H, back.traits, back.norm = b.w.H, &b.w.traits, &b.w.norm if b.w.normed else NULL
    back.first, back.end = s.u0 * columns, min(s.u1 * columns, b.w.H)
    back.dz_step = b.block.rows * b.w.layout.width * VLEN
    return back


cdef inline int32_t previous_of(const Backward* b, Py_ssize_t t, Py_ssize_t n) noexcept nogil:
    return b.previous[t * (b.n1 - b.n0) + n]


cdef void point_back(const Backward* b, Back* back, Py_ssize_t t, Py_ssize_t n, Py_ssize_t m) noexcept nogil:
    """Point the gates at row n of step t, which is row m of the block."""
    cdef int32_t from_ = previous_of(b, t, n)
    back.h_prev = back.c_prev = b.block.zeros
    if b.t0 <= from_ < b.t1:
        back.h_prev, back.c_prev = row_at(&b.h_kept, from_, n), row_at(&b.c_kept, from_, n)
    elif from_ != ZERO:
        if b.h0 != NULL:
            back.h_prev = b.h0 + n * b.w.P
        if b.c0 != NULL:
            back.c_prev = b.c0 + n * back.H
    back.h, back.c = row_at(&b.h_kept, t, n), row_at(&b.c_kept, t, n)
    if b.masks.held_c.threshold:
        back.c = b.c_given + m * b.state_row
    back.gates = row_at(&b.gates_kept, t, n)
    back.dh, back.dc = b.dh + n * b.carry_row, b.dc + n * b.state_row
    back.dy = NULL if b.dy.data == NULL else row_at(&b.dy, t, n)
    back.watched = NULL if b.watched.data == NULL else row_at(&b.watched, t, n)
    back.dz = <real*>b.block.dz_rows[m]
    if b.w.normed:
        back.norm_sums = b.norm_sums + n * b.norm_row


cdef void step_candidate(Backward* b, const Span* s) noexcept nogil:
    """The gradient of r * h from that of the candidate, and dz of r: after every unit's candidate."""
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t k, columns = TILE_VECTORS * VLEN
    cdef Inner inner = across_panels(&b.block, &b.w.layout, &b.w.layout.candidate)
    cdef Back back = begin_back(b, s)
    gemm(s.k1 - s.k0, b.block.dz_rows + s.m, &inner, &b.w.candidate_back, Walk(s.u0, s.u1, False), b.block.zero_rows, 0,
         b.dreset_rows + s.n0, columns)
    for k in range(s.k0, s.k1):
        point_back(b, &back, s.t, rows[k], s.m + k - s.k0)
        if b.masks.state.threshold:
            multiply_row(b.dreset_rows[s.n0 + k - s.k0] + back.first, b.dreset_rows[s.n0 + k - s.k0] + back.first,
                         b.masks.of_state + rows[k] * b.w.P + back.first, back.end - back.first)
        gru_reset_backward(&back, b.dreset_rows[s.n0 + k - s.k0])


cdef void step_carry(Backward* b, const Span* s) noexcept nogil:
    """dh of the step before: after every unit's dz. Every other step goes from the last panel down, as forward."""
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t k, columns = TILE_VECTORS * VLEN, first = s.q0 * columns, c_first = s.u0 * columns
    cdef size_t width = (min(s.q1 * columns, b.carry_row) - first) * sizeof(real)
    cdef size_t c_width = (min(s.u1 * columns, b.state_row) - c_first) * sizeof(real)
    cdef Inner inner = across_panels(&b.block, &b.w.layout, &b.w.layout.state)
    cdef real** dh = b.dh_rows + s.n0
    cdef Asked nothing = Asked(NULL, 0, 0)
    cdef Asked* asked = list_before(b, s) if tiles_ask(b, s) else &nothing
    for k in range(s.k0, s.k1):
        dh[k - s.k0] = b.dh + rows[k] * b.carry_row
    if b.masks.state.threshold:
        carry_masked(b, s, rows, &inner, asked)
    elif b.w.layout.state.vectors:
        gemm_asking(s.k1 - s.k0, b.dz_state + s.m, &inner, &b.w.state_back, Walk(s.q0, s.q1, s.t & 1),
                    <const_row*>dh, columns, dh, columns, asked)
    for k in range(s.k0, s.k1):
        if previous_of(b, s.t, rows[k]) == ZERO:
            memset(b.dh + rows[k] * b.carry_row + first, 0, width)
            memset(b.dc + rows[k] * b.state_row + c_first, 0, c_width)


cdef struct Descent:
    # the steps s_high, s_high - 1, ..., s_low of a block, in the order of the forward pass
    Backward* b
    Py_ssize_t s_high, s_low
    Py_ssize_t s, m     # of the split by units: the step under work, and where its rows begin in the block


cdef Py_ssize_t descend_rows(const Descent* d, Py_ssize_t n0, Py_ssize_t n1) noexcept nogil:
    """All steps of a block for some of the pass's rows of the batch; return the rows of the whole block."""
    cdef Backward* b = d.b
    cdef const Steps* steps = b.steps
    cdef Py_ssize_t s, M = 0
    cdef Span span
    span.n0, span.q0, span.q1, span.u0, span.u1 = n0, 0, carry_panels(b), 0, unit_panels(b)
    for s in range(d.s_high, d.s_low - 1, -1):
        span.t = time_of(s, steps.T, b.reverse)
        span.k0, span.k1 = place_of(steps, span.t, n0), place_of(steps, span.t, n1)
        span.m = M + span.k0 - place_of(steps, span.t, b.n0)
        if b.w.projected:
            step_arrived(b, &span)
            step_projection(b, &span)
        step_gates(b, &span, True)
        if b.w.layout.candidate.vectors:
            step_candidate(b, &span)
        step_carry(b, &span)
        M += place_of(steps, span.t, b.n1) - place_of(steps, span.t, b.n0)
    return M


cdef void rows_share(void* argument, int share, int rank) noexcept nogil:
    cdef Descent* d = <Descent*>argument
    cdef int N = <int>d.b.steps.N, shares = d.b.block.shares
    descend_rows(d, share_end(N, shares, share - 1), share_end(N, shares, share))


cdef Span units_of(const Descent* d, int share) noexcept nogil:
    """A share of the units of the step under work."""
    cdef Span span
    cdef const Backward* b = d.b
    span.t = time_of(d.s, b.steps.T, b.reverse)
    span.n0, span.k0, span.k1, span.m = 0, 0, count_at(b.steps, span.t), d.m
    span.q0 = share_end(carry_panels(b), b.block.shares, share - 1)
    span.q1 = share_end(carry_panels(b), b.block.shares, share)
    span.u0 = share_end(unit_panels(b), b.block.shares, share - 1)
    span.u1 = share_end(unit_panels(b), b.block.shares, share)
    return span


cdef void gates_share(void* argument, int share, int rank) noexcept nogil:
    """The gates of a step or, where these wait for the whole gradient of h, a share of that."""
    cdef Descent* d = <Descent*>argument
    cdef Span span = units_of(d, share)
    if d.b.w.projected:
        step_arrived(d.b, &span)
    else:
        step_gates(d.b, &span, share == 0)


cdef void candidate_share(void* argument, int share, int rank) noexcept nogil:
    cdef Descent* d = <Descent*>argument
    cdef Span span = units_of(d, share)
    step_candidate(d.b, &span)


cdef void carry_share(void* argument, int share, int rank) noexcept nogil:
    """The carry of one step, then, the same units being done with it, the gates of the step before in the block."""
    cdef Descent* d = <Descent*>argument
    cdef Span span = units_of(d, share)
    cdef Descent before = d[0]
    step_carry(d.b, &span)
    if d.s > d.s_low:
        before.s, before.m = d.s - 1, d.m + count_at(d.b.steps, span.t)
        gates_share(&before, share, rank)


cdef Py_ssize_t descend_by_units(Descent* d) noexcept nogil:
    """All steps of a block, the units of each shared out; return the rows of the block."""
    cdef Backward* b = d.b
    d.s, d.m = d.s_high, 0
    run_phase(b.block.team, gates_share, d, b.block.shares)
    while True:
        if b.w.projected:
            run_phase(b.block.team, projection_share, d, b.block.shares)
        if b.w.layout.candidate.vectors:
            run_phase(b.block.team, candidate_share, d, b.block.shares)
        run_phase(b.block.team, carry_share, d, b.block.shares)
        d.m += count_at(b.steps, time_of(d.s, b.steps.T, b.reverse))
        if d.s == d.s_low:
            return d.m
        d.s -= 1


cdef Py_ssize_t descend(Backward* b, Py_ssize_t s_high, Py_ssize_t s_low) noexcept nogil:
    """The time loop over one block; return its rows."""
    cdef Descent d = Descent(b, s_high, s_low, 0, 0)
    cdef Py_ssize_t s, M = 0
    if b.split == BY_UNITS:
        return descend_by_units(&d)
    if b.split == ALONE:
        return descend_rows(&d, b.n0, b.n1)
    run_phase(b.block.team, rows_share, &d, b.block.shares)
    for s in range(s_low, s_high + 1):
        M += count_at(b.steps, time_of(s, b.steps.T, b.reverse))
    return M


cdef struct Finish:
    Backward* b
    Py_ssize_t M    # rows of the block


cdef void scatter_share(void* argument, int share, int rank) noexcept nogil:
    """A share of the panels: the gradient of a gathered row adds up in the order of the block."""
    cdef Finish* job = <Finish*>argument
    cdef Backward* b = job.b
    cdef const Layout* a = &b.w.layout
    cdef Py_ssize_t m, unit
    cdef int p, v, n, first = share_end(a.count, b.block.shares, share - 1)
    cdef real* to
    cdef real* row
    cdef vec scale
    for m in range(job.M):
        scale = v_set(scale_of(&b.masks, b.n_of[m],
                               b.symbols[b.t_of[m] * b.symbol_rows.t_step + b.n_of[m] * b.symbol_rows.n_step]))
        row = <real*>b.d_ih.data + b.ids[b.t_of[m] * b.x.t_step + b.n_of[m] * b.x.n_step] * b.d_ih.k_step
        for p in range(first, share_end(a.count, b.block.shares, share)):
            for v in range(part_vectors(a, &a.input, p)):
                unit = unit_of(a, p, v)
                n = lanes(a.H, unit)
                to = row + a.order[v] * a.H + unit
                v_store_n(to, v_fma(scale, v_load(b.block.dz + (p * b.block.rows + m) * a.width * VLEN + v * VLEN),
                                    v_load_n(to, n)), n)


cdef void peephole_share(void* argument, int share, int rank) noexcept nogil:
    """The gradients of the peepholes of a share of the panels: i and f saw c of the step before, o the new one."""
    cdef Finish* job = <Finish*>argument
    cdef Backward* b = job.b
    cdef Py_ssize_t m, j, row = b.w.layout.width * VLEN
    cdef int p, k, n
    cdef vec total
    cdef real* to
    cdef const real* dz
    cdef const_row* seen
    for p in range(share_end(b.w.layout.count, b.block.shares, share - 1),
                   share_end(b.w.layout.count, b.block.shares, share)):
        j = p * VLEN
        n = lanes(b.w.H, j)
        for k in range(3):
            to = b.d_peephole + k * b.w.H + j
            dz = b.block.dz + p * b.block.rows * row + (3 if k == 2 else k) * VLEN
            seen = b.c if k == 2 else b.c_prev
            total = v_load_n(to, n)
            for m in range(job.M):
                total = v_fma(v_load(dz + m * row), v_load_n(seen[m] + j, n), total)
            v_store_n(to, total, n)


cdef void send_share(void* argument, int share, int rank) noexcept nogil:
    """dx = dz Wᵀ for a share of the rows of a block."""
    cdef Finish* job = <Finish*>argument
    cdef Backward* b = job.b
    cdef Py_ssize_t m, i, first = share_end(<int>job.M, b.block.shares, share - 1)
    cdef Py_ssize_t end = share_end(<int>job.M, b.block.shares, share)
    cdef real* to
    cdef Inner inner = across_panels(&b.block, &b.w.layout, &b.w.layout.input)
    gemm(end - first, b.dz_input + first, &inner, &b.w.input_back, Walk(0, b.w.input_back.count, False),
         b.block.zero_rows, 0, b.dx_rows + first, TILE_VECTORS * VLEN)
    for m in range(first, end):
        if m + AHEAD < end:
            prefetch_row(row_at(&b.dx, b.t_of[m + AHEAD], b.n_of[m + AHEAD]), b.w.I)
        to = row_at(&b.dx, b.t_of[m], b.n_of[m])
        if b.masks.input.threshold:
            multiply_row(b.dx_rows[m], b.dx_rows[m], b.masks.of_input + b.n_of[m] * b.w.I, b.w.I)
        if b.add:
            for i in range(b.w.I):
                to[i] += b.dx_rows[m][i]
        else:
            copy_row(to, b.dx_rows[m], b.w.I)


cdef void end_block(Backward* b, Py_ssize_t M, bint last) noexcept nogil:
    """Multiply a block of M rows out; the last one gives the gradients of the weights."""
    cdef const Layout* a = &b.w.layout
    cdef const Lie* d_ih = &b.d_ih if last else NULL
    cdef const Lie* d_hh = &b.d_hh if last else NULL
    cdef Finish job = Finish(b, M)
    cdef Block state = b.block
    cdef Py_ssize_t m
    for m in range(M if b.ids == NULL else 0):
        b.x_rows[m] = row_at(&b.x, b.t_of[m], b.n_of[m])
    if b.masks.drawn:
        run_phase(b.block.team, see_share, &job, b.block.shares)
    if b.w.normed:
        state.dz = b.dproducts
    if a.state.vectors:
        add_weights(&state, a, &a.state, b.h_prev, M, b.w.P, &b.state, d_hh)
    if b.w.projected:
        add_weights(&b.projection, &b.w.project_layout, &b.w.project_layout.state, b.hidden_rows, M, b.w.H, &b.project,
                    &b.d_hr if last else NULL)
    if a.candidate.vectors:
        add_weights(&b.block, a, &a.candidate, b.reset_h, M, b.w.H, &b.candidate, d_hh)
    if not b.w.normed:
        add_bias(&b.block, a, M)
    if b.d_peephole != NULL:
        run_phase(b.block.team, peephole_share, &job, b.block.shares)
    if b.ids != NULL:
        run_phase(b.block.team, scatter_share, &job, b.block.shares)
        return
    add_weights(&b.block, a, &a.input, b.x_rows, M, b.w.I, &b.input, d_ih)
    if b.dx.data != NULL:
        run_phase(b.block.team, send_share, &job, b.block.shares)


cdef void run_backward(void* argument, int task, int rank) noexcept nogil:
    """Number `task` of an array of passes, from the last step to the first."""
    cdef Backward* b = <Backward*>argument + task
    cdef unsigned int mode = denormals_flush()
    start_backward(b)
    run_steps(b, 0, b.steps.T)
    end_backward(b)
    denormals_restore(mode)


cdef void run_steps(Backward* b, Py_ssize_t s0, Py_ssize_t s1) noexcept nogil:
    """The steps s1 - 1, ..., s0, in the order of the forward pass: what it left of them is at hand."""
    cdef Py_ssize_t n, low, high = s1 - 1
    b.projection.team = b.block.team
    b.t0 = b.steps.T - s1 if b.reverse else s0
    b.t1 = b.t0 + s1 - s0
    b.previous = b.previous_room - b.t0 * (b.n1 - b.n0) - b.n0
    for n in range(b.n0, b.n1):
        b.last[n] = INITIAL if b.last0 == NULL else b.last0[n]
    list_previous(b.steps, b.reverse, s0, s1, b.n0, b.n1, b.last, b.previous)
    while high >= s0:
        low = max(high - b.block_steps + 1, s0)
        end_block(b, descend(b, high, low), low == 0)
        b.block.fresh = b.projection.fresh = False
        high = low - 1
    if b.steps.T == 0:
        end_block(b, 0, True)


cdef void end_backward(Backward* b) noexcept nogil:
    """Give the gradients of the biases, which have added up, and of the initial state."""
    cdef const Pack* w = b.w
    cdef Py_ssize_t n, H = w.H, P = w.P
    if w.normed:
        give_norms(b)
    if b.db_ih != NULL:
        give_bias(&w.layout, w.cell == GRU, b.block.bias, b.db_ih, b.db_hh)
    for n in range(b.n0, b.n1):
        memcpy(b.dh0 + n * P, b.dh + n * b.carry_row, P * sizeof(real))
        if b.dc0 != NULL:
            memcpy(b.dc0 + n * H, b.dc + n * b.state_row, H * sizeof(real))
