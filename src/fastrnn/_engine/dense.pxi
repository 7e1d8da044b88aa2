# A matrix and a bias at every row, alone and with the softmax cross-entropy that often follows it. The products are those
# of the recurrent layers: a Dense layer of J outputs lies like an RNN of J units that reads K inputs and has no state.
# Rows are worked through in blocks, so that neither the logits nor their gradients of all rows ever exist at once.

cdef enum:
    BLOCK_NUMBERS = 1 << 21  # outputs of a block, at most where that leaves the LEAST_ROWS
    LEAST_ROWS = 48          # that share a read of the weights


cdef class Matrix:
    """The parameters of a Dense layer as the engine reads them: weight [J, K] and bias [J] or None."""
    cdef Py_ssize_t K, J
    cdef Layout layout
    cdef Panels panels, back        # packed for x Wᵀ and for dy W
    cdef real* bias                 # [panel][width * VLEN]
    cdef cnp.ndarray weight
    cdef Buffer memory, back_memory
    cdef bint has_back

    def __init__(self, Py_ssize_t K, Py_ssize_t J):
        cdef char* space = NULL
        self.K, self.J, self.layout = K, J, make_layout(RNN, J)
        self.place(&space)
        self.memory = take(<size_t>space)
        space = self.memory.data
        self.place(&space)

    cdef void place(self, char** space):
        self.panels = forward_panels(&self.layout, &self.layout.input, self.K, space)
        self.bias = <real*>carve(space, self.layout.count * self.layout.width * VLEN * sizeof(real))

    def set(self, cnp.ndarray weight, bias):
        """Take new parameters. The pack for the gradient of x follows when it is used."""
        cdef Lie w = by_unit(data_of(checked(weight, "weight")), self.K)
        self.weight, self.has_back = weight, False
        pack_forward(&self.layout, &self.layout.input, &w, self.K, &self.panels)
        memset(self.bias, 0, self.layout.count * self.layout.width * VLEN * sizeof(real))
        if bias is not None:
            memcpy(self.bias, data_of(checked(bias, "bias")), self.J * sizeof(real))

    cdef need_back(self):
        """Pack the weights for the product that gives the gradient of x."""
        cdef char* space = NULL
        cdef Lie w = by_unit(data_of(self.weight), self.K)
        if self.has_back:
            return
        if self.back_memory is None:
            backward_panels(&self.layout, &self.layout.input, self.K, &space)
            self.back_memory = take(<size_t>space)
        space = self.back_memory.data
        self.back = backward_panels(&self.layout, &self.layout.input, self.K, &space)
        pack_backward(&self.layout, &self.layout.input, &w, self.K, &self.back)
        self.has_back = True


cdef struct Sweep:
    # one call over M rows; a block's `dz` holds its outputs first, then their gradients
    Py_ssize_t M, K, J
    Block block
    const_row* x_rows       # [block] -> [K]
    const_row* bias_rows    # [block] -> the bias, every row the same
    Panels weight           # gradient, [panel][K][width * VLEN]
    real* dx                # [block, K rounded up]
    real** dx_rows          # [block]


cdef Sweep make_sweep(Matrix w, Py_ssize_t M) noexcept nogil:
    cdef Sweep s
    cdef Py_ssize_t rows = max(BLOCK_NUMBERS // (w.layout.count * w.layout.width * VLEN), LEAST_ROWS)
    memset(&s, 0, sizeof(Sweep))
    s.M, s.K, s.J = M, w.K, w.J
    s.block.rows = min(min(rows, BLOCK_ROWS), M)
    return s


cdef void place_sweep(Sweep* s, Matrix w, bint back, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured. `back`: whether gradients are wanted."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t rows = s.block.rows
    place_block(&s.block, a, s.K, space)
    s.x_rows = <const_row*>carve(space, rows * sizeof(real*))
    s.bias_rows = <const_row*>carve(space, rows * sizeof(real*))
    if back:
        s.weight = forward_panels(a, &a.input, s.K, space)
        s.dx = <real*>carve(space, rows * round_up(s.K, VLEN) * sizeof(real))
        s.dx_rows = <real**>carve(space, rows * sizeof(real*))


cdef void start_sweep(Sweep* s, Matrix w, bint back) noexcept nogil:
    """Fill what stays the same through the call."""
    cdef Layout* a = &w.layout
    cdef Py_ssize_t m, row = a.width * VLEN
    start_block(&s.block, a, s.K)
    memset(s.block.dz + (a.count - 1) * s.block.rows * row, 0, s.block.rows * row * sizeof(real))
    for m in range(s.block.rows):
        s.bias_rows[m] = w.bias
        if back:
            s.dx_rows[m] = s.dx + m * round_up(s.K, VLEN)
    if back:
        clear_panels(&s.weight)


cdef void outputs(Sweep* s, Matrix w, const real* x, const int64_t* rows, Py_ssize_t M) noexcept nogil:
    """The block's z = x Wᵀ + bias for M rows of x; `rows` IN [M] tells which, NULL the first."""
    cdef Inner inner = run_of(s.K)
    cdef Py_ssize_t m
    for m in range(M):
        s.x_rows[m] = x + (m if rows == NULL else rows[m]) * s.K
    gemm(M, s.x_rows, &inner, &w.panels, s.bias_rows, w.layout.width * VLEN, <real**>s.block.dz_rows,
         s.block.rows * w.layout.width * VLEN)


cdef void gradients(Sweep* s, Matrix w, real* dx, const int64_t* rows, Py_ssize_t M) noexcept nogil:
    """From dz of a block, to which x_rows belong, add to the parameters' gradients and give dx OUT [., K]."""
    cdef Layout* a = &w.layout
    cdef Inner inner = across_panels(&s.block, a, &a.input)
    cdef Py_ssize_t m
    add_weights(&s.block, a, &a.input, s.x_rows, M, s.K, &s.weight)
    add_bias(&s.block, a, M)
    gemm(M, s.block.dz_rows, &inner, &w.back, s.block.zero_rows, 0, s.dx_rows, TILE_VECTORS * VLEN)
    for m in range(M):
        copy_row(dx + (m if rows == NULL else rows[m]) * s.K, s.dx_rows[m], s.K)


cdef void give_parameters(Sweep* s, Matrix w, real* d_weight, real* d_bias) noexcept nogil:
    """d_weight OUT [J, K], d_bias OUT [J] or NULL."""
    cdef Lie lie = by_unit(d_weight, s.K)
    give_weights(&w.layout, &w.layout.input, &s.weight, s.K, &lie)
    give_bias(&w.layout, False, s.block.bias, d_bias, NULL)


cdef inline real* panel_of(const Sweep* s, const Layout* a, Py_ssize_t m, int p) noexcept nogil:
    """Row m of the block in panel p."""
    return s.block.dz + (p * s.block.rows + m) * a.width * VLEN


def dense_forward(Matrix w, cnp.ndarray x, cnp.ndarray y):
    """y OUT [M, J] = x IN [M, K] Wᵀ + bias, both contiguous."""
    cdef Sweep s = make_sweep(w, x.shape[0])
    cdef Layout* a = &w.layout
    cdef const real* from_ = data_of(checked(x, "x"))
    cdef real* to = data_of(checked(y, "y"))
    cdef char* space = NULL
    cdef Py_ssize_t begin, m, M, columns = a.width * VLEN
    cdef int p
    cdef unsigned int mode
    place_sweep(&s, w, False, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_sweep(&s, w, False, &space)
    with nogil:
        mode = denormals_flush()
        start_sweep(&s, w, False)
        for begin from 0 <= begin < s.M by max(s.block.rows, 1):
            M = min(s.block.rows, s.M - begin)
            outputs(&s, w, from_ + begin * s.K, NULL, M)
            for m in range(M):
                for p in range(a.count):
                    copy_row(to + (begin + m) * s.J + p * columns, panel_of(&s, a, m, p),
                             min(columns, s.J - p * columns))
        denormals_restore(mode)


def dense_backward(Matrix w, cnp.ndarray x, cnp.ndarray dy, cnp.ndarray dx, cnp.ndarray d_weight, d_bias):
    """dx OUT [M, K], d_weight OUT [J, K], d_bias OUT [J] or None from x IN [M, K] and dy IN [M, J], all contiguous."""
    cdef Sweep s = make_sweep(w, x.shape[0])
    cdef Layout* a = &w.layout
    cdef const real* from_ = data_of(checked(x, "x"))
    cdef const real* above = data_of(checked(dy, "dy"))
    cdef real* below = data_of(checked(dx, "dx"))
    cdef real* weight = data_of(checked(d_weight, "d_weight"))
    cdef real* bias = optional(d_bias, "d_bias")
    cdef char* space = NULL
    cdef Py_ssize_t begin, m, M, columns = a.width * VLEN
    cdef int p
    cdef unsigned int mode
    w.need_back()
    place_sweep(&s, w, True, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_sweep(&s, w, True, &space)
    with nogil:
        mode = denormals_flush()
        start_sweep(&s, w, True)
        for begin from 0 <= begin < s.M by max(s.block.rows, 1):
            M = min(s.block.rows, s.M - begin)
            for m in range(M):
                s.x_rows[m] = from_ + (begin + m) * s.K
                for p in range(a.count):
                    copy_row(panel_of(&s, a, m, p), above + (begin + m) * s.J + p * columns,
                             min(columns, s.J - p * columns))
            gradients(&s, w, below + begin * s.K, NULL, M)
        give_parameters(&s, w, weight, bias)
        denormals_restore(mode)


def dense_cross_entropy(Matrix w, cnp.ndarray h, cnp.ndarray rows, cnp.ndarray targets, cnp.ndarray scale,
                        cnp.ndarray losses, dh, d_weight, d_bias):
    """The softmax cross-entropy of h Wᵀ + bias at some rows, and its gradients, a block of rows at a time.

    h IN [·, K]; rows IN int64 [M]: those that count; targets IN int64 [M]; scale IN float64 [M]: dL / d loss of a row;
    losses OUT float64 [M]; dh OUT [·, K], zeros on entry, or None, which asks for the losses alone; d_weight OUT
    [J, K]; d_bias OUT [J] or None.
    """
    cdef Sweep s = make_sweep(w, rows.shape[0])
    cdef Layout* a = &w.layout
    cdef const real* from_ = data_of(checked(h, "h"))
    cdef const int64_t* row = <const int64_t*>cnp.PyArray_DATA(rows)
    cdef const int64_t* target = <const int64_t*>cnp.PyArray_DATA(targets)
    cdef const double* weight_of = <const double*>cnp.PyArray_DATA(scale)
    cdef double* loss = <double*>cnp.PyArray_DATA(losses)
    cdef real* below = optional(dh, "dh")
    cdef real* weight = optional(d_weight, "d_weight")
    cdef real* bias = optional(d_bias, "d_bias")
    cdef bint back = dh is not None
    cdef char* space = NULL
    cdef Py_ssize_t begin, m, M, panel_step = s.block.rows * a.width * VLEN
    cdef unsigned int mode
    if back:
        w.need_back()
    place_sweep(&s, w, back, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_sweep(&s, w, back, &space)
    with nogil:
        mode = denormals_flush()
        start_sweep(&s, w, back)
        for begin from 0 <= begin < s.M by max(s.block.rows, 1):
            M = min(s.block.rows, s.M - begin)
            outputs(&s, w, from_, row + begin, M)
            for m in range(M):
                loss[begin + m] = softmax_row(panel_of(&s, a, m, 0), panel_step, a, target[begin + m],
                                              weight_of[begin + m], back)
            if back:
                gradients(&s, w, below, row + begin, M)
        if back:
            give_parameters(&s, w, weight, bias)
        denormals_restore(mode)
