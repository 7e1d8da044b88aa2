# Parameters of one layer and direction, packed for the tiles once per version.
#
# A cell's Row (a row of pre-activations, or of their gradients) is cut into panels: for LSTM and GRU one panel holds
# all gates of VLEN units, side by side in vectors, so that a register tile holds everything its units need; for the RNN
# a panel is TILE_VECTORS vectors of units. Vectors that only the input or only the state feeds stand at the ends:
#
#     RNN                    [u0 u1 u2 u3]   input: all         state: all
#     LSTM                   [i f g o]       input: all         state: all
#     GRU                    [n r z s]       input: n r z       state: r z s    (s = U_n h + b_hn)
#     GRU, reset before      [n r z]         input: n r z       state: r z, then n from r * h
#     MinGRU                 [z n]           input: all         state: none
#     MinLSTM                [f i n]         input: all         state: none
#
# A projection (an LSTM's h = R (o tanh(c)), Sak et al. 2014) lies like an RNN of P units that reads H numbers.

cdef struct Part:
    # the vectors [first, first + vectors) of a panel, fed by one product
    int first, vectors

cdef struct Layout:
    Py_ssize_t H
    int gates       # G, in the parameters
    int units       # vectors of units in a panel
    int width       # vectors in a panel
    int count       # panels
    int last        # vectors in the last panel (less than width only for the RNN)
    int order[4]    # gate of each vector of a panel; the GRU's s reads the recurrent weights of n
    Part input
    Part state      # fed by h; no vectors where no weight is recurrent: such a cell has no product in the time loop
    Part candidate  # fed by r * h; no vectors but for the GRU with reset before


cdef Layout make_layout(int cell, Py_ssize_t H):
    cdef Layout a
    a.H = H
    a.units = 1
    a.candidate = Part(0, 0)
    if cell == RNN:
        a.gates, a.width, a.units = 1, TILE_VECTORS, TILE_VECTORS
        a.order[:] = [0, 0, 0, 0]
        a.input, a.state = Part(0, a.width), Part(0, a.width)
    elif cell == LSTM:
        a.gates, a.width = 4, 4
        a.order[:] = [0, 1, 2, 3]
        a.input, a.state = Part(0, 4), Part(0, 4)
    elif cell == GRU:
        a.gates, a.width = 3, 4
        a.order[:] = [2, 0, 1, 2]
        a.input, a.state = Part(0, 3), Part(1, 3)
    elif cell == MINGRU:
        a.gates, a.width = 2, 2
        a.order[:] = [0, 1, 0, 0]
        a.input, a.state = Part(0, 2), Part(0, 0)
    elif cell == MINLSTM:
        a.gates, a.width = 3, 3
        a.order[:] = [0, 1, 2, 0]
        a.input, a.state = Part(0, 3), Part(0, 0)
    else:
        a.gates, a.width = 3, 3
        a.order[:] = [2, 0, 1, 2]
        a.input, a.state, a.candidate = Part(0, 3), Part(1, 2), Part(0, 1)
    cdef Py_ssize_t vectors = ceil_div(H, VLEN)
    a.count = <int>ceil_div(vectors, a.units)
    a.last = a.width if a.units == 1 else <int>(vectors - (a.count - 1) * a.units)
    return a


cdef inline Py_ssize_t unit_of(const Layout* a, int p, int v) noexcept nogil:
    """First unit of vector v of panel p."""
    return (p * a.units + (v if a.units > 1 else 0)) * <Py_ssize_t>VLEN

cdef inline int part_vectors(const Layout* a, const Part* part, int p) noexcept nogil:
    """Vectors of a part in panel p."""
    return a.last if a.units > 1 and p == a.count - 1 else part.vectors


cdef struct Lie:
    # weights as they lie: that of gate g's unit u for input k at data[k * k_step + (g * H + u) * unit_step]
    const real* data
    Py_ssize_t k_step, unit_step


cdef inline real* place_of_units(const Layout* a, const Part* part, int p, int v, const Lie* w) noexcept nogil:
    """Where the units of vector v of a part lie in panel p, for the first input."""
    return <real*>w.data + (a.order[part.first + v] * a.H + unit_of(a, p, part.first + v)) * w.unit_step


cdef inline Lie by_input(const real* data, const Layout* a) noexcept nogil:
    """Recurrent layers keep [K, G*H]."""
    cdef Lie w
    w.data, w.k_step, w.unit_step = data, a.gates * a.H, 1
    return w


cdef inline Lie by_unit(const real* data, Py_ssize_t K) noexcept nogil:
    """Dense layers keep [units, K], as an embedding's table they may share."""
    cdef Lie w
    w.data, w.k_step, w.unit_step = data, 1, K
    return w


cdef inline Fill fill_of(Py_ssize_t columns, bint gates) noexcept nogil:
    """Of a last panel whose columns go on from one vector to the next or, with `gates`, begin anew with every one."""
    cdef Py_ssize_t lanes_used = columns % VLEN
    if not HALVES or lanes_used == 0 or lanes_used > VLEN // 2:
        return WHOLE
    if not gates:
        return LAST_HALF
    return BY_FOUR if lanes_used <= VLEN // 4 else BY_TWO


cdef inline int lanes_apart(const Panels* b, int p) noexcept nogil:
    """Lanes from one vector of panel p to the next."""
    return VLEN // side_by_side(panel_fill(b, p))


cdef Panels forward_panels(const Layout* a, const Part* part, Py_ssize_t K, char** space) noexcept nogil:
    """Panels of the weights that feed a part, [panel][K][part.vectors * VLEN], or of sums of their gradients, of which every
    gate begins a vector even where the fill says that weights lie side by side."""
    cdef Panels b
    b.vectors = part.vectors
    b.last = part_vectors(a, part, a.count - 1)
    b.fill, b.apart = fill_of(a.H, a.units == 1), NULL
    b.count = a.count if part.vectors else 0
    b.row_step = part.vectors * VLEN
    b.panel_step = K * b.row_step
    b.data = <real*>carve(space, b.count * b.panel_step * sizeof(real))
    return b


cdef struct Packing:
    # weights on their way into panels
    const Layout* a
    const Part* part
    const Lie* w        # IN  [K, G*H]
    Py_ssize_t K
    Panels* b           # OUT
    int shares


cdef enum:
    PACK_ROWS = 4           # of weights that are packed side by side: more would share cache sets
    STREAM_BYTES = 1 << 21  # of weights or their gradient: more goes past the caches, out of which it would sweep all else


cdef inline bint sweeps_cache(Py_ssize_t numbers) noexcept nogil:
    return numbers * <Py_ssize_t>sizeof(real) > STREAM_BYTES


cdef void pack(Packing job, TeamBody body, double rate) noexcept nogil:
    """Fill all panels; `rate`: about how many numbers one core packs in a second."""
    cdef double seconds = <double>job.K * job.a.count * job.part.vectors * VLEN / rate
    job.shares = shares_for(seconds)
    run_region(body, &job, job.shares, seconds)


cdef void pack_forward(const Layout* a, const Part* part, const Lie* w, Py_ssize_t K, Panels* b) noexcept nogil:
    """w IN [K, G*H] -> b OUT"""
    if w.unit_step == 1:
        pack(Packing(a, part, w, K, b, 1), pack_by_input, 2e9)
    else:
        pack(Packing(a, part, w, K, b, 1), pack_by_unit, 1e9)


cdef void pack_by_input(void* argument, int share, int rank) noexcept nogil:
    """A share of the inputs, a few rows of w at a time along the panels: memory is read in its own order."""
    cdef Packing* job = <Packing*>argument
    cdef const Layout* a = job.a
    cdef Panels* b = job.b
    cdef Py_ssize_t k, first, last, end = share_end(<int>job.K, job.shares, share)
    cdef int p, v, n
    cdef bint stream = sweeps_cache(b.count * b.panel_step)
    cdef const real* source
    cdef real* to
    for first from share_end(<int>job.K, job.shares, share - 1) <= first < end by PACK_ROWS:
        last = min(first + PACK_ROWS, end)
        for p in range(b.count):
            for v in range(part_vectors(a, job.part, p)):
                n = lanes(a.H, unit_of(a, p, job.part.first + v))
                source = place_of_units(a, job.part, p, v, job.w)
                to = b.data + p * b.panel_step + v * lanes_apart(b, p)
                if stream and lanes_apart(b, p) == VLEN:  # whole lines
                    for k in range(first, last):
                        v_stream(to + k * b.row_step, v_load_n(source + k * job.w.k_step, n))
                else:
                    for k in range(first, last):  # the lanes behind a gate's units are zero until the next gate's follow
                        v_store(to + k * b.row_step, v_load_n(source + k * job.w.k_step, n))
    if stream:
        v_streamed()


cdef void pack_by_unit(void* argument, int share, int rank) noexcept nogil:
    """A share of the panels, each turned round: of Dense layers, whose columns go on from one vector to the next."""
    cdef Packing* job = <Packing*>argument
    cdef const Layout* a = job.a
    cdef Panels* b = job.b
    cdef Py_ssize_t k, unit_step = job.w.unit_step
    cdef int p, v, lane, vectors
    cdef int n[4]
    cdef const real* source[4]
    cdef real* to
    for p in range(share_end(b.count, job.shares, share - 1), share_end(b.count, job.shares, share)):
        vectors = part_vectors(a, job.part, p)
        for v in range(vectors):
            n[v] = lanes(a.H, unit_of(a, p, job.part.first + v))
            source[v] = place_of_units(a, job.part, p, v, job.w)
        for k in range(job.K):
            to = b.data + p * b.panel_step + k * b.row_step
            for v in range(vectors):
                for lane in range(VLEN):
                    to[v * VLEN + lane] = source[v][k * job.w.k_step + lane * unit_step] if lane < n[v] else 0


cdef Panels backward_panels(const Layout* a, const Part* part, Py_ssize_t K, char** space) noexcept nogil:
    """Panels of the transposed weights of a part, [panel of K][a part's run of every panel][TILE_VECTORS * VLEN]; of the
    last run the rows that hold units, one behind the other."""
    cdef Panels b
    cdef Py_ssize_t vectors = ceil_div(K, VLEN)
    b.vectors = TILE_VECTORS
    b.count = <int>ceil_div(vectors, TILE_VECTORS) if part.vectors else 0
    b.last = <int>(vectors - (b.count - 1) * TILE_VECTORS)
    b.fill, b.apart = fill_of(K, False), NULL
    b.row_step = TILE_VECTORS * VLEN
    b.panel_step = a.count * part.vectors * VLEN * b.row_step
    b.data = <real*>carve(space, b.count * b.panel_step * sizeof(real))
    return b


cdef void pack_backward(const Layout* a, const Part* part, const Lie* w, Py_ssize_t K, Panels* b) noexcept nogil:
    """w IN [K, G*H] -> b OUT: row (p, v, lane) of a panel holds one gate's unit over the panel's columns k."""
    pack(Packing(a, part, w, K, b, 1), pack_turned, 2e9)


cdef void pack_turned(void* argument, int share, int rank) noexcept nogil:
    """A share of the panels of pack_backward: of each a square of VLEN columns after the other, along the rows of w."""
    cdef Packing* job = <Packing*>argument
    cdef const Layout* a = job.a
    cdef const Part* part = job.part
    cdef Panels* b = job.b
    cdef Py_ssize_t k, end, columns = b.row_step
    cdef int q, p, v
    for q in range(share_end(b.count, job.shares, share - 1), share_end(b.count, job.shares, share)):
        end = min((q + 1) * columns, job.K)
        if end < (q + 1) * columns:
            memset(b.data + q * b.panel_step, 0, b.panel_step * sizeof(real))
        for k from q * columns <= k < end by VLEN:
            if a.units > 1:
                for p in range(a.count):
                    for v in range(part_vectors(a, part, p)):
                        turn_square(job, k, min(end - k, <Py_ssize_t>VLEN), p, v)
            else:
                for v in range(part.vectors):
                    for p in range(a.count):
                        turn_square(job, k, min(end - k, <Py_ssize_t>VLEN), p, v)
    v_streamed()


cdef inline void turn_square(const Packing* job, Py_ssize_t first, Py_ssize_t count, int p, int v) noexcept nogil:
    """The columns first ... first + count - 1 of the units of a part's vector v in panel p."""
    cdef const Layout* a = job.a
    cdef const Panels* b = job.b
    cdef const Lie* w = job.w
    cdef Py_ssize_t k, columns = b.row_step, run = job.part.vectors * VLEN, unit = unit_of(a, p, job.part.first + v)
    cdef int lane, n = lanes(a.H, unit)
    cdef real* to = b.data + first // columns * b.panel_step + (p * run + v * (n if a.units == 1 else VLEN)) * columns
    cdef const real* source = place_of_units(a, job.part, p, v, w) + first * w.k_step
    to += first % columns
    if w.k_step == 1:
        for lane in range(n):
            copy_row(to + lane * columns, source + lane * w.unit_step, count)
    elif n < VLEN or count < VLEN:
        for k in range(count):
            for lane in range(n):
                to[lane * columns + k] = source[k * w.k_step + lane * w.unit_step]
    elif VLEN * <int>sizeof(real) == LINE_BYTES and sweeps_cache(b.count * b.panel_step):
        v_transpose(source, w.k_step, to, columns, True)
    else:
        v_transpose(source, w.k_step, to, columns, False)


cdef inline Inner run_of(Py_ssize_t K) noexcept nogil:
    """The inner dimension of contiguous rows of K."""
    return Inner(1, K, 1, 0, 0, 0, 0, 0)


cdef struct Norm:
    # layer normalization of W x, of U h' and of an LSTM's c: see norm.pxi
    Part input[2]           # the vectors of a panel that are normalised together
    Part state[2]
    real* input_gain        # [panel][width * VLEN]
    real* state_gain        # the same
    real* bias              # the same: what joins the normalised W x
    real* cell_gain         # [H, rounded up], LSTM
    real* cell_bias         # the same


cdef struct Pack:
    # the parameters of one layer and direction as the engine reads them
    int cell
    int storage                                         # of the forward panels: FULL_PRECISION, or quantized.pxi's
    Traits traits
    bint projected, normed
    Norm norm
    Py_ssize_t I, H, P                                  # P numbers in a row of h: H, or those of the projection
    Layout layout, project_layout
    Panels input, state, candidate                      # forward
    Panels input_back, state_back, candidate_back       # backward
    Panels project, project_back                        # R and its transpose
    real* bias                                          # [panel][width * VLEN]: what products with the input start from
    const real* rows                                    # weight_ih [I, G*H], for integer input


cdef class Weights:
    """The parameters of one layer and direction, and their packs; those that not every call needs follow when used."""
    cdef Pack pack
    cdef bint turned            # the last call's last step went from the last panel to the first: the next goes on from there
    cdef cnp.ndarray weight_ih, weight_hh, weight_hr, peephole
    cdef Buffer state_memory, input_memory, state_back_memory, input_back_memory

    def __init__(self, int cell, traits, Py_ssize_t I, Py_ssize_t H, cnp.ndarray weight_ih,
                 cnp.ndarray weight_hh, bias_ih, bias_hh, cnp.ndarray weight_hr, cnp.ndarray peephole,
                 norm_ih, norm_hh, norm_c, norm_bias):
        """Take parameters: weight_ih [I, G*H], weight_hh [P, G*H] or None, biases [G*H] or None (bias_hh also where no
        weight is recurrent), weight_hr [H, P] or None, peepholes [3*H] or None, gains of the norms of both products
        [G*H] and gain and bias of c's [H], or None; traits: ((kind, alpha, beta) of each activation, clip or None,
        coupled, zoneout of c and h)."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef char* space = NULL
        w.cell, w.traits, w.I, w.H, a[0] = cell, make_traits(cell, traits), I, H, make_layout(cell, H)
        self.weight_ih, self.weight_hh = checked(weight_ih, "weight_ih"), weight_hh
        self.weight_hr, self.peephole = weight_hr, peephole
        w.projected, w.P = weight_hr is not None, H if weight_hh is None else weight_hh.shape[0]
        w.project_layout = make_layout(RNN, w.P)
        w.traits.peephole = optional(peephole, "peephole")
        w.normed = norm_ih is not None
        w.traits.plain = w.traits.plain and peephole is None and not w.normed
        w.rows = data_of(weight_ih)
        place_state(w, &space)
        self.state_memory = take(<size_t>space)
        space = self.state_memory.data
        place_state(w, &space)
        cdef Lie state = by_input(optional(weight_hh, "weight_hh"), a)
        cdef Lie project
        pack_forward(a, &a.state, &state, w.P, &w.state)
        pack_forward(a, &a.candidate, &state, H, &w.candidate)
        if w.projected:
            project = by_input(data_of(checked(weight_hr, "weight_hr")), &w.project_layout)
            pack_forward(&w.project_layout, &w.project_layout.state, &project, H, &w.project)
        memset(w.bias, 0, a.count * a.width * VLEN * sizeof(real))
        if bias_ih is not None:
            sum_biases(w, data_of(checked(bias_ih, "bias_ih")), optional(bias_hh, "bias_hh"))
        if w.normed:
            pack_norm(w, data_of(checked(norm_ih, "norm_ih")), data_of(checked(norm_hh, "norm_hh")),
                      optional(norm_c, "norm_c"), optional(norm_bias, "norm_bias"))

    cdef need_input(self):
        """Pack the input weights, which integer input never needs."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef Lie input = by_input(w.rows, a)
        cdef char* space = NULL
        if self.input_memory is not None:
            return
        forward_panels(a, &a.input, w.I, &space)
        self.input_memory = take(<size_t>space)
        space = self.input_memory.data
        w.input = forward_panels(a, &a.input, w.I, &space)
        pack_forward(a, &a.input, &input, w.I, &w.input)

    cdef need_state_back(self):
        """Pack the transposed recurrent weights, which carry the gradient from step to step."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef Lie project, state = by_input(optional(self.weight_hh, "weight_hh"), a)
        cdef char* space = NULL
        if self.state_back_memory is not None:
            return
        place_state_back(w, &space)
        self.state_back_memory = take(<size_t>space)
        space = self.state_back_memory.data
        place_state_back(w, &space)
        pack_backward(a, &a.state, &state, w.P, &w.state_back)
        pack_backward(a, &a.candidate, &state, w.H, &w.candidate_back)
        if w.projected:
            project = by_input(data_of(self.weight_hr), &w.project_layout)
            pack_backward(&w.project_layout, &w.project_layout.state, &project, w.H, &w.project_back)

    cdef need_input_back(self):
        """Pack the transposed input weights, which give the gradient of the input."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef Lie input = by_input(w.rows, a)
        cdef char* space = NULL
        if self.input_back_memory is not None:
            return
        backward_panels(a, &a.input, w.I, &space)
        self.input_back_memory = take(<size_t>space)
        space = self.input_back_memory.data
        w.input_back = backward_panels(a, &a.input, w.I, &space)
        pack_backward(a, &a.input, &input, w.I, &w.input_back)


cdef void place_state(Pack* w, char** space) noexcept nogil:
    cdef Layout* a = &w.layout
    w.state = forward_panels(a, &a.state, w.P, space)
    w.candidate = forward_panels(a, &a.candidate, w.H, space)
    if w.projected:
        w.project = forward_panels(&w.project_layout, &w.project_layout.state, w.H, space)
    w.bias = <real*>carve(space, a.count * a.width * VLEN * sizeof(real))
    if w.normed:
        place_norm(w, space)


cdef void place_state_back(Pack* w, char** space) noexcept nogil:
    cdef Layout* a = &w.layout
    w.state_back = backward_panels(a, &a.state, w.P, space)
    w.candidate_back = backward_panels(a, &a.candidate, w.H, space)
    if w.projected:
        w.project_back = backward_panels(&w.project_layout, &w.project_layout.state, w.H, space)


cdef void sum_biases(Pack* w, const real* bias_ih, const real* bias_hh) noexcept nogil:
    """Sum the two biases of each pre-activation; only the GRU's s and n keep theirs apart. bias_hh may be NULL."""
    cdef Layout* a = &w.layout
    cdef int p, v, lane
    cdef Py_ssize_t unit, g
    cdef real* b
    for p in range(a.count):
        for v in range(a.width):
            unit = unit_of(a, p, v)
            b = w.bias + (p * a.width + v) * VLEN
            for lane in range(lanes(w.H, unit)):
                g = a.order[v] * w.H + unit + lane
                if bias_hh == NULL or w.cell == GRU and v == 0:
                    b[lane] = bias_ih[g]
                elif w.cell == GRU and v == 3:
                    b[lane] = bias_hh[g]
                else:
                    b[lane] = bias_ih[g] + bias_hh[g]
