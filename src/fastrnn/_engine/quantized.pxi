# Weights of low precision, for inference: the forward pass of forward.pxi with products from quant.h.
#
# Everything but the products is float32's: biases, gates, states, and the sums before the gates. The rows that weights
# multiply are rounded as they are, in int8 each with a scale of its own, so that a row's result depends on nothing but
# the row.

cdef class QuantizedWeights(Weights):
    """The parameters of one layer and direction in low precision; converted once, and nothing of float32 is kept."""
    cdef Buffer memory

    def __init__(self, int storage, int cell, traits, Py_ssize_t I, Py_ssize_t H,
                 cnp.ndarray[int32_t, ndim=2, mode="c"] codes_ih, cnp.ndarray[int32_t, ndim=2, mode="c"] codes_hh,
                 scale_ih, scale_hh, bias_ih, bias_hh):
        """codes_ih [I, G*H], codes_hh [H, G*H]: int8 numbers or the bits of bfloat16; scales [G*H] of int8, else None;
        biases [G*H] or None; traits as of `Weights`."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef char* space = NULL
        w.storage, w.cell, w.traits, a[0] = storage, cell, make_traits(cell, traits), make_layout(cell, H)
        w.I, w.H, w.P = I, H, H
        place_low(w, &space)
        self.memory = take(<size_t>space, 0)  # which stays: no slack
        space = self.memory.data
        memset(space, 0, self.memory.size)
        place_low(w, &space)
        cdef int32_t* ih = <int32_t*>cnp.PyArray_DATA(codes_ih)
        cdef int32_t* hh = <int32_t*>cnp.PyArray_DATA(codes_hh)
        move_codes(w, &a.input, I, &w.input, ih, False)
        move_codes(w, &a.state, H, &w.state, hh, False)
        move_codes(w, &a.candidate, H, &w.candidate, hh, False)
        if scale_ih is not None:
            pack_scales(a, &a.input, low_rows(storage, I), &w.input, data_of(checked(scale_ih, "scale_ih")))
            pack_scales(a, &a.state, low_rows(storage, H), &w.state, data_of(checked(scale_hh, "scale_hh")))
            pack_scales(a, &a.candidate, low_rows(storage, H), &w.candidate, data_of(scale_hh))
        if bias_ih is not None:
            sum_biases(w, data_of(checked(bias_ih, "bias_ih")), data_of(checked(bias_hh, "bias_hh")))

    cdef need_input(self):
        """The input weights are there."""

    @property
    def nbytes(self):
        """Bytes of the packed parameters, scales and biases included."""
        cdef char* space = NULL
        cdef Pack w = self.pack
        place_low(&w, &space)
        return <size_t>space

    def codes(self):
        """Return what was packed: codes_ih [I, G*H] and codes_hh [H, G*H], int32, the bits above the number's undefined."""
        cdef Pack* w = &self.pack
        cdef Layout* a = &w.layout
        cdef cnp.ndarray ih = np.empty((w.I, a.gates * w.H), np.int32)
        cdef cnp.ndarray hh = np.empty((w.H, a.gates * w.H), np.int32)
        move_codes(w, &a.input, w.I, &w.input, <int32_t*>cnp.PyArray_DATA(ih), True)
        move_codes(w, &a.state, w.H, &w.state, <int32_t*>cnp.PyArray_DATA(hh), True)
        move_codes(w, &a.candidate, w.H, &w.candidate, <int32_t*>cnp.PyArray_DATA(hh), True)
        return ih, hh


def quantized_path(int storage):
    """Return by which instructions the products of a precision are computed."""
    return (<bytes>low_path(storage)).decode()


cdef void place_low(Pack* w, char** space) noexcept nogil:
    cdef Layout* a = &w.layout
    cdef int scales = w.storage == INT8  # the last row of a panel
    w.input = forward_panels(a, &a.input, low_rows(w.storage, w.I) + scales, space)
    w.state = forward_panels(a, &a.state, low_rows(w.storage, w.H) + scales, space)
    w.candidate = forward_panels(a, &a.candidate, low_rows(w.storage, w.H) + scales, space)
    w.bias = <real*>carve(space, a.count * a.width * VLEN * sizeof(real))


cdef void move_codes(const Pack* w, const Part* part, Py_ssize_t K, const Panels* b, int32_t* codes, bint back) noexcept nogil:
    """codes [K, G*H] -> b, zeros on entry; or `back`."""
    cdef const Layout* a = &w.layout
    cdef uint32_t mask = 0xff if w.storage == INT8 else 0xffff
    cdef Py_ssize_t k, row, unit
    cdef int p, v, lane, bit
    cdef uint32_t* word
    cdef int32_t* code
    for p in range(b.count):
        for k in range(K):
            low_place(w.storage, K, k, &row, &bit)
            word = <uint32_t*>(b.data + p * b.panel_step + row * b.row_step)
            for v in range(part_vectors(a, part, p)):
                unit = unit_of(a, p, part.first + v)
                code = codes + (k * a.gates + a.order[part.first + v]) * a.H + unit
                for lane in range(lanes(a.H, unit)):
                    if back:
                        code[lane] = <int32_t>(word[lane] >> bit)
                    else:
                        word[lane] |= (<uint32_t>code[lane] & mask) << bit
                word += VLEN


cdef void pack_scales(const Layout* a, const Part* part, Py_ssize_t rows, Panels* b, const real* scale) noexcept nogil:
    """scale IN [G*H] -> the row behind `rows` rows of each panel."""
    cdef Py_ssize_t unit
    cdef int p, v
    cdef real* to
    for p in range(b.count):
        to = b.data + p * b.panel_step + rows * b.row_step
        for v in range(part_vectors(a, part, p)):
            unit = unit_of(a, p, part.first + v)
            v_store(to, v_load_n(scale + a.order[part.first + v] * a.H + unit, lanes(a.H, unit)))
            to += VLEN


cdef void place_rounded(Forward* f, char** space) noexcept nogil:
    """Room for the rows that a chunk and a step multiply."""
    cdef Py_ssize_t R = f.n1 - f.n0 if f.w.storage != FULL_PRECISION else 0
    place_rows(f.w, &f.rounded_x, 0 if f.ids != NULL else f.chunk * R, f.w.I, space)
    place_rows(f.w, &f.rounded, R, f.w.H, space)


cdef void place_rows(const Pack* w, RoundedRows* q, Py_ssize_t count, Py_ssize_t K, char** space) noexcept nogil:
    q.rows = <real*>carve(space, count * rounded_words(w.storage, K) * sizeof(real))
    q.scales = <real*>carve(space, count * 2 * sizeof(real))
    q.row_of = <const_row*>carve(space, count * sizeof(real*))
    q.scale_of = <const_row*>carve(space, count * sizeof(real*))


cdef void round_rows(const Pack* w, RoundedRows* q, const_row* rows, Py_ssize_t count, Py_ssize_t K) noexcept nogil:
    """rows IN [count] -> [K]; q OUT."""
    cdef Py_ssize_t m, words = rounded_words(w.storage, K)
    for m in range(count):
        q.row_of[m], q.scale_of[m] = q.rows + m * words, q.scales + 2 * m
        round_row(w.storage, rows[m], K, q.rows + m * words, q.scales + 2 * m)


cdef void multiply_low(const Sweep* s, const Group* group, real** stack_rows) noexcept nogil:
    """The tiles of a group, into the stack."""
    cdef const Step* step = &s.f.step
    cdef int offset = s.part.first * VLEN
    cdef LowProduct product = low_product(s.f.w.storage, step.H, s.b, step.input_step, group.rows * TILE_STEP * VLEN)
    if not s.started:
        product.rows = 0
    low_panels(&product, Walk(group.panel, group.panel + group.panels, s.f.turned), group.rows, s.h + group.row,
               s.f.rounded.scale_of + group.row, step.inputs + group.row, group.panel * step.input_step + offset,
               stack_rows, offset)


cdef struct LowProjection:
    const Forward* f
    int rows


cdef void project_low(const Forward* f, Py_ssize_t M) noexcept nogil:
    """z = bias + W x for the M rows of x that are rounded."""
    cdef LowProjection p = LowProjection(f, <int>M)
    run_phase(f.team, project_low_share, &p, f.shares)


cdef void project_low_share(void* argument, int share, int rank) noexcept nogil:
    cdef LowProjection* p = <LowProjection*>argument
    project_low_panels(p.f, p.rows, share_of_panels(p.f.w.input.count, p.f.shares, share, False))


cdef void project_low_panels(const Forward* f, int rows, Walk walk) noexcept nogil:
    """z of the first rows of x in some panels."""
    cdef Py_ssize_t row = f.w.layout.width * VLEN, step = f.step.input_step
    cdef LowProduct product = low_product(f.w.storage, f.w.I, &f.w.input, row, step)
    low_panels(&product, walk, rows, f.rounded_x.row_of, f.rounded_x.scale_of, f.bias_rows, walk.low * row, f.z_rows,
               walk.low * step)


cdef void gather_low(const Forward* f, Py_ssize_t symbol, real* z) noexcept nogil:
    """z OUT: bias + the weights of one input."""
    cdef const Pack* w = f.w
    cdef const Layout* a = &w.layout
    cdef const Panels* b = &w.input
    cdef const real* bias
    cdef const real* lanes_of
    cdef const real* scale
    cdef Py_ssize_t row
    cdef int p, v, bit
    low_place(w.storage, w.I, symbol, &row, &bit)
    for p in range(b.count):
        bias = w.bias + p * a.width * VLEN
        lanes_of = b.data + p * b.panel_step + row * b.row_step
        scale = b.data + p * b.panel_step + low_rows(w.storage, w.I) * b.row_step
        for v in range(panel_vectors(b, p)):
            v_store(z + v * VLEN, v_load(bias + v * VLEN) + low_gather(w.storage, lanes_of + v * VLEN, bit, scale + v * VLEN))
        z += f.step.input_step
