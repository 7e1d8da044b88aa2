# The forward pass of one layer and direction over a whole sequence: time in chunks, whose input projection stays in
# cache; in each step panel by panel, a register tile of pre-activations at a time, ended by the cell's gates. Cells
# without recurrent weights take a chunk's steps the other way round: see scan.pxi.
#
# Work is shared in one of two ways. A run steps some rows of the batch alone, so that several runs never wait for one
# another; or the panels of each step of the only run are shared out, where the batch is too small to be cut.

cdef enum:
    GROUP_ROWS = 32  # the most rows whose tiles are finished before their gates


cdef class Kept:
    """What the backward pass needs of one layer and direction, over all steps or those from time t0 on."""
    cdef public cnp.ndarray h         # [T, N, P] rows anywhere
    cdef public cnp.ndarray c         # [T, N, apart(H)], LSTM
    cdef public cnp.ndarray gates     # [T, N, saved, H]
    cdef public cnp.ndarray x         # as given to forward, from time x_t0 on
    cdef Py_ssize_t t0, x_t0
    cdef Plan plan
    cdef const real* h0                 # [N, P], or NULL for zeros
    cdef const real* c0
    cdef object initial                 # what keeps them alive
    cdef bint reverse


cdef enum:
    MOST_COMING = 8           # y, h, c, 4 gates and x
    MOST_ASKED = 4 * MOST_COMING + 2  # streams for a tile: 4 lines of each, the panel to come, and the end


cdef struct Coming:
    # rows that will be needed: those of a step's output, of what it keeps, or of its input
    const real* data          # [R, columns]
    Py_ssize_t n_step, columns


cdef struct Forward:
    # one run: its shape, its arrays and its workspace; R = n1 - n0
    const Pack* w
    const Steps* steps
    Py_ssize_t n0, n1               # its rows of the batch
    Py_ssize_t s0, s1               # its steps, in the order of the pass
    Py_ssize_t chunk                # steps whose input is projected at once
    bint reverse, keep
    bint turned                     # this step goes through its panels from the last to the first
    bint together                   # and multiplies x by each panel just before it multiplies h
    bint scan                       # panel by panel through the steps of a chunk
    bint far                        # what is read and written does not stay in cache
    bint far_sums                   # nor does the projected input
    Coming coming[MOST_COMING]      # then what comes next
    int comings
    Team* team                      # who shares out the panels of a step
    int shares                      # into so many
    Rows x, y, h_kept, c_kept, gates_kept
    const int64_t* ids              # IN  [T, N] by the strides of x, or NULL
    const real* h0                  # IN  [N, P] or NULL
    const real* c0                  # IN  [N, H] or NULL
    const int32_t* last0            # IN  [N] or NULL at the sequence's start: see `last`
    int32_t* last_final             # OUT [N] or NULL
    real* h_final                   # OUT [N, P]
    real* c_final                   # OUT [N, H] or NULL
    real* z                         # [panel, or share of a scan][chunk * R][width * VLEN]: bias and the input's share
    real** z_rows                   # [chunk * R] -> panel 0; of a scan [shares][chunk * R]
    const_row* x_rows               # [chunk * R] -> [I]
    const_row* bias_rows            # [chunk * R] -> the bias, every row the same
    real* x_masked                  # [chunk * R, I]: x behind its mask, where there is one
    real* stack                     # [shares][GROUP_ROWS][TILE_STEP * VLEN]: tiles on their way to the gates
    real** stack_rows               # [shares][GROUP_ROWS]
    const_row* h_now                # [R] -> [P], each row's state, while steps advance that of the step they began with
    const_row* c_now                # [R] -> [H]
    int32_t* last                   # [R]: the row's latest real step; before its first INITIAL, or ZERO without a state
    real* h_pair                    # [2, R, apart(P)]: states of inference, in turn; those of a scan are its outputs
    real* c_own                     # [R, apart(H)]
    real* zeros                     # [H, and a tile's columns]
    const_row* reset_rows           # [R] -> [H]
    real* hidden                    # [R, H]: what a projection reads, where there is one
    real* projected                 # [R, P rounded up to panels]: what it gives
    const_row* hidden_rows          # [R] -> [H]
    real** projected_rows           # [R]
    const_row* zero_rows            # [R] -> zeros
    real** h_out                    # [rows of a step] -> [P]: where the projected belongs
    real** y_out
    RoundedRows rounded_x           # of weights in low precision: the rows to be multiplied, of a chunk's x
    RoundedRows rounded             # and of a step's h
    real* products                  # [R][panel][width * VLEN]: U h' before its norm, where there is one
    real** product_rows             # [R] -> the vectors that the state feeds
    real* sums                      # [shares][group_tiles][TILE_STEP * VLEN]: normalised, on their way to the gates
    Masks masks
    real* h_seen                    # [R, P]: behind the state's mask, where there is one
    real* c_before                  # [R, H]: states before the step of inference with zoneout
    Step step


cdef void place_forward(Forward* f, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured."""
    cdef const Layout* a = &f.w.layout
    cdef Py_ssize_t R = f.n1 - f.n0, M = f.chunk * R, H = f.w.H, own = 0 if f.keep else R
    cdef Py_ssize_t at_once = M if f.scan else R  # rows whose states and outputs are pointed at
    f.z = <real*>carve(space, M * (f.shares if f.scan else a.count) * a.width * VLEN * sizeof(real))
    f.z_rows = <real**>carve(space, M * lists_of(f) * sizeof(real*))
    f.x_rows = <const_row*>carve(space, M * sizeof(real*))
    f.bias_rows = <const_row*>carve(space, M * sizeof(real*))
    f.x_masked = <real*>carve(space, M * f.w.I * sizeof(real) if masks_input(f) else 0)
    f.stack = <real*>carve(space, f.shares * GROUP_ROWS * TILE_STEP * VLEN * sizeof(real))
    f.stack_rows = <real**>carve(space, f.shares * GROUP_ROWS * sizeof(real*))
    f.h_now = <const_row*>carve(space, R * sizeof(real*))
    f.c_now = <const_row*>carve(space, R * sizeof(real*))
    f.last = <int32_t*>carve(space, R * sizeof(int32_t))
    f.h_pair = <real*>carve(space, 2 * own * apart(f.w.P) * sizeof(real))
    f.c_own = <real*>carve(space, own * apart(H) * sizeof(real))
    f.zeros = <real*>carve(space, (H + TILE_VECTORS * VLEN) * sizeof(real))
    f.reset_rows = <const_row*>carve(space, R * sizeof(real*))
    place_rounded(f, space)
    f.step.reset_h = <real*>carve(space, R * H * sizeof(real) if a.candidate.vectors else 0)
    f.step.h_prev = <const_row*>carve(space, at_once * sizeof(real*))
    f.step.c_prev = <const_row*>carve(space, at_once * sizeof(real*))
    f.step.h = <real**>carve(space, at_once * sizeof(real*))
    f.step.c = <real**>carve(space, at_once * sizeof(real*))
    f.step.y = <real**>carve(space, at_once * sizeof(real*))
    f.step.gates = <real**>carve(space, at_once * sizeof(real*))
    f.step.h_seen = <const_row*>carve(space, R * sizeof(real*)) if f.masks.state.threshold else f.step.h_prev
    if f.w.projected:
        place_projection(f, space)
    if f.w.normed:
        place_products(f, space)
    if f.masks.drawn:
        place_masks(&f.masks, f.w, f.n0, f.n1, f.ids != NULL, space)
        f.h_seen = <real*>carve(space, R * f.w.P * sizeof(real) if f.masks.state.threshold else 0)
    f.c_before = <real*>carve(space, R * H * sizeof(real) if overwrites_cells(f) else 0)


cdef inline Py_ssize_t lists_of(const Forward* f) noexcept nogil:
    """Lists of rows of z: each share of a scan has its own."""
    return f.shares if f.scan else 1


cdef enum:
    FAR_GATES = 1 << 22  # bytes of the gates of a tape: of more, in rows too short to ask for, each store would wait for its line


cdef inline bint passes_caches(const Forward* f) noexcept nogil:
    """Whether gates are stored past the caches: where a vector is a whole line, and this thread stores all of the run's."""
    cdef Py_ssize_t numbers = (f.s1 - f.s0) * f.steps.N * CELLS[f.w.cell].saved * f.w.H
    return (f.gates_kept.data != NULL and f.shares == 1 and numbers * <Py_ssize_t>sizeof(real) > FAR_GATES and f.w.H < FAR_COLUMNS
            and VLEN * sizeof(real) == LINE_BYTES and f.w.H % VLEN == 0 and starts_line(f.gates_kept.data))


cdef enum:
    FAR_WEIGHTS = 1 << 24  # bytes of both matrices: more comes from memory in every chunk


cdef inline Py_ssize_t chunk_steps(const Pack* w, Py_ssize_t T, Py_ssize_t R) noexcept nogil:
    """Steps projected at once: rows that share a read of the input weights, few enough to stay in cache, unless what is
    read is so much more."""
    cdef Py_ssize_t row = w.layout.count * w.layout.width * VLEN * <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t rows = min(max(393216 // row, 48 if row * (w.I + w.P) <= FAR_WEIGHTS else 192), 192)
    return min(max(rows // max(R, 1), 1), max(T, 1))


cdef enum:
    FAR_SUMS = 1 << 20  # bytes of a chunk's projected input: of more each tile's sums are asked for by the one before


cdef void start_forward(Forward* f) noexcept nogil:
    """Fill what stays the same through the run."""
    cdef const Pack* w = f.w
    cdef Py_ssize_t m, r, R = f.n1 - f.n0
    f.far_sums = f.chunk * R * w.layout.count * w.layout.width * VLEN * <Py_ssize_t>sizeof(real) > FAR_SUMS
    memset(f.zeros, 0, (w.H + TILE_VECTORS * VLEN) * sizeof(real))
    if f.gates_kept.data == NULL:
        f.step.gates = NULL
    f.step.stream = passes_caches(f)
    for m in range(f.shares * GROUP_ROWS):
        f.stack_rows[m] = f.stack + m * TILE_STEP * VLEN
    for r in range(R):
        f.h_now[r] = f.c_now[r] = f.zeros
        f.last[r] = f.last0[f.n0 + r] if f.last0 != NULL else ZERO if f.h0 == NULL else INITIAL
        if f.last[r] != ZERO:
            f.h_now[r] = f.h0 + (f.n0 + r) * w.P
            if f.c0 != NULL:
                f.c_now[r] = f.c0 + (f.n0 + r) * w.H
        f.reset_rows[r] = f.step.reset_h + r * w.H
        if w.projected:
            f.hidden_rows[r], f.projected_rows[r] = f.hidden + r * w.H, f.projected + r * projected_row(f)
            f.zero_rows[r] = f.zeros
        if w.normed:
            f.product_rows[r] = f.products + (r * w.layout.count * w.layout.width + w.layout.state.first) * VLEN
            f.zero_rows[r] = f.zeros
    if f.masks.drawn:
        start_masks(&f.masks, f.n0, f.n1)
    point_inputs(f)


cdef void point_inputs(Forward* f) noexcept nogil:
    """Point at what belongs to the parameters, and fill in what no input adds to: the GRU's s = U_n h' + b_hn."""
    cdef const Pack* w = f.w
    cdef const Layout* a = &w.layout
    cdef Py_ssize_t m, p, M = f.chunk * (f.n1 - f.n0), row = a.width * VLEN
    f.step.H, f.step.traits, f.step.norm = w.H, &w.traits, &w.norm if w.normed else NULL
    f.step.input_step = M * row
    for m in range(M * lists_of(f)):
        f.z_rows[m] = f.z + m * row
    for m in range(M):
        f.bias_rows[m] = w.bias
        if w.cell == GRU:
            for p in range(a.count):
                v_store(f.z_rows[m] + p * M * row + 3 * VLEN, v_load(w.bias + p * row + 3 * VLEN))


cdef inline Py_ssize_t time_of(Py_ssize_t s, Py_ssize_t T, bint reverse) noexcept nogil:
    """Time of the s-th step processed."""
    return T - 1 - s if reverse else s


cdef bint begin_step(Forward* f, Py_ssize_t t, int* count) noexcept nogil:
    """Point the step at its rows' states and outputs; return whether any row has a state that is not zero."""
    cdef Step* s = &f.step
    cdef const Steps* steps = f.steps
    cdef Py_ssize_t k, n, r, first = place_of(steps, t, f.n0), H = f.w.H
    cdef const int32_t* rows = rows_at(steps, t) + first
    cdef bint started = False
    count[0] = <int>(place_of(steps, t, f.n1) - first)
    for k in range(count[0]):
        n = rows[k]
        r = n - f.n0
        if steps.resets != NULL and restarts(steps, f.reverse, t, n, f.last[r]):
            f.h_now[r] = f.c_now[r] = f.zeros
        f.last[r] = <int32_t>t
        s.h_prev[k], s.c_prev[k] = f.h_now[r], f.c_now[r]
        started = started or s.h_prev[k] != f.zeros
        if f.keep:
            s.h[k] = row_at(&f.h_kept, t, n)
            s.c[k] = row_at(&f.c_kept, t, n)
            if s.gates != NULL:
                s.gates[k] = row_at(&f.gates_kept, t, n)
        else:
            s.h[k] = f.h_pair + r * apart(f.w.P)
            if s.h_prev[k] == s.h[k]:
                s.h[k] += (f.n1 - f.n0) * apart(f.w.P)
            s.c[k] = f.c_own + r * apart(H)
        s.y[k] = row_at(&f.y, t, n)
        if f.scan and not f.keep:
            s.h[k] = s.y[k]
        f.h_now[r], f.c_now[r] = s.h[k], s.c[k]
        if f.w.projected:
            aim_projection(f, k)
    return started


cdef void advance_step(Forward* f, int count, bint again) noexcept nogil:
    """Step on where the rows are those of the step before and none restarts: as begin_step, but no row needs to be looked
    at; `again`: that step was such a one too. Where a row is then is for settle_rows to say."""
    cdef Step* step = &f.step
    cdef Py_ssize_t r, R = count, half = (f.n1 - f.n0) * apart(f.w.P), forward = -1 if f.reverse else 1
    cdef const_row* before = step.h_prev
    for r in range(R):
        step.y[r] += forward * f.y.t_step
    if f.keep:
        for r in range(R):
            step.h_prev[r] = step.h[r]
            step.c_prev[r] = step.c[r]
            step.h[r] += forward * f.h_kept.t_step
            step.c[r] += forward * f.c_kept.t_step
        if step.gates != NULL:
            for r in range(R):
                step.gates[r] += forward * f.gates_kept.t_step
    elif not again:
        for r in range(R):
            step.h_prev[r], step.c_prev[r] = step.h[r], step.c[r]
            step.h[r] += half if step.h[r] < f.h_pair + half else -half
    else:  # the two lists of the pair change places
        step.h_prev, step.h = <const_row*>step.h, <real**>before
        if not f.masks.state.threshold:
            step.h_seen = step.h_prev
        if overwrites_cells(f):  # whose c' was put aside
            for r in range(R):
                step.c_prev[r] = step.c[r]


cdef void settle_rows(Forward* f, Py_ssize_t t, int count) noexcept nogil:
    """Write down the states of the rows of step t, from which steps have advanced."""
    cdef const int32_t* rows = rows_at(f.steps, t) + place_of(f.steps, t, f.n0)
    cdef Py_ssize_t k, r
    for k in range(count):
        r = rows[k] - f.n0
        f.h_now[r], f.c_now[r], f.last[r] = f.step.h[k], f.step.c[k], <int32_t>t


cdef struct Sweep:
    # the product of a step's rows h with a part's weights, and the gates that end its tiles
    Forward* f
    const Part* part
    const Panels* b
    const_row* h        # IN  [count] -> [H]
    int count
    bint started        # rows without a state skip the product
    gates_forward gates


cdef void sweep(Forward* f, const Part* part, const Panels* b, const_row* h, int count, bint started,
                gates_forward gates) noexcept nogil:
    """Add a product to the input's share of the step, and end the tiles by the gates."""
    if f.w.storage != FULL_PRECISION:
        round_rows(f.w, &f.rounded, h, count, f.w.H)
        h = f.rounded.row_of
    cdef Sweep s = Sweep(f, part, b, h, count, started, gates)
    if f.shares == 1:
        sweep_share(&s, 0, 0)
    else:
        run_phase(f.team, sweep_share, &s, f.shares)


cdef inline int rows_of_group(int count) noexcept nogil:
    """Rows of a group where there are `count`: as many in each, rather than a few in the last."""
    return <int>ceil_div(count, max(ceil_div(count, GROUP_ROWS), 1))


cdef void sweep_share(void* argument, int share, int rank) noexcept nogil:
    """One share of the panels. Few rows take several panels to a group, many rows several groups to a panel."""
    cdef Sweep* s = <Sweep*>argument
    cdef Forward* f = s.f
    cdef const Layout* a = &f.w.layout
    cdef Group group
    cdef int row, most_panels = max(GROUP_ROWS // max(s.count, 1), 1), most_rows = rows_of_group(s.count)
    cdef Walk walk = share_of_panels(a.count, f.shares, share, f.turned)
    if f.together:
        most_panels = TOGETHER
    while walk.low < walk.high:
        group.panels = min(most_panels, walk.high - walk.low)
        group.panel = take_panels(&walk, group.panels)
        for row from 0 <= row < s.count by most_rows:
            group.row, group.rows = row, min(most_rows, s.count - row)
            if f.together:
                project_group(f, &group)
            if s.part.vectors:
                multiply(s, &group, f.stack_rows + share * GROUP_ROWS)
            elif f.far:
                ask_ahead(f, group.panel, group.panels, group.row, group.rows)
            s.gates(&f.step, &group, f.stack + share * GROUP_ROWS * TILE_STEP * VLEN)


cdef void multiply(const Sweep* s, const Group* group, real** stack_rows) noexcept nogil:
    """The tiles of a group, into the stack."""
    cdef const Forward* f = s.f
    if f.w.storage != FULL_PRECISION:
        if f.far:
            ask_ahead(f, group.panel, group.panels, group.row, group.rows)
        multiply_low(s, group, stack_rows)
        return
    cdef const Step* step = &f.step
    cdef const Panels* b = s.b
    cdef const_row* h = s.h + group.row
    cdef const_row* inputs = step.inputs + group.row
    cdef int p, m, streams, vectors, most, count, offset = s.part.first * VLEN
    cdef int at_once = panels_at_once(b) if group.rows == 1 else 1
    cdef Walk walk = Walk(group.panel, group.panel + group.panels, f.turned)
    cdef real** out
    cdef Inner inner = run_of(f.w.P if s.started else 0)
    cdef Asked ahead
    cdef Asked asked[MOST_ASKED]
    cdef PanelSteps steps
    inner.b_step = b.row_step
    steps.b, steps.init, steps.out = b.panel_step, step.input_step, TILE_STEP * VLEN
    while walk.low < walk.high:
        count = next_panels(b, &walk, at_once)
        p = take_panels(&walk, count)
        vectors = panel_vectors(b, p)
        out = stack_rows + (p - group.panel) * group.rows
        if count > 1:
            tile_across(count, vectors, panel_fill(b, p + count - 1), h, 0, b.data + p * b.panel_step, &inner, inputs,
                        p * step.input_step + offset, out, offset, steps)
            continue
        most, m = tile_rows(registers_of(panel_fill(b, p), vectors)), 0
        # of several groups of rows the last asks: for the others the next panel is this one
        ahead = panel_ahead(b, coming_panel(&walk), 0,
                            inner.run if group.row + group.rows == s.count else 0)
        while m < group.rows:
            count = next_rows(group.rows - m, most)
            streams = list_ahead(f, asked, p, group.row + m, count) if f.far else 0
            asked[streams] = take_lines(&ahead, max(inner.run - streams * count, 0) if m else 0)
            asked[streams + 1].lines = 0
            if f.far_sums:
                ask_sums(s, group, m + count, most, p, coming_panel(&walk))
            tile(count, vectors, panel_fill(b, p), h + m, 0, b.data + p * b.panel_step, &inner,
                 inputs + m, p * step.input_step + offset, out + m, offset, asked)
            m += count


cdef void sweep_cell(Forward* f, Py_ssize_t t, int count, bint started) noexcept nogil:
    """The products and gates of a step. Every other one turns round: its first weights are those that the step before read
    last, and still in the nearer caches."""
    cdef const Pack* w = f.w
    cdef const Layout* a = &w.layout
    f.turned = not f.turned
    if f.masks.state.threshold:
        see_states(f, t, count)
    if overwrites_cells(f):
        keep_cells(f, count)
    if a.candidate.vectors:
        sweep(f, &a.state, &w.state, f.step.h_seen, count, started, gru_reset_forward)
        sweep(f, &a.candidate, &w.candidate, f.reset_rows, count, started, CELLS[w.cell].forward)
    elif w.normed:
        sweep_normed(f, count, started)
    else:
        sweep(f, &a.state, &w.state, f.step.h_seen, count, started, CELLS[w.cell].forward)
    if w.projected:
        project_hidden(f, count)
    if w.traits.zoned:
        hold_states(f, t, count)


cdef void run_forward(void* argument, int task, int rank) noexcept nogil:
    """Run number `task` of an array of runs, from its initial to its final states."""
    cdef Forward* f = <Forward*>argument + task
    cdef Py_ssize_t begin, end, s, t, m, before = 0
    cdef int count = 0
    cdef bint started, advanced = False, regular = f.steps.resets == NULL and not f.w.projected
    cdef unsigned int mode = denormals_flush()
    start_forward(f)
    for begin from f.s0 <= begin < f.s1 by f.chunk:
        end = min(begin + f.chunk, f.s1)
        if f.scan:
            scan_chunk(f, begin, end)
            continue
        project_input(f, begin, end)
        m = 0
        for s in range(begin, end):
            t = time_of(s, f.steps.T, f.reverse)
            if regular and s > f.s0 and same_rows(f.steps, t, before):
                advance_step(f, count, advanced)
                started = advanced = True
            else:
                if advanced:
                    settle_rows(f, before, count)
                started, advanced = begin_step(f, t, &count), False
            before = t
            f.step.inputs = <const_row*>f.z_rows + m
            if f.far:
                aim_ahead(f, s)
            sweep_cell(f, t, count, started)
            m += count
    if advanced:
        settle_rows(f, before, count)
    give_states(f)
    if f.step.stream:
        v_streamed()
    denormals_restore(mode)


cdef void give_states(Forward* f) noexcept nogil:
    """Copy each row's latest state out."""
    cdef Py_ssize_t r, H = f.w.H, P = f.w.P
    for r in range(f.n1 - f.n0):
        if f.last_final != NULL:
            f.last_final[f.n0 + r] = f.last[r]
        copy_row(f.h_final + (f.n0 + r) * P, f.h_now[r], P)
        if f.c_final != NULL:
            copy_row(f.c_final + (f.n0 + r) * H, f.c_now[r], H)


cdef Kept new_kept(const Pack* w, Plan plan, Py_ssize_t T, x, const real* h0, const real* c0, initial, bint reverse,
                   cnp.ndarray h):
    """Room for what T steps leave to their backward pass; h [T, N, P]: the output, where that is the engine's own."""
    cdef Kept kept = Kept.__new__(Kept)
    cdef Cell* cell = &CELLS[w.cell]
    cdef Py_ssize_t N = plan.steps.N
    kept.x, kept.plan, kept.reverse = x[...], plan, reverse  # x as it lies now: its shape may be set, and say ids
    kept.h0, kept.c0, kept.initial = h0, c0, initial
    kept.h = pooled((T, N, w.P)) if h is None else h
    kept.c = pooled((T, N, apart(w.H))) if cell.has_c else None
    kept.gates = pooled((T, N, saved_of(w), w.H)) if cell.saved else None
    return kept
