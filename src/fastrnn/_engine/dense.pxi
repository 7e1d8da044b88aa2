# A matrix and a bias at every row, alone and with the softmax cross-entropy that often follows it. The products are those
# of the recurrent layers: a Dense layer of J outputs lies like an RNN of J units that reads K inputs and has no state.
# Rows are worked through in blocks, so that neither the logits nor their gradients of all rows ever exist at once.

cdef enum:
    BLOCK_NUMBERS = 1 << 21  # outputs of a block, at most where that leaves the LEAST_ROWS
    LEAST_ROWS = 48          # that share a read of the weights


cdef class Matrix:
    """The parameters of a Dense layer as the engine reads them."""
    cdef Py_ssize_t K, J
    cdef Layout layout
    cdef Panels panels, back        # packed for x Wᵀ and for dy W
    cdef real* bias                 # [panel][width * VLEN]
    cdef cnp.ndarray weight
    cdef Buffer memory, back_memory

    def __init__(self, cnp.ndarray weight, bias):
        """weight [J, K], bias [J] or None. The pack for the gradient of x follows when it is used."""
        cdef char* space = NULL
        cdef Lie w = by_unit(data_of(checked(weight, "weight")), weight.shape[1])
        self.weight, self.J, self.K = weight, weight.shape[0], weight.shape[1]
        self.layout = make_layout(RNN, self.J)
        self.place(&space)
        self.memory = take(<size_t>space)
        space = self.memory.data
        self.place(&space)
        pack_forward(&self.layout, &self.layout.input, &w, self.K, &self.panels)
        memset(self.bias, 0, self.layout.count * self.layout.width * VLEN * sizeof(real))
        if bias is not None:
            memcpy(self.bias, data_of(checked(bias, "bias")), self.J * sizeof(real))

    cdef void place(self, char** space):
        self.panels = forward_panels(&self.layout, &self.layout.input, self.K, space)
        self.bias = <real*>carve(space, self.layout.count * self.layout.width * VLEN * sizeof(real))

    cdef need_back(self):
        """Pack the weights for the product that gives the gradient of x."""
        cdef char* space = NULL
        cdef Lie w = by_unit(data_of(self.weight), self.K)
        if self.back_memory is not None:
            return
        backward_panels(&self.layout, &self.layout.input, self.K, &space)
        self.back_memory = take(<size_t>space)
        space = self.back_memory.data
        self.back = backward_panels(&self.layout, &self.layout.input, self.K, &space)
        pack_backward(&self.layout, &self.layout.input, &w, self.K, &self.back)


cdef struct DenseCall:
    # one call over M rows; a block's `dz` holds its outputs first, then their gradients
    const Panels* weights
    const Panels* back      # NULL where no gradients are wanted
    const Layout* layout
    const real* bias
    Py_ssize_t M, K, J
    double seconds          # about, on one core
    Block block
    const_row* x_rows       # [block] -> [K]
    const_row* bias_rows    # [block] -> the bias, every row the same
    Panels weight           # gradient until the last block, [panel][K][width * VLEN]
    Lie d_weight            # OUT [J, K]
    real* dx                # [block, K rounded up]
    real** dx_rows          # [block]
    # of the block under work, which begins at row `begin` and has `count` rows
    Py_ssize_t begin, count
    real* y                 # OUT [M, J]
    real* dx_out            # OUT [., K]
    const int64_t* rows     # IN  [M]: which rows of x and dx_out count, or NULL for all
    const int64_t* targets  # IN  [M]
    const double* scale     # IN  [M]: dL / d loss of a row
    double* losses          # OUT [M]


cdef DenseCall begin_call(Matrix w, Py_ssize_t M, bint back):
    cdef DenseCall s
    cdef Py_ssize_t rows = max(BLOCK_NUMBERS // (w.layout.count * w.layout.width * VLEN), LEAST_ROWS)
    memset(&s, 0, sizeof(DenseCall))
    if back:
        w.need_back()
        s.back = &w.back
    s.weights, s.layout, s.bias, s.M, s.K, s.J = &w.panels, &w.layout, w.bias, M, w.K, w.J
    s.block.rows = min(min(rows, BLOCK_ROWS), M)
    s.seconds = (3 if back else 1) * seconds_of(<double>s.K * s.J, M)
    s.block.shares = shares_for(s.seconds)
    return s


cdef void place_call(DenseCall* s, char** space) noexcept nogil:
    """Lay the workspace out; from NULL it is only measured."""
    cdef const Layout* a = s.layout
    cdef Py_ssize_t rows = s.block.rows
    place_block(&s.block, a, s.K, space)
    s.x_rows = <const_row*>carve(space, rows * sizeof(real*))
    s.bias_rows = <const_row*>carve(space, rows * sizeof(real*))
    if s.back != NULL:
        s.weight = forward_panels(a, &a.input, s.K if s.M > rows else 0, space)  # a single block's sums are the result
        s.dx = <real*>carve(space, rows * round_up(s.K, VLEN) * sizeof(real))
        s.dx_rows = <real**>carve(space, rows * sizeof(real*))


cdef Buffer call_memory(DenseCall* s):
    """The workspace of a call, laid out."""
    cdef char* space = NULL
    place_call(s, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_call(s, &space)
    return memory


cdef void start_call(DenseCall* s) noexcept nogil:
    """Fill what stays the same through the call."""
    cdef const Layout* a = s.layout
    cdef Py_ssize_t m, row = a.width * VLEN
    start_block(&s.block, a, s.K)
    memset(s.block.dz + (a.count - 1) * s.block.rows * row, 0, s.block.rows * row * sizeof(real))
    for m in range(s.block.rows):
        s.bias_rows[m] = s.bias
        if s.back != NULL:
            s.dx_rows[m] = s.dx + m * round_up(s.K, VLEN)


cdef void point_rows(DenseCall* s, const real* x) noexcept nogil:
    cdef Py_ssize_t m
    for m in range(s.count):
        s.x_rows[m] = x + (s.begin + m if s.rows == NULL else s.rows[s.begin + m]) * s.K


cdef inline real* panel_of(const DenseCall* s, Py_ssize_t m, int p) noexcept nogil:
    """Row m of the block in panel p."""
    return s.block.dz + (p * s.block.rows + m) * s.layout.width * VLEN


cdef void outputs_share(void* argument, int share, int rank) noexcept nogil:
    """z = x Wᵀ + bias of the block in a share of the panels, and its copy in y where one is wanted."""
    cdef DenseCall* s = <DenseCall*>argument
    cdef Inner inner = run_of(s.K)
    cdef Py_ssize_t m, columns = s.layout.width * VLEN
    cdef int p
    cdef Walk walk = share_of_panels(s.weights.count, s.block.shares, share, False)
    gemm(s.count, s.x_rows, &inner, s.weights, walk, s.bias_rows, columns, <real**>s.block.dz_rows,
         s.block.rows * columns)
    if s.y != NULL:
        for m in range(s.count):
            for p in range(walk.low, walk.high):
                copy_row(s.y + (s.begin + m) * s.J + p * columns, panel_of(s, m, p), min(columns, s.J - p * columns))


cdef void losses_share(void* argument, int share, int rank) noexcept nogil:
    """The losses of a share of the block's rows, and their gradients in place of the logits."""
    cdef DenseCall* s = <DenseCall*>argument
    cdef Py_ssize_t m, panel_step = s.block.rows * s.layout.width * VLEN
    for m in range(s.begin + share_end(<int>s.count, s.block.shares, share - 1),
                   s.begin + share_end(<int>s.count, s.block.shares, share)):
        s.losses[m] = softmax_row(panel_of(s, m - s.begin, 0), panel_step, s.layout, s.targets[m], s.scale[m],
                                  s.back != NULL)


cdef void gradients(DenseCall* s) noexcept nogil:
    """From dz of the block add to the parameters' gradients and give dx."""
    cdef const Layout* a = s.layout
    cdef Py_ssize_t m
    add_weights(&s.block, a, &a.input, s.x_rows, s.count, s.K, &s.weight,
                &s.d_weight if s.begin + s.count == s.M else NULL)
    add_bias(&s.block, a, s.count)
    s.block.fresh = False
    share_product(s.block.team, s.block.shares, s.count, s.block.dz_rows, across_panels(&s.block, a, &a.input), s.back,
                  s.block.zero_rows, 0, s.dx_rows, TILE_VECTORS * VLEN)
    for m in range(s.count):
        copy_row(s.dx_out + (s.begin + m if s.rows == NULL else s.rows[s.begin + m]) * s.K, s.dx_rows[m], s.K)


def dense_forward(Matrix w, cnp.ndarray x, cnp.ndarray y):
    """y OUT [M, J] = x IN [M, K] Wᵀ + bias, both contiguous."""
    cdef DenseCall s = begin_call(w, x.shape[0], False)
    cdef const real* from_ = data_of(checked(x, "x"))
    cdef Py_ssize_t begin
    cdef unsigned int mode
    cdef Buffer memory = call_memory(&s)
    s.y = data_of(checked(y, "y"))
    with nogil:
        mode = denormals_flush()
        s.block.team = begin_region(s.block.shares, s.seconds)
        start_call(&s)
        for begin from 0 <= begin < s.M by max(s.block.rows, 1):
            s.begin, s.count = begin, min(s.block.rows, s.M - begin)
            point_rows(&s, from_)
            run_phase(s.block.team, outputs_share, &s, s.block.shares)
        end_region(s.block.team)
        denormals_restore(mode)


def dense_backward(Matrix w, cnp.ndarray x, cnp.ndarray dy, cnp.ndarray dx, cnp.ndarray d_weight, d_bias):
    """dx OUT [M, K], d_weight OUT [J, K], d_bias OUT [J] or None from x IN [M, K] and dy IN [M, J], all contiguous."""
    cdef DenseCall s = begin_call(w, x.shape[0], True)
    cdef const real* from_ = data_of(checked(x, "x"))
    cdef const real* above = data_of(checked(dy, "dy"))
    cdef real* bias = optional(d_bias, "d_bias")
    cdef Py_ssize_t begin, m, columns = s.layout.width * VLEN
    cdef int p
    cdef unsigned int mode
    cdef Buffer memory = call_memory(&s)
    s.dx_out, s.d_weight = data_of(checked(dx, "dx")), by_unit(data_of(checked(d_weight, "d_weight")), s.K)
    with nogil:
        mode = denormals_flush()
        s.block.team = begin_region(s.block.shares, s.seconds)
        start_call(&s)
        for begin from 0 <= begin < max(s.M, 1) by max(s.block.rows, 1):  # no rows: one empty block, which gives zeros
            s.begin, s.count = begin, min(s.block.rows, s.M - begin)
            point_rows(&s, from_)
            for m in range(s.count):
                for p in range(s.layout.count):
                    copy_row(panel_of(&s, m, p), above + (begin + m) * s.J + p * columns,
                             min(columns, s.J - p * columns))
            gradients(&s)
        give_bias(s.layout, False, s.block.bias, bias, NULL)
        end_region(s.block.team)
        denormals_restore(mode)


def dense_cross_entropy(Matrix w, cnp.ndarray h, cnp.ndarray rows, cnp.ndarray targets, cnp.ndarray scale,
                        cnp.ndarray losses, dh, d_weight, d_bias):
    """The softmax cross-entropy of h Wᵀ + bias at some rows, and its gradients, a block of rows at a time.

    h IN [·, K]; rows IN int64 [M]: those that count; targets IN int64 [M]; scale IN float64 [M]: dL / d loss of a row;
    losses OUT float64 [M]; dh OUT [·, K], zeros on entry, or None, which asks for the losses alone; d_weight OUT
    [J, K]; d_bias OUT [J] or None.
    """
    cdef DenseCall s = begin_call(w, rows.shape[0], dh is not None)
    cdef const real* from_ = data_of(checked(h, "h"))
    cdef real* bias = optional(d_bias, "d_bias")
    cdef Py_ssize_t begin
    cdef unsigned int mode
    cdef Buffer memory = call_memory(&s)
    s.rows = <const int64_t*>cnp.PyArray_DATA(rows)
    s.targets = <const int64_t*>cnp.PyArray_DATA(targets)
    s.scale = <const double*>cnp.PyArray_DATA(scale)
    s.losses = <double*>cnp.PyArray_DATA(losses)
    s.dx_out, s.d_weight = optional(dh, "dh"), by_unit(optional(d_weight, "d_weight"), s.K)
    with nogil:
        mode = denormals_flush()
        s.block.team = begin_region(s.block.shares, s.seconds)
        start_call(&s)
        for begin from 0 <= begin < max(s.M, 1) by max(s.block.rows, 1):  # no rows: one empty block, which gives zeros
            s.begin, s.count = begin, min(s.block.rows, s.M - begin)
            point_rows(&s, from_)
            run_phase(s.block.team, outputs_share, &s, s.block.shares)
            run_phase(s.block.team, losses_share, &s, s.block.shares)
            if s.back != NULL:
                gradients(&s)
        if s.back != NULL:
            give_bias(s.layout, False, s.block.bias, bias, NULL)
        end_region(s.block.team)
        denormals_restore(mode)
