# The forward pass of one layer and direction over a whole sequence: time in chunks, whose input projection stays in
# cache; in each step panel by panel, a register tile of pre-activations at a time, ended by the cell's gates.

cdef enum:
    GROUP_ROWS = 24  # rows whose tiles are finished before their gates: a multiple of every TILE_ROWS


cdef class Kept:
    """What the backward pass needs of one layer and direction."""
    cdef readonly cnp.ndarray h         # [T, N, H] rows anywhere
    cdef readonly cnp.ndarray c         # [T, N, H], LSTM
    cdef readonly cnp.ndarray gates     # [T, N, saved, H]
    cdef readonly cnp.ndarray x         # as given to forward
    cdef Plan plan
    cdef const real* h0                 # [N, H], or NULL for zeros
    cdef const real* c0
    cdef object initial                 # what keeps them alive
    cdef bint reverse


cdef struct Forward:
    # one call: its shape, its arrays and its workspace
    Py_ssize_t T, N, I, H, chunk    # chunk: steps whose input is projected at once
    bint reverse
    Rows x, y, h_kept, c_kept, gates_kept
    const int64_t* ids              # IN  [T, N] by the strides of x, or NULL
    bint keep
    real* z                         # [panel][chunk * N][width * VLEN]: bias and the input's share
    real** z_rows                   # [chunk * N] -> panel 0
    const_row* x_rows               # [chunk * N] -> [I]
    const_row* bias_rows            # [chunk * N] -> the bias, every row the same
    real* x_copy                    # [chunk * N, I] where the rows of x lie apart
    real* stack                     # [GROUP_ROWS][TILE_STEP * VLEN]: tiles on their way to the gates
    real** stack_rows               # [GROUP_ROWS]
    const_row* h_now                # [N] -> [H], each row's state
    const_row* c_now                # [N] -> [H]
    int32_t* last                   # [N]: the row's latest real step
    real* h_pair                    # [2, N, H]: states of inference, written in turn
    real* c_own                     # [N, H]
    real* zeros                     # [H]
    const_row* reset_rows           # [N] -> [H]
    Step step


cdef void place_forward(Forward* f, Weights w, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t N = f.N, M = f.chunk * f.N, H = f.H
    f.z = <real*>carve(space, M * a.count * a.width * VLEN * sizeof(real))
    f.z_rows = <real**>carve(space, M * sizeof(real*))
    f.x_rows = <const_row*>carve(space, M * sizeof(real*))
    f.bias_rows = <const_row*>carve(space, M * sizeof(real*))
    f.x_copy = <real*>carve(space, M * f.I * sizeof(real) if f.ids == NULL else 0)
    f.stack = <real*>carve(space, GROUP_ROWS * TILE_STEP * VLEN * sizeof(real))
    f.stack_rows = <real**>carve(space, GROUP_ROWS * sizeof(real*))
    f.h_now = <const_row*>carve(space, N * sizeof(real*))
    f.c_now = <const_row*>carve(space, N * sizeof(real*))
    f.last = <int32_t*>carve(space, N * sizeof(int32_t))
    f.h_pair = <real*>carve(space, 0 if f.keep else 2 * N * H * sizeof(real))
    f.c_own = <real*>carve(space, 0 if f.keep else N * H * sizeof(real))
    f.zeros = <real*>carve(space, H * sizeof(real))
    f.reset_rows = <const_row*>carve(space, N * sizeof(real*))
    f.step.reset_h = <real*>carve(space, N * H * sizeof(real) if a.candidate.vectors else 0)
    f.step.h_prev = <const_row*>carve(space, N * sizeof(real*))
    f.step.c_prev = <const_row*>carve(space, N * sizeof(real*))
    f.step.h = <real**>carve(space, N * sizeof(real*))
    f.step.c = <real**>carve(space, N * sizeof(real*))
    f.step.y = <real**>carve(space, N * sizeof(real*))
    f.step.gates = <real**>carve(space, N * sizeof(real*))


cdef inline Py_ssize_t chunk_steps(const Layout* a, Py_ssize_t T, Py_ssize_t N) noexcept nogil:
    """Steps projected at once: rows that share a read of the input weights, few enough to stay in cache."""
    cdef Py_ssize_t rows = 393216 // (a.count * a.width * VLEN * <Py_ssize_t>sizeof(real))
    rows = min(max(rows, 48), 192)
    return min(max(rows // max(N, 1), 1), max(T, 1))


cdef void start_forward(Forward* f, Weights w, const real* h0, const real* c0) noexcept nogil:
    """Fill what stays the same through the call."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t m, n, p, M = f.chunk * f.N, row = a.width * VLEN
    memset(f.zeros, 0, f.H * sizeof(real))
    f.step.H, f.step.activation = f.H, w.activation
    f.step.input_step = M * row
    for m in range(M):
        f.z_rows[m] = f.z + m * row
        f.bias_rows[m] = w.bias
        if w.cell == GRU:  # s = U_n h' + b_hn takes no input
            for p in range(a.count):
                v_store(f.z_rows[m] + p * M * row + 3 * VLEN, v_load(w.bias + p * row + 3 * VLEN))
    for m in range(GROUP_ROWS):
        f.stack_rows[m] = f.stack + m * TILE_STEP * VLEN
    for n in range(f.N):
        f.h_now[n] = f.c_now[n] = f.zeros
        if h0 != NULL:
            f.h_now[n] = h0 + n * f.H
        if c0 != NULL:
            f.c_now[n] = c0 + n * f.H
        f.last[n] = INITIAL
        f.reset_rows[n] = f.step.reset_h + n * f.H


cdef inline Py_ssize_t time_of(Py_ssize_t s, Py_ssize_t T, bint reverse) noexcept nogil:
    """Time of the s-th step processed."""
    return T - 1 - s if reverse else s


cdef void project_input(Forward* f, Weights w, Plan plan, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """z = bias + W x for the real rows of the steps begin ... end - 1."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t s, t, n, k, M = 0, I = f.I
    cdef bint apart = a.count > 1 and f.x.n_step != I
    cdef Inner inner = run_of(I)
    for s in range(begin, end):
        t = time_of(s, f.T, f.reverse)
        for k in range(plan.count_at(t)):
            n = plan.rows_at(t)[k]
            if f.ids != NULL:
                gather_row(f, w, f.ids[t * f.x.t_step + n * f.x.n_step], f.z_rows[M])
            elif apart:
                if k + AHEAD < plan.count_at(t):
                    prefetch_row(row_at(&f.x, t, plan.rows_at(t)[k + AHEAD]), I)
                copy_row(f.x_copy + M * I, row_at(&f.x, t, n), I)
                f.x_rows[M] = f.x_copy + M * I
            else:
                f.x_rows[M] = row_at(&f.x, t, n)
            M += 1
    if f.ids == NULL:
        gemm(M, f.x_rows, &inner, &w.input, f.bias_rows, a.width * VLEN, f.z_rows, f.step.input_step)


cdef void gather_row(const Forward* f, Weights w, Py_ssize_t symbol, real* z) noexcept nogil:
    """z OUT: the product with a one-hot row is a row of the weights."""
    cdef Layout* a = &w.layout
    cdef const real* row = w.rows + symbol * a.gates * a.H
    cdef const real* bias = w.bias
    cdef Py_ssize_t unit
    cdef int p, v, n
    for p in range(a.count):
        for v in range(part_vectors(a, &a.input, p)):
            unit = unit_of(a, p, v)
            v_store(z + v * VLEN, v_load(bias + v * VLEN) + v_load_n(row + a.order[v] * a.H + unit, lanes(a.H, unit)))
        z += f.step.input_step
        bias += a.width * VLEN


cdef bint begin_step(Forward* f, Plan plan, Py_ssize_t t) noexcept nogil:
    """Point the step at its rows' states and outputs; return whether any row has a state that is not zero."""
    cdef Step* s = &f.step
    cdef Py_ssize_t k, n, H = f.H
    cdef const int32_t* rows = plan.rows_at(t)
    cdef bint started = False
    for k in range(plan.count_at(t)):
        n = rows[k]
        if plan.resets != NULL and restarts(plan, f.reverse, t, n, f.last[n]):
            f.h_now[n] = f.c_now[n] = f.zeros
        f.last[n] = <int32_t>t
        s.h_prev[k], s.c_prev[k] = f.h_now[n], f.c_now[n]
        started = started or s.h_prev[k] != f.zeros
        if f.keep:
            s.h[k] = row_at(&f.h_kept, t, n)
            s.c[k] = row_at(&f.c_kept, t, n)
            if s.gates != NULL:
                s.gates[k] = row_at(&f.gates_kept, t, n)
        else:
            s.h[k] = f.h_pair + n * H
            if s.h_prev[k] == s.h[k]:
                s.h[k] += f.N * H
            s.c[k] = f.c_own + n * H
        s.y[k] = row_at(&f.y, t, n)
        f.h_now[n], f.c_now[n] = s.h[k], s.c[k]
    return started


cdef void advance_step(Forward* f, Py_ssize_t s) noexcept nogil:
    """Step on where every row is real and none restarts: as begin_step, but no row needs to be looked at."""
    cdef Step* step = &f.step
    cdef Py_ssize_t n, H = f.H, forward = -1 if f.reverse else 1
    cdef real* pair = f.h_pair + (s % 2) * f.N * H
    for n in range(f.N):
        step.h_prev[n] = step.h[n]
        step.y[n] += forward * f.y.t_step
    if f.keep:
        for n in range(f.N):
            step.c_prev[n] = step.c[n]
            step.h[n] += forward * f.h_kept.t_step
            step.c[n] += forward * f.c_kept.t_step
        if step.gates != NULL:
            for n in range(f.N):
                step.gates[n] += forward * f.gates_kept.t_step
    else:
        for n in range(f.N):
            step.c_prev[n] = step.c[n]
            step.h[n] = pair + n * H


cdef void sweep(Forward* f, Weights w, const Part* part, const Panels* b, const_row* h, int count, bint started,
                gates_forward gates) noexcept nogil:
    """Add the product of the rows h with a part's weights to the input's share, and end the tiles by the gates.

    Rows without a state skip the product. Few rows take several panels to a group, many rows several groups to a panel.
    """
    cdef Layout* a = &w.layout
    cdef Inner inner = run_of(f.H if started else 0)
    cdef Group group
    cdef int p, m, row, most_panels = max(GROUP_ROWS // max(count, 1), 1)
    inner.b_step = b.row_step
    for p from 0 <= p < a.count by most_panels:
        group.panel, group.panels = p, min(most_panels, a.count - p)
        for row from 0 <= row < count by GROUP_ROWS:
            group.row, group.rows = row, min(GROUP_ROWS, count - row)
            for m in range(row, row + group.rows):
                prefetch_row(f.step.y[m] + p * a.units * VLEN, group.panels * a.units * VLEN)
            multiply(f, part, b, &inner, h + row, &group)
            gates(&f.step, &group, f.stack)


cdef void multiply(Forward* f, const Part* part, const Panels* b, const Inner* inner, const_row* h,
                   const Group* group) noexcept nogil:
    """The tiles of a group, into the stack; h IN [group.rows] -> [H]"""
    cdef int p, m, vectors, most, q = 0, offset = part.first * VLEN
    cdef const_row* inputs = f.step.inputs + group.row
    cdef real** out
    cdef PanelSteps step
    step.b, step.init, step.out = b.panel_step, f.step.input_step, TILE_STEP * VLEN
    while q < group.panels:
        p = group.panel + q
        vectors = panel_vectors(b, p)
        out = f.stack_rows + q * group.rows
        if group.rows == 1 and q + 1 < group.panels and panel_vectors(b, p + 1) == vectors:
            tile_pair(vectors, h, 0, b.data + p * b.panel_step, inner, inputs, p * f.step.input_step + offset,
                      out, offset, step)
            q += 2
            continue
        most = tile_rows(vectors)
        for m from 0 <= m < group.rows by most:
            tile(min(most, group.rows - m), vectors, h + m, 0, b.data + p * b.panel_step, inner,
                 inputs + m, p * f.step.input_step + offset, out + m, offset)
        q += 1


cdef void run_forward(Forward* f, Weights w, Plan plan) noexcept nogil:
    cdef Layout* a = &w.layout
    cdef Py_ssize_t begin, s, t, m
    cdef int count
    cdef bint started
    for begin from 0 <= begin < f.T by f.chunk:
        project_input(f, w, plan, begin, min(begin + f.chunk, f.T))
        m = 0
        for s in range(begin, min(begin + f.chunk, f.T)):
            t = time_of(s, f.T, f.reverse)
            count = <int>plan.count_at(t)
            if s > 0 and plan.full and plan.resets == NULL:
                advance_step(f, s)
                started = True
            else:
                started = begin_step(f, plan, t)
            f.step.inputs = <const_row*>f.z_rows + m
            if a.candidate.vectors:
                sweep(f, w, &a.state, &w.state, f.step.h_prev, count, started, gru_reset_forward)
                sweep(f, w, &a.candidate, &w.candidate, f.reset_rows, count, started,
                      CELLS[w.cell].forward)
            else:
                sweep(f, w, &a.state, &w.state, f.step.h_prev, count, started, CELLS[w.cell].forward)
            m += count
    if f.T > 0 and plan.full and plan.resets == NULL:
        for m in range(f.N):
            f.h_now[m], f.c_now[m] = f.step.h[m], f.step.c[m]


cdef Kept forward_layer(Weights w, Plan plan, cnp.ndarray x, const real* h0, const real* c0, bint reverse, Rows y,
                        real* h_final, real* c_final, Kept kept):
    """Run one layer and direction.

    x IN real [T, N, I] or int64 [T, N]; h0, c0 IN [N, H] or NULL; y OUT [T, N, H], untouched at padded steps;
    h_final, c_final OUT [N, H], c_final of an LSTM only; kept OUT: where to leave what the backward pass needs, or None.
    """
    cdef Forward f
    cdef char* space = NULL
    cdef Py_ssize_t n, T = plan.T, N = plan.N, H = w.H
    cdef unsigned int mode
    memset(&f, 0, sizeof(Forward))
    f.T, f.N, f.I, f.H, f.reverse, f.keep, f.y = T, N, w.I, H, reverse, kept is not None, y
    if x.ndim == 2:
        f.ids = <const int64_t*>cnp.PyArray_DATA(x)
        f.x.t_step, f.x.n_step = x.strides[0] // 8, x.strides[1] // 8
    else:
        f.x = rows_of(x)
        w.need_input()
    if kept is not None:
        f.h_kept = rows_of(kept.h)
        if kept.c is not None:
            f.c_kept = rows_of(kept.c)
        if kept.gates is not None:
            f.gates_kept = rows_of(kept.gates)
    f.chunk = chunk_steps(&w.layout, T, N)
    place_forward(&f, w, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_forward(&f, w, &space)
    if kept is None or kept.gates is None:
        f.step.gates = NULL
    with nogil:
        mode = denormals_flush()
        start_forward(&f, w, h0, c0)
        run_forward(&f, w, plan)
        for n in range(N):
            copy_row(h_final + n * H, f.h_now[n], H)
            if c_final != NULL:
                copy_row(c_final + n * H, f.c_now[n], H)
        denormals_restore(mode)
    return kept


cdef Kept new_kept(Weights w, Plan plan, x, const real* h0, const real* c0, initial, bint reverse, cnp.ndarray h):
    """Room for what a forward pass leaves to its backward pass; h [T, N, H]: its output, where that is the engine's own."""
    cdef Kept kept = Kept.__new__(Kept)
    cdef Cell* cell = &CELLS[w.cell]
    kept.x, kept.plan, kept.reverse = x, plan, reverse
    kept.h0, kept.c0, kept.initial = h0, c0, initial
    kept.h = pooled((plan.T, plan.N, w.H)) if h is None else h
    kept.c = pooled((plan.T, plan.N, w.H)) if cell.has_c else None
    kept.gates = pooled((plan.T, plan.N, cell.saved, w.H)) if cell.saved else None
    return kept
