# A stack of layers in one or both directions: one call for a whole pass. Each layer reads the outputs of the one below,
# both directions side by side; dropout acts between the layers.

cdef inline real* part_of(real* states, Py_ssize_t k, Py_ssize_t size) noexcept nogil:
    """State k of [L*D, N, H], `size` numbers each; NULL stays NULL."""
    return NULL if states == NULL else states + k * size


cdef inline Rows no_rows() noexcept nogil:
    cdef Rows rows
    rows.data, rows.t_step, rows.n_step = NULL, 0, 0
    return rows


cdef double layer_seconds(const Pack* w, Py_ssize_t T, Py_ssize_t N, bint ids) noexcept nogil:
    """About how long one core takes for the forward pass of a layer and direction."""
    return T * step_seconds(w, N) + (0 if ids else seconds_of(<double>w.layout.gates * w.H * w.I, <double>T * N))


cdef double step_seconds(const Pack* w, Py_ssize_t N) noexcept nogil:
    """The same for one step once its input is projected; without a product the gates remain, worth a few inputs."""
    return seconds_of(<double>w.layout.gates * w.H * (w.H if w.layout.state.vectors else 16), N)


cdef enum Pass:
    INFERENCE, TRAINING, BACKWARD

cdef double MOST_TRIED = 20e-3  # seconds of a call, about, of which both ways are tried: see pace.pxi
cdef double MOST_WAITED = 10e-6  # seconds of a step alone, about; half of a longer one is more than any wait costs


cdef layer_pace(Pass kind, const Pack* w, const Steps* steps, bint ids, bint dx, bint drawn, int shares,
                double seconds):
    """The `Pace` of a layer, by what tells its steps' time from that of others; None where their rows vary, sharing them
    always pays, or a call is too long to be tried out."""
    cdef Py_ssize_t T = steps.T
    if not steps.full or step_seconds(w, steps.N) > MOST_WAITED or seconds > MOST_TRIED:
        return None
    return _team.pace_of((<int>kind, VLEN, sizeof(real), w.storage, w.cell, w.traits.plain, w.normed, 0 if ids else w.I,
                          w.H, w.P, steps.N, (<object>T).bit_length(), dx, drawn, shares))


cpdef list stack_forward(list weights, int D, cnp.ndarray x, active, resets, h0, c0, cnp.ndarray y, cnp.ndarray h_final,
                         c_final, bint keep, bint hold, dropout, drawn):
    """Run all layers and directions; return what the backward pass needs, a `Kept` for each, or None.

    weights: `Weights` of layer 0 forward, layer 0 reverse, layer 1 forward, ...; x IN real [T, N, I] or int64 [T, N];
    active, resets IN bool [T, N] or None; h0 IN [L*D, N, P], c0 IN [L*D, N, H] or None; y OUT [T, N, D*P], at padded
    steps 0 or, with `hold`, the row's latest output; h_final, c_final OUT as h0, c0, of LSTMs only, else None; dropout:
    (seed, count, p) or None; drawn: see `new_masks`.
    """
    cdef Py_ssize_t T = x.shape[0], N = x.shape[1], H = (<Weights>weights[0]).pack.H, P = (<Weights>weights[0]).pack.P
    cdef Py_ssize_t layer, d, k, L = len(weights) // D
    cdef Plan plan = Plan(T, N, active, resets)
    cdef real* h_initial = optional(h0, "h0")
    cdef real* c_initial = optional(c0, "c0")
    cdef real* h_out = data_of(checked(h_final, "h_final"))
    cdef real* c_out = optional(c_final, "c_final")
    cdef Rows rows
    cdef Weights w
    cdef Kept kept = None
    cdef Forward run[2]
    cdef cnp.ndarray below = x, above = None
    cdef list tape = [] if keep else None
    for layer in range(L):
        above = y if layer == L - 1 else pooled((T, N, D * P))
        rows = rows_of(above)
        for d in range(D):
            k = layer * D + d
            w = weights[k]
            if below.ndim == 3:
                w.need_input()
            memset(&run[d], 0, sizeof(Forward))
            run[d].w, run[d].steps, run[d].n1, run[d].reverse, run[d].keep = &w.pack, &plan.steps, N, d == 1, keep
            run[d].s1, run[d].masks, run[d].turned = T, new_masks(drawn, k), w.turned
            w.turned = w.turned != T % 2
            run[d].y = columns_of(&rows, d * P)
            run[d].ids, run[d].x = ids_of(below), input_rows(below)
            run[d].h0, run[d].c0 = part_of(h_initial, k, N * P), part_of(c_initial, k, N * H)
            run[d].h_final, run[d].c_final = h_out + k * N * P, part_of(c_out, k, N * H)
            if keep:
                kept = new_kept(&w.pack, plan, T, below, run[d].h0, run[d].c0, (h0, c0), d == 1,
                                None if layer == L - 1 else above[:, :, d * P:(d + 1) * P])
                keep_in(&run[d], kept)
                tape.append(kept)
        forward_layer(run, D)
        if layer == L - 1 and not plan.steps.full:
            for d in range(D):
                fill_padding(&plan.steps, &run[d].y, P, hold, d == 1)
        below = above
        if dropout is not None and layer < L - 1:
            below = dropped(above, dropout, layer)
    return tape


cdef forward_layer(Forward* directions, int D):
    """Run the directions of a layer, shared out as suits their shape."""
    cdef const Pack* w = directions[0].w
    cdef Py_ssize_t T = directions[0].s1 - directions[0].s0, N = directions[0].steps.N
    cdef double seconds = D * layer_seconds(w, T, N, directions[0].ids != NULL)
    cdef int d, r, shares = shares_for(seconds)
    cdef bint scan = crosses_no_units(directions)
    cdef Split split = split_of(shares, D, N, seconds if scan else step_seconds(w, N))
    cdef double begun
    cdef object pace = None
    cdef Pass kind = TRAINING if directions[0].keep else INFERENCE
    if split == BY_UNITS:
        pace = layer_pace(kind, w, directions[0].steps, directions[0].ids != NULL, False, directions[0].masks.drawn, shares,
                          seconds)
    if pace is not None and not pace.shares():
        split = ALONE
    if split == ALONE:
        shares = 1
    cdef int ranges = shares if split == BY_ROWS else 1
    cdef Buffer list_memory = take(D * ranges * sizeof(Forward))
    cdef Forward* runs = <Forward*>list_memory.data
    cdef Forward* f
    cdef list memory = []
    for d in range(D):
        for r in range(ranges):
            f = &runs[d * ranges + r]
            f[0] = directions[d]
            f.n0, f.n1 = share_end(<int>N, ranges, r - 1), share_end(<int>N, ranges, r)
            f.shares = shares if split == BY_UNITS else 1
            f.chunk = chunk_steps(w, T, f.n1 - f.n0)
            f.scan = scan and f.chunk * (f.n1 - f.n0) > GROUP_ROWS  # fewer would hardly share the reads of the weights
            f.far = reaches_far(f)
            memory.append(forward_memory(f))
    cdef Team* team
    begun = perf_counter() if pace is not None else 0
    with nogil:
        team = begin_region(shares, seconds)
        if split == BY_UNITS:  # which is of one direction
            runs[0].team = team
            run_forward(runs, 0, 0)
        else:
            run_phase(team, run_forward, runs, D * ranges)
        end_region(team)
    if pace is not None and (shares == 1 or team != NULL):  # else another call had it
        pace.record(shares > 1, (perf_counter() - begun) / T)


cdef Buffer forward_memory(Forward* f):
    """The workspace of a run, laid out."""
    cdef char* space = NULL
    place_forward(f, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_forward(f, &space)
    return memory


cdef keep_in(Forward* f, Kept kept):
    """Point a forward pass at the room for what it leaves."""
    f.h_kept = window_of(kept.h, kept.t0)
    if kept.c is not None:
        f.c_kept = window_of(kept.c, kept.t0)
    if kept.gates is not None:
        f.gates_kept = window_of(kept.gates, kept.t0)


cdef Rows input_rows(cnp.ndarray x):
    """Where the rows of x lie; of ids only the steps between them, in numbers."""
    cdef Rows rows = no_rows()
    if x.ndim == 3:
        return rows_of(x)
    rows.t_step, rows.n_step = x.strides[0] // <Py_ssize_t>sizeof(int64_t), x.strides[1] // <Py_ssize_t>sizeof(int64_t)
    return rows


cdef const int64_t* ids_of(cnp.ndarray x):
    """The data of integer input, or NULL."""
    return <const int64_t*>cnp.PyArray_DATA(x) if x.ndim == 2 else NULL


def stack_backward(list weights, int D, list tape, dy, dh, dc, dx, list gradients, cnp.ndarray dh0, dc0, list watched,
                   bint hold, dropout, drawn, cnp.ndarray places=None):
    """Run all layers and directions backwards, the twin of `stack_forward`.

    tape: what that returned; dy IN [T, N, D*P] or None; dh, dc IN as h0, c0 or None; dx OUT [T, N, I], zeros at padded
    steps, or None; gradients: for each layer and direction a list of arrays to fill, weight_ih [I, G*H] (zeros
    on entry where the input is ids), weight_hh [P, G*H], both biases [G*H], weight_hr [H, P], the peepholes [3*H], the
    gains of both products' norms [G*H] and gain and bias of c's [H], None for what there is not; dh0, dc0 OUT as h0, c0;
    watched: arrays [T, N, P] for the gradient of every h, in the order of the layers, or None; places IN int64 [T, N]:
    the rows of the first layer's d weight_ih to which ids send, where these are not the ids.
    """
    cdef Plan plan = (<Kept>tape[0]).plan
    cdef Py_ssize_t T = plan.steps.T, N = plan.steps.N, H = (<Weights>weights[0]).pack.H, P = (<Weights>weights[0]).pack.P
    cdef Py_ssize_t layer, d, k, L = len(weights) // D
    cdef real* dh_final = optional(dh, "dh")
    cdef real* dc_final = optional(dc, "dc")
    cdef real* dh_out = data_of(checked(dh0, "dh0"))
    cdef real* dc_out = optional(dc0, "dc0")
    cdef Rows rows
    cdef Weights w
    cdef Backward run[2]
    cdef cnp.ndarray above = unheld(plan, dy, D) if hold else dy, below
    clear_padding(plan, dx)
    for layer in range(L - 1, -1, -1):
        below = dx if layer == 0 else pooled((T, N, D * P))
        for d in range(D):
            k = layer * D + d
            w = weights[k]
            memset(&run[d], 0, sizeof(Backward))
            recall(&run[d], w, tape[k])
            run[d].masks = new_masks(drawn, k)
            if layer == 0 and places is not None:
                run[d].ids, run[d].x = ids_of(places), input_rows(places)
            if above is not None:
                rows = rows_of(above)
                run[d].dy = columns_of(&rows, d * P)
            if below is not None:
                run[d].dx = rows_of(below)
                w.need_input_back()
            run[d].dh_final, run[d].dc_final = part_of(dh_final, k, N * P), part_of(dc_final, k, N * H)
            run[d].dh0, run[d].dc0 = dh_out + k * N * P, part_of(dc_out, k, N * H)
            if watched is not None:
                run[d].watched = rows_of(watched[k])
        backward_layer(run, D, gradients[layer * D:layer * D + D])
        above = below
        if dropout is not None and layer:
            above = dropped(below, dropout, layer - 1)


cdef clear_padding(Plan plan, array):
    """array OUT [T, N, J] or None: 0 at padded steps."""
    cdef Rows rows
    if array is not None and not plan.steps.full:
        rows = rows_of(array)
        fill_padding(&plan.steps, &rows, array.shape[2], False, False)


cdef cnp.ndarray unheld(Plan plan, dy, int D):
    """Return the gradient dy [T, N, D*P] or None, that of held steps gathered into the outputs which they repeat."""
    cdef cnp.ndarray gathered
    cdef Rows rows, part
    cdef int d
    if dy is None or plan.steps.full:
        return dy
    cdef Py_ssize_t P = dy.shape[2] // D
    gathered = pooled(dy.shape)
    gathered[...] = dy
    rows = rows_of(gathered)
    for d in range(D):
        part = columns_of(&rows, d * P)
        gather_held(&plan.steps, &part, P, d == 1)
    return gathered


cdef recall(Backward* b, Weights w, Kept kept):
    """Point a backward pass at what its forward pass left."""
    w.need_state_back()
    b.w, b.steps, b.reverse, b.h0, b.c0 = &w.pack, &kept.plan.steps, kept.reverse, kept.h0, kept.c0
    b.ids, b.x = ids_of(kept.x), input_rows(kept.x)
    b.symbols, b.symbol_rows = b.ids, b.x
    b.x.data -= kept.x_t0 * b.x.t_step
    b.h_kept = window_of(kept.h, kept.t0)
    if kept.c is not None:
        b.c_kept = window_of(kept.c, kept.t0)
    if kept.gates is not None:
        b.gates_kept = window_of(kept.gates, kept.t0)


cdef give_into(Backward* b, list gradients):
    """Point a backward pass at the arrays for its gradients."""
    d_ih, d_hh, db_ih, db_hh, d_hr, d_peephole, d_norm_ih, d_norm_hh, d_norm_c, db_norm_c = gradients
    b.d_ih = by_input(data_of(checked(d_ih, "d_ih")), &b.w.layout)
    b.d_hh = by_input(optional(d_hh, "d_hh"), &b.w.layout)
    b.db_ih, b.db_hh = optional(db_ih, "db_ih"), optional(db_hh, "db_hh")
    if d_hr is not None:
        b.d_hr = by_input(data_of(checked(d_hr, "d_hr")), &b.w.project_layout)
    b.d_peephole = optional(d_peephole, "d_peephole")
    b.d_norm_ih, b.d_norm_hh = optional(d_norm_ih, "d_norm_ih"), optional(d_norm_hh, "d_norm_hh")
    b.d_norm_c, b.db_norm_c = optional(d_norm_c, "d_norm_c"), optional(db_norm_c, "db_norm_c")


cdef backward_layer(Backward* directions, int D, list gradients):
    """Run the directions of a layer backwards, shared out as suits their shape."""
    cdef const Pack* w = directions[0].w
    cdef Py_ssize_t T = directions[0].steps.T, N = directions[0].steps.N
    cdef double seconds = 3 * D * layer_seconds(w, T, N, directions[0].ids != NULL)
    cdef int d, slices = slices_of(w, T, N), shares = shares_for(seconds)
    cdef Split split = split_of(shares, D, N, step_seconds(w, N)) if slices == 1 else ALONE
    cdef double begun
    cdef object pace = None
    if shares > 1 and slices == 1 and split in (BY_UNITS, ALONE):
        pace = layer_pace(BACKWARD, w, directions[0].steps, directions[0].ids != NULL, directions[0].dx.data != NULL,
                          directions[0].masks.drawn, shares, seconds)
    if pace is not None and not pace.shares():
        split, shares = ALONE, 1
    cdef Backward passes[2 * MOST_SLICES]
    cdef Rows below = directions[0].dx
    cdef cnp.ndarray second = None
    cdef list cuts = []
    if slices > 1:
        shares = min(slices, shares)
    if split == SIDE_BY_SIDE and below.data != NULL:  # each writes its own, and the sum is made at the end
        second = pooled((T, N, w.I))
        directions[1].dx = rows_of(second)
    for d in range(D):
        directions[d].add = d == 1 and second is None
        cuts.append(cut(&directions[d], slices, split, shares, T, gradients[d], passes + d * slices))
    cdef Team* team
    cdef unsigned int mode
    begun = perf_counter() if pace is not None else 0
    with nogil:
        team = begin_region(shares, seconds)
        if split == SIDE_BY_SIDE:
            run_phase(team, run_backward, passes, D)
            if below.data != NULL:
                mode = denormals_flush()
                add_input(passes)
                denormals_restore(mode)
        else:
            for d in range(D):
                if slices == 1:
                    passes[d].block.team = team
                run_phase(team if slices > 1 else NULL, run_backward, passes + d * slices, slices)
        end_region(team)
    if pace is not None and (shares == 1 or team != NULL):  # else another call had it
        pace.record(shares > 1, (perf_counter() - begun) / T)
    for d in range(D):
        join(cuts[d])


cdef void add_input(Backward* directions) noexcept nogil:
    """Add the second direction's gradient of the input to the first's, at the real steps."""
    cdef const Steps* steps = directions[0].steps
    cdef Py_ssize_t t, k, i, n
    cdef real* to
    cdef const real* from_
    for t in range(steps.T):
        for k in range(count_at(steps, t)):
            n = rows_at(steps, t)[k]
            to, from_ = row_at(&directions[0].dx, t, n), row_at(&directions[1].dx, t, n)
            for i in range(directions[0].w.I):
                to[i] += from_[i]
