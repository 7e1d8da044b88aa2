# The input's share of the pre-activations: of all steps of a chunk at once, or panel by panel within a step.

cdef inline bint masks_input(const Forward* f) noexcept nogil:
    """Whether rows of x are copied behind a mask; ids are scaled as their rows of weights are gathered."""
    return f.ids == NULL and f.masks.input.threshold != 0


cdef void project_input(Forward* f, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """z = bias + W x for the run's real rows of the steps begin ... end - 1."""
    cdef const Pack* w = f.w
    cdef Py_ssize_t M
    f.together = False
    if f.ids != NULL:
        gather_input(f, begin, end)
        return
    M = list_input(f, begin, end)
    if w.storage != FULL_PRECISION:
        round_rows(w, &f.rounded_x, f.x_rows, M, w.I)
    if steps_together(f, M):
        f.together = True
    elif w.storage != FULL_PRECISION:
        project_low(f, M)
    else:
        share_product(f.team, f.shares, M, f.x_rows, run_of(w.I), &w.input, f.bias_rows, w.layout.width * VLEN, f.z_rows,
                      f.step.input_step)


cdef enum:
    NEAR_WEIGHTS = 786432  # bytes of both matrices: as many stay in the second cache from one step to the next
    TOGETHER = 2           # panels of either matrix in turn: a single one would be read more slowly
    NEAR_PANELS = 1 << 19  # bytes of these: more would leave the second cache no room for those of the step before


cdef inline bint steps_together(const Forward* f, Py_ssize_t M) noexcept nogil:
    """Whether the only step of a chunk is to project its M rows of x itself, panel by panel: where so few rows read all
    weights from afar, of either matrix those that the step before read last are near."""
    cdef const Pack* w = f.w
    cdef Py_ssize_t panels = (w.input.panel_step + w.state.panel_step) * <Py_ssize_t>sizeof(real)
    return (f.chunk == 1 and M <= TILE_ROWS and w.layout.count * panels > NEAR_WEIGHTS and TOGETHER * panels <= NEAR_PANELS
            and not w.normed and not w.layout.candidate.vectors)


cdef void project_group(const Forward* f, const Group* group) noexcept nogil:
    """z of all rows of the step in a group's panels."""
    cdef Walk walk = Walk(group.panel, group.panel + group.panels, f.turned)
    cdef Inner inner
    if f.w.storage != FULL_PRECISION:
        project_low_panels(f, group.rows, walk)
    else:
        inner = run_of(f.w.I)
        gemm(group.rows, f.x_rows, &inner, &f.w.input, walk, f.bias_rows, f.w.layout.width * VLEN, f.z_rows, f.step.input_step)


cdef Py_ssize_t list_input(Forward* f, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Point at the rows of x of these steps, copies where they are masked; return how many they are."""
    cdef const Steps* steps = f.steps
    cdef Py_ssize_t s, t, n, k, first, count, M = 0, I = f.w.I, n_step = f.x.n_step
    cdef bint masked = masks_input(f)
    cdef const int32_t* rows
    cdef const real* x
    for s in range(begin, end):
        t = time_of(s, steps.T, f.reverse)
        first = place_of(steps, t, f.n0)
        rows, count, x = rows_at(steps, t) + first, place_of(steps, t, f.n1) - first, row_at(&f.x, t, 0)
        for k in range(count):
            f.x_rows[M + k] = x + rows[k] * n_step
        for k in range(count if masked else 0):
            n = rows[k]
            multiply_row(f.x_masked + (M + k) * I, f.x_rows[M + k], f.masks.of_input + n * I, I)
            f.x_rows[M + k] = f.x_masked + (M + k) * I
        M += count
    return M


cdef void gather_input(const Forward* f, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """z of ids: no product is needed."""
    cdef const Steps* steps = f.steps
    cdef Py_ssize_t s, t, n, k, symbol, m = 0
    for s in range(begin, end):
        t = time_of(s, steps.T, f.reverse)
        for k in range(place_of(steps, t, f.n0), place_of(steps, t, f.n1)):
            n = rows_at(steps, t)[k]
            symbol = f.ids[t * f.x.t_step + n * f.x.n_step]
            gather_row(f, symbol, scale_of(&f.masks, n, symbol), f.z_rows[m])
            m += 1


cdef void gather_row(const Forward* f, Py_ssize_t symbol, real scale, real* z) noexcept nogil:
    """z OUT: the product with a one-hot row, which may be scaled, is a row of the weights."""
    if f.w.storage != FULL_PRECISION:
        gather_low(f, symbol, z)
        return
    cdef const Layout* a = &f.w.layout
    cdef const real* row = f.w.rows + symbol * a.gates * a.H
    cdef const real* bias = f.w.bias
    cdef Py_ssize_t unit
    cdef int p, v
    for p in range(a.count):
        for v in range(part_vectors(a, &a.input, p)):
            unit = unit_of(a, p, v)
            v_store(z + v * VLEN, v_fma(v_set(scale), v_load_n(row + a.order[v] * a.H + unit, lanes(a.H, unit)),
                                        v_load(bias + v * VLEN)))
        z += f.step.input_step
        bias += a.width * VLEN
