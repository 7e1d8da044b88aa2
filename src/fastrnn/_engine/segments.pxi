# A tape that keeps less. The pass goes by segments, whole blocks of steps counted from the last one down, so that every
# sum over time keeps its order; before it descends through a segment the backward pass restores what it needs of it: it
# runs the segment forward again from the states before it (checkpoints: Chen et al. 2016, Gruslys et al. 2016), or
# widens what was kept in bfloat16.
#
# The layers of a one-directional stack pass through a segment together, so that nothing but states is kept for any of
# them. Each layer of a bidirectional one reads the whole of the layer below: its directions go one by one.

cdef class Segments:
    """What such a forward pass leaves to its backward pass."""
    cdef readonly cnp.ndarray x
    cdef Plan plan
    cdef int D
    cdef Py_ssize_t steps, count    # of a segment (the first may be shorter); segments
    cdef list groups                # the layers and directions that pass through a segment together, by number
    cdef list inputs                # of each group: x, or the outputs of the layer below
    cdef cnp.ndarray h, c           # [slot, L*D, N, P], [..., H]: states before each segment, then the final ones: see `slot`
    cdef cnp.ndarray last           # int32 [count + 1, D, N]: the rows' latest real steps there
    cdef dict kept                  # {(group, segment): Kept of each layer}: segments that need not be run again
    cdef list halves                # `Half` of each layer and direction where all is kept in bfloat16, else None
    cdef object dropout, drawn

    cdef Py_ssize_t slot(self, Py_ssize_t s):
        """Where the states before segment s lie: two slots, in turn, behind the initial ones where they are not kept."""
        return s if self.halves is None or s == 0 else 1 + s % 2

    cdef Py_ssize_t start(self, Py_ssize_t s):
        """The first step of segment s in the order of the pass."""
        return max(self.plan.steps.T - (self.count - s) * self.steps, 0)

    cdef Py_ssize_t time(self, Py_ssize_t s, int d):
        """The earliest time of segment s."""
        return self.plan.steps.T - self.start(s + 1) if d == 1 else self.start(s)

    cdef real* state(self, cnp.ndarray states, Py_ssize_t s, Py_ssize_t k):
        """The states [N, P] or [N, H] of a layer and direction before segment s."""
        if states is None:
            return NULL
        return data_of(states) + (self.slot(s) * states.shape[1] + k) * states.shape[2] * states.shape[3]

    cdef int32_t* latest(self, Py_ssize_t s, int d):
        return <int32_t*>cnp.PyArray_DATA(self.last) + (s * self.D + d) * self.plan.steps.N

    @property
    def nbytes(self):
        arrays = [self.h, self.c, self.last, *self.inputs[self.D::self.D]]  # both directions read one
        rooms = [kept for rooms in self.kept.values() for kept in rooms] + (self.halves or [])
        arrays += [array for kept in rooms for array in (kept.h, kept.c, kept.gates)]
        return sum([array.nbytes for array in arrays if array is not None])

    def whole(self, list weights):
        """Return a `Kept` of all steps for each layer and direction, as a plain tape has it."""
        cdef Py_ssize_t T = self.plan.steps.T, N = self.plan.steps.N, P = self.h.shape[3]
        if self.halves is not None:
            return [widened(half, 0, T) for half in self.halves]
        initial = [None if states is None or self.latest(0, 0)[0] == ZERO else states[0] for states in (self.h, self.c)]
        final = [None if states is None else np.empty_like(states[0]) for states in (self.h, self.c)]
        return stack_forward(weights, self.D, self.x, self.plan.active, self.plan.resets, *initial,
                             pooled((T, N, self.D * P)), *final, True, False, self.dropout, self.drawn)


cdef class Half:
    """What the backward pass needs of one layer and direction, in bfloat16."""
    cdef readonly cnp.ndarray h, c, gates   # uint16, as in `Kept`


cdef Py_ssize_t segment_block(list weights, Py_ssize_t T, Py_ssize_t N):
    """Steps of which segments are made: whole blocks of every layer."""
    cdef Py_ssize_t block = 1
    for w in weights:
        block = max(block, block_steps_of(&(<Weights>w).pack, T, N))
    return block


def segment_sizes(list weights, int D, Py_ssize_t T, Py_ssize_t N, bint dropout):
    """Return the steps of a block and some bytes: of the states before a segment; of a step of a group that is run
    again; of the gradients that a step passes between its layers; of all that lies between bidirectional layers; of
    what of that a plain tape has among its states: their outputs, where these are not masked."""
    cdef const Pack* w = &(<Weights>weights[0]).pack
    cdef Cell* cell = &CELLS[w.cell]
    cdef Py_ssize_t L = len(weights) // D, row = N * w.P * sizeof(real), units = N * w.H * sizeof(real)
    cdef Py_ssize_t state = L * D * (row + cell.has_c * units) + D * N * sizeof(int32_t)
    cdef Py_ssize_t step = row + cell.has_c * N * apart(w.H) * sizeof(real) + saved_of(w) * units
    cdef Py_ssize_t arrays = 2 if dropout else 1  # a masked one beside each that passes between layers
    cdef Py_ssize_t block = segment_block(weights, T, N)
    if D == 1:
        return block, state, L * step + (L - 1) * (arrays - 1) * row, arrays * row if L > 1 else 0, 0, 0
    cdef Py_ssize_t outputs = T * D * row * (L - 1)
    cdef Py_ssize_t between = outputs + T * D * row * (min(L - 1, 2) + (arrays - 1) * (L > 1))
    return block, state, step, 0, between, 0 if dropout else outputs


def segments_forward(list weights, int D, cnp.ndarray x, active, resets, h0, c0, cnp.ndarray y, cnp.ndarray h_final,
                     c_final, bint hold, dropout, drawn, Py_ssize_t steps, Py_ssize_t kept, bint half):
    """As `stack_forward`, but keep little, or bfloat16 where `half`; return `Segments`.

    steps: of a segment, whole blocks; kept: so many of the last segments are kept as in a plain tape.
    """
    cdef Segments tape = new_segments(weights, D, x, active, resets, h0, c0, dropout, drawn, steps, half)
    cdef Py_ssize_t g, s, layer, T = x.shape[0], N = x.shape[1], P = tape.h.shape[3], L = len(weights) // D
    cdef int d
    cdef cnp.ndarray below = tape.x, above = None
    cdef Rows rows, part
    cdef list rooms
    for g in range(len(tape.groups)):
        d, layer = tape.groups[g][0] % D, tape.groups[g][len(tape.groups[g]) - 1] // D
        if d == 0:
            above = y if layer == L - 1 else pooled((T, N, D * P))
        tape.inputs.append(below)
        for s in range(tape.count):
            rooms = run_segment(tape, weights, g, s, half or s >= tape.count - kept, above[:, :, d * P:(d + 1) * P])
            if half:
                halve(tape, g, rooms)
            elif rooms:
                tape.kept[g, s] = rooms
        if d == D - 1:
            below = above if dropout is None or layer == L - 1 else dropped(above, dropout, layer)
    h_final[...] = tape.h[tape.slot(tape.count)]
    if c_final is not None:
        c_final[...] = tape.c[tape.slot(tape.count)]
    if half:
        let_go(tape)
    if not tape.plan.steps.full:
        rows = rows_of(y)
        for d in range(D):
            part = columns_of(&rows, d * P)
            fill_padding(&tape.plan.steps, &part, P, hold, d == 1)
    return tape


cdef Segments new_segments(list weights, int D, cnp.ndarray x, active, resets, h0, c0, dropout, drawn, Py_ssize_t steps,
                           bint half):
    """The states before the first segment, and room for those before the others."""
    cdef Segments tape = Segments.__new__(Segments)
    cdef const Pack* w = &(<Weights>weights[0]).pack
    cdef Cell* cell = &CELLS[w.cell]
    cdef Py_ssize_t T = x.shape[0], N = x.shape[1], k, count = max(ceil_div(T, steps), 1), slots = 3 if half else count + 1
    tape.x, tape.plan, tape.D, tape.dropout, tape.drawn = x[...], Plan(T, N, active, resets), D, dropout, drawn
    tape.steps, tape.count, tape.inputs, tape.kept = steps, count, [], {}
    tape.groups = [list(range(len(weights)))] if D == 1 else [[k] for k in range(len(weights))]
    tape.last = np.empty((count + 1, D, N), np.int32)
    tape.last[0] = ZERO if h0 is None else INITIAL
    tape.h = pooled((slots, len(weights), N, w.P))
    tape.h[0] = 0 if h0 is None else h0
    if cell.has_c:
        tape.c = pooled((slots, len(weights), N, w.H))
        tape.c[0] = 0 if c0 is None else c0
    if half:
        tape.halves = [new_half(T, N, w) for k in range(len(weights))]
    return tape


cdef let_go(Segments tape):
    """Forget what only a segment that is run again would need: but the initial states nothing."""
    tape.inputs = []
    tape.h = np.array(tape.h[:1])
    if tape.c is not None:
        tape.c = np.array(tape.c[:1])


cdef list run_segment(Segments tape, list weights, Py_ssize_t g, Py_ssize_t s, bint keep, y):
    """The layers of a group over a segment; return what its backward pass needs of each if `keep`, else nothing.

    y OUT [T, N, P]: the last layer's output, or None where that is known already.
    """
    cdef list group = tape.groups[g], rooms = []
    cdef int d = group[0] % tape.D
    cdef Py_ssize_t N = tape.plan.steps.N, s0 = tape.start(s), s1 = tape.start(s + 1), t0 = tape.time(s, d)
    cdef Py_ssize_t k, top = group[len(group) - 1], below_t0 = 0
    cdef cnp.ndarray below = tape.inputs[g], above
    cdef Weights w
    cdef Kept kept
    cdef Forward run
    for k in group:
        w = weights[k]
        if below.ndim == 3:
            w.need_input()
        memset(&run, 0, sizeof(Forward))
        run.w, run.steps, run.n1, run.s0, run.s1 = &w.pack, &tape.plan.steps, N, s0, s1
        run.reverse, run.keep, run.masks = d == 1, keep, new_masks(tape.drawn, k)
        run.ids, run.x = ids_of(below), input_rows(below)
        run.x.data -= below_t0 * run.x.t_step
        run.h0, run.c0, run.last0 = tape.state(tape.h, s, k), tape.state(tape.c, s, k), tape.latest(s, d)
        run.h_final, run.c_final = tape.state(tape.h, s + 1, k), tape.state(tape.c, s + 1, k)
        run.last_final = tape.latest(s + 1, d)
        above = None if k == top and y is not None else pooled((s1 - s0, N, w.pack.P))
        run.y = rows_of(y) if above is None else window_of(above, t0)
        if keep:
            kept = new_kept(&w.pack, tape.plan, s1 - s0, below, run.h0, run.c0, tape, d == 1, above)
            kept.t0, kept.x_t0 = t0, below_t0
            keep_in(&run, kept)
            rooms.append(kept)
        forward_layer(&run, 1)
        if k != top:
            below, below_t0 = above, t0
            if tape.dropout is not None:
                below = dropped(above, tape.dropout, k, t0)
    return rooms


cdef Half new_half(Py_ssize_t T, Py_ssize_t N, const Pack* w):
    cdef Half half = Half.__new__(Half)
    cdef Cell* cell = &CELLS[w.cell]
    half.h = pooled((T, N, w.P), True)
    half.c = pooled((T, N, apart(w.H)), True) if cell.has_c else None
    half.gates = pooled((T, N, saved_of(w), w.H), True) if cell.saved else None
    return half


cdef halve(Segments tape, Py_ssize_t g, list rooms):
    """Keep a segment in bfloat16."""
    cdef Kept kept
    cdef Half half
    for k, kept in zip(tape.groups[g], rooms):
        half = tape.halves[k]
        narrow(half.h, kept.h, kept.t0)
        narrow(half.c, kept.c, kept.t0)
        narrow(half.gates, kept.gates, kept.t0)


cdef narrow(cnp.ndarray to, cnp.ndarray source, Py_ssize_t t0):
    """to OUT, from time t0 on, source IN, contiguous: all its steps; or both None."""
    cdef uint16_t* target
    cdef const real* values
    cdef Py_ssize_t count
    if source is None:
        return
    target, values, count = <uint16_t*>cnp.PyArray_DATA(to) + t0 * time_step(to), data_of(source), source.size
    with nogil:
        to_bfloat(target, values, count)


cdef inline Py_ssize_t time_step(cnp.ndarray half):
    """Numbers from one time to the next."""
    return half.strides[0] // <Py_ssize_t>sizeof(uint16_t)


cdef cnp.ndarray widen(cnp.ndarray half, Py_ssize_t t0, Py_ssize_t t1):
    """The times t0 ... t1 - 1 in the engine's precision."""
    cdef cnp.ndarray wide
    cdef const uint16_t* source
    cdef real* to
    cdef Py_ssize_t count
    if half is None:
        return None
    wide = pooled((t1 - t0, *(<object>half).shape[1:]))
    source, to, count = <const uint16_t*>cnp.PyArray_DATA(half) + t0 * time_step(half), data_of(wide), wide.size
    with nogil:
        from_bfloat(to, source, count)
    return wide


cdef Kept widened(Half half, Py_ssize_t t0, Py_ssize_t t1):
    """Some steps of a layer and direction as the backward pass reads them."""
    cdef Kept kept = Kept.__new__(Kept)
    kept.h, kept.c, kept.gates = widen(half.h, t0, t1), widen(half.c, t0, t1), widen(half.gates, t0, t1)
    kept.t0 = t0
    return kept


cdef list restore(Segments tape, list weights, Py_ssize_t g, Py_ssize_t s):
    """What the backward pass needs of a segment, a `Kept` for each layer of a group."""
    if tape.halves is not None:
        return restore_halves(tape, g, s)
    return tape.kept[g, s] if (g, s) in tape.kept else run_segment(tape, weights, g, s, True, None)


cdef list restore_halves(Segments tape, Py_ssize_t g, Py_ssize_t s):
    cdef list group = tape.groups[g], rooms = []
    cdef int D = tape.D, d = group[0] % D
    cdef Py_ssize_t t0 = tape.time(s, d), t1 = t0 + tape.start(s + 1) - tape.start(s), layer
    cdef Kept kept
    for k in group:
        kept, layer = widened(tape.halves[k], t0, t1), k // D
        kept.plan, kept.reverse, kept.x = tape.plan, d == 1, tape.x
        if layer:
            kept.x, kept.x_t0 = output_below(tape, rooms, layer, t0, t1), t0
            if tape.dropout is not None:
                kept.x = dropped(kept.x, tape.dropout, layer - 1, t0)
        start_from_halves(tape, kept, s, k)
        rooms.append(kept)
    return rooms


cdef cnp.ndarray output_below(Segments tape, list rooms, Py_ssize_t layer, Py_ssize_t t0, Py_ssize_t t1):
    """What a layer read of the one below, which a one-directional stack has restored already."""
    if tape.D == 1:
        return (<Kept>rooms[layer - 1]).h
    return np.concatenate([widen((<Half>tape.halves[k]).h, t0, t1) for k in range(2 * layer - 2, 2 * layer)], axis=2)


cdef start_from_halves(Segments tape, Kept kept, Py_ssize_t s, Py_ssize_t k):
    """The states before a segment: of rows that have begun, those of their latest real steps."""
    cdef Half half = tape.halves[k]
    cdef Py_ssize_t n, width, row, N = tape.plan.steps.N
    cdef const int32_t* last = tape.latest(s, k % tape.D)
    cdef list states = []
    for initial, later in ((tape.h, half.h), (tape.c, half.c)):
        if initial is None:
            continue
        before, width, row = np.array(initial[0, k]), initial.shape[3], later.shape[2]
        states.append(before)
        for n in range(N):
            if last[n] >= 0:
                from_bfloat(data_of(before) + n * width,
                            <const uint16_t*>cnp.PyArray_DATA(later) + (last[n] * N + n) * row, width)
    kept.initial, kept.h0 = states, data_of(states[0])
    kept.c0 = data_of(states[1]) if len(states) == 2 else NULL


def segments_backward(list weights, int D, Segments tape, dy, dh, dc, dx, list gradients, cnp.ndarray dh0, dc0,
                      list watched, bint hold, cnp.ndarray places=None):
    """As `stack_backward`, from what `segments_forward` left."""
    cdef Py_ssize_t T = tape.plan.steps.T, N = tape.plan.steps.N, P = tape.h.shape[3], layer, g
    cdef int d
    cdef cnp.ndarray above = unheld(tape.plan, dy, D) if hold else dy, below = None
    clear_padding(tape.plan, dx)
    for g in range(len(tape.groups) - 1, -1, -D):  # all of a layer's directions, or all layers of the only one
        layer = tape.groups[g][0] // D
        below = dx if layer == 0 else pooled((T, N, D * P))
        for d in range(D):
            descend_group(tape, weights, g - D + 1 + d, above, below, dh, dc, gradients, dh0, dc0, watched, places)
        above = below
        if tape.dropout is not None and layer:
            above = dropped(below, tape.dropout, layer - 1)


cdef descend_group(Segments tape, list weights, Py_ssize_t g, above, below, dh, dc, list gradients, cnp.ndarray dh0,
                   dc0, list watched, cnp.ndarray places):
    """The layers of a group through all segments, from the last step down."""
    cdef list group = tape.groups[g], cuts = [], rooms
    cdef int d = group[0] % tape.D, l, i, slices, layers = <int>len(group)
    cdef Py_ssize_t k, s, t0, steps, N = tape.plan.steps.N
    cdef Py_ssize_t P = tape.h.shape[3], h_size = N * P, c_size = N * (<Weights>weights[0]).pack.H
    cdef Buffer list_memory = take(layers * MOST_SLICES * sizeof(Backward))
    cdef Backward* passes = <Backward*>list_memory.data
    cdef Backward whole
    cdef Backward* b
    cdef Rows rows
    for l in range(layers):
        memset(&whole, 0, sizeof(Backward))
        b, k = &whole, group[l]
        b.masks = new_masks(tape.drawn, k)
        b.add, b.dh0, b.dc0 = d == 1, data_of(dh0) + k * h_size, part_of(optional(dc0, "dc0"), k, c_size)
        b.dh_final, b.dc_final = part_of(optional(dh, "dh"), k, h_size), part_of(optional(dc, "dc"), k, c_size)
        if watched is not None:
            b.watched = rows_of(watched[k])
        cuts.append(start_layer(b, tape, weights[k], tape.x if k < tape.D else None, gradients[k],
                                l > 0 or below is not None, passes + l * MOST_SLICES))
    for s in range(tape.count - 1, -1, -1):
        rooms, t0, steps = restore(tape, weights, g, s), tape.time(s, d), tape.start(s + 1) - tape.start(s)
        for l in range(layers - 1, -1, -1):
            k, slices = group[l], slices_in(cuts[l])
            if l:
                sent = pooled((steps, N, P))
            for i in range(slices):
                b = &passes[l * MOST_SLICES + i]
                recall(b, weights[k], rooms[l])
                if k < tape.D and places is not None:
                    b.ids, b.x = ids_of(places), input_rows(places)
                b.last0 = tape.latest(s, d)
                if l < layers - 1:
                    b.dy = window_of(passed, t0)  # which has to last through the descent
                elif above is not None:
                    rows = rows_of(above)
                    b.dy = columns_of(&rows, d * P)
                if l:
                    b.dx = window_of(sent, t0)
                elif below is not None:
                    b.dx = rows_of(below)
            descend_segment(passes + l * MOST_SLICES, slices, tape.start(s), tape.start(s + 1))
            if l:
                passed = sent if tape.dropout is None else dropped(sent, tape.dropout, group[l] - 1, t0)
    for l in range(layers):
        for i in range(slices_in(cuts[l])):
            end_backward(&passes[l * MOST_SLICES + i])
        join(cuts[l])


cdef Cuts start_layer(Backward* whole, Segments tape, Weights w, x, list gradients, bint send, Backward* passes):
    """Settle how a layer and direction of a group is shared out, and lay its workspaces out, which last to the end.

    x: the input of the first layer, or None; send: whether the gradient of what it read is wanted; passes OUT: of its
    slices."""
    cdef Py_ssize_t N = tape.plan.steps.N
    w.need_state_back()
    whole.w, whole.steps = &w.pack, &tape.plan.steps
    if x is not None:
        whole.ids = ids_of(x)
    if send:
        w.need_input_back()
        whole.dx.data = whole.dh0  # until there is a segment: any place but none
    cdef int i, slices = slices_of(whole.w, tape.plan.steps.T, N)
    cdef int shares = shares_for(3 * layer_seconds(whole.w, tape.steps, N, whole.ids != NULL))
    cdef Split split = split_of(shares, 1, N, step_seconds(whole.w, N)) if slices == 1 else ALONE
    cdef Cuts cuts = cut(whole, slices, split, shares, tape.steps, gradients, passes)
    for i in range(slices):
        start_backward(&passes[i])
    return cuts


cdef struct Descending:
    # the slices of a layer in a segment
    Backward* passes
    Py_ssize_t s0, s1


cdef void descend_share(void* argument, int share, int rank) noexcept nogil:
    cdef Descending* job = <Descending*>argument
    cdef unsigned int mode = denormals_flush()
    run_steps(&job.passes[share], job.s0, job.s1)
    denormals_restore(mode)


cdef descend_segment(Backward* passes, int slices, Py_ssize_t s0, Py_ssize_t s1):
    cdef const Backward* b = &passes[0]
    cdef double seconds = 3 * layer_seconds(b.w, s1 - s0, b.steps.N, b.ids != NULL)
    cdef int shares = b.block.shares if slices == 1 else min(slices, shares_for(seconds))
    cdef Descending job = Descending(passes, s0, s1)
    cdef Team* team
    with nogil:
        team = begin_region(shares, seconds)
        if slices == 1:
            passes[0].block.team = team
        run_phase(team if slices > 1 else NULL, descend_share, &job, slices)
        end_region(team)
