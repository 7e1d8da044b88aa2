# What adds up over rows: products of a block's gradients of the pre-activations with what those were made from.

cdef struct Block:
    # the rows of some whole steps (of a Dense layer: any rows), their gradients, and room to multiply these out
    Team* team                      # who shares out the products
    int shares                      # into so many
    Py_ssize_t rows                 # at most
    bint fresh                      # nothing has been added up yet: the gradients' memory is undefined
    real* dz                        # [panel][rows][width * VLEN]: gradients of the pre-activations
    const_row* dz_rows              # [rows] -> panel 0
    const_row* zero_rows            # [rows] -> zeros
    real* zeros                     # [widest, rounded up]
    real* transposed                # [tile][rows][TILE_ROWS]: inputs, ready to be multiplied by dz
    const_row* transposed_rows      # [widest]
    real** gradient_rows            # [widest]
    const_row* fresh_rows           # [widest] -> zeros
    real* bias                      # [panel][width * VLEN]: gradient of the bias


cdef inline Py_ssize_t spread(Py_ssize_t count) noexcept nogil:
    """Round `count` numbers up to an odd number of cache lines: arrays so far apart share no cache sets."""
    cdef Py_ssize_t line = 64 // <Py_ssize_t>sizeof(real)
    return (ceil_div(count, line) | 1) * line


cdef void place_block(Block* b, const Layout* a, Py_ssize_t widest, char** space) noexcept nogil:
    """Lay a block out; `widest`: numbers in the longest row that dz is multiplied with, or in a row of the result."""
    b.dz = <real*>carve(space, a.count * b.rows * a.width * VLEN * sizeof(real))
    b.dz_rows = <const_row*>carve(space, b.rows * sizeof(real*))
    b.zero_rows = <const_row*>carve(space, b.rows * sizeof(real*))
    b.zeros = <real*>carve(space, (widest + 4 * VLEN) * sizeof(real))
    b.transposed = <real*>carve(space, ceil_div(widest, TILE_ROWS) * spread(b.rows * TILE_ROWS) * sizeof(real))
    b.transposed_rows = <const_row*>carve(space, widest * sizeof(real*))
    b.gradient_rows = <real**>carve(space, widest * sizeof(real*))
    b.fresh_rows = <const_row*>carve(space, widest * sizeof(real*))
    b.bias = <real*>carve(space, a.count * a.width * VLEN * sizeof(real))


cdef void start_block(Block* b, const Layout* a, Py_ssize_t widest) noexcept nogil:
    """Fill what stays the same, and clear what adds up."""
    cdef Py_ssize_t m, row = a.width * VLEN
    b.fresh = True
    for m in range(widest):
        b.fresh_rows[m] = b.zeros
    memset(b.zeros, 0, (widest + 4 * VLEN) * sizeof(real))
    memset(b.bias, 0, a.count * row * sizeof(real))
    for m in range(b.rows):
        b.dz_rows[m] = b.dz + m * row
        b.zero_rows[m] = b.zeros


cdef void clear_panels(Panels* b) noexcept nogil:
    memset(b.data, 0, b.count * b.panel_step * sizeof(real))


cdef Inner across_panels(const Block* b, const Layout* a, const Part* part) noexcept nogil:
    """The inner dimension of a product with dz: a part's run of every panel."""
    cdef Inner inner
    inner.runs, inner.run, inner.a_step = a.count, part.vectors * VLEN, 1
    inner.a_run, inner.b_step = b.rows * a.width * VLEN, 0
    return inner


cdef struct Transposition:
    # rows of inputs on their way into `transposed`
    Block* block
    const_row* rows     # IN  [M] -> [K]
    Py_ssize_t M, K


cdef void transpose_share(void* argument, int share, int rank) noexcept nogil:
    cdef Transposition* job = <Transposition*>argument
    cdef Py_ssize_t i, m, K = job.K, tile_step = spread(job.M * TILE_ROWS)
    cdef int end = share_end(<int>job.M, job.block.shares, share)
    cdef real* to
    for m in range(share_end(<int>job.M, job.block.shares, share - 1), end):
        if m + AHEAD < end:
            prefetch_row(job.rows[m + AHEAD], K)
        to = job.block.transposed + m * TILE_ROWS
        for i from 0 <= i <= K - TILE_ROWS by TILE_ROWS:
            memcpy(to, job.rows[m] + i, TILE_ROWS * sizeof(real))
            to += tile_step
        i = K - K % TILE_ROWS
        if i < K:
            copy_row(to, job.rows[m] + i, K - i)


cdef void add_weights(Block* b, const Layout* a, const Part* part, const_row* rows, Py_ssize_t M, Py_ssize_t K,
                      Panels* gradient) noexcept nogil:
    """gradient += rowsᵀ dz over the M rows of a block, from zero in a fresh one; rows IN [M] -> [K]."""
    cdef Py_ssize_t i, tile_step = spread(M * TILE_ROWS)
    cdef Transposition job = Transposition(b, rows, M, K)
    cdef Panels dz
    cdef Inner inner
    run_phase(b.team, transpose_share, &job, b.shares)
    for i in range(K):
        b.transposed_rows[i] = b.transposed + (i // TILE_ROWS) * tile_step + i % TILE_ROWS
        b.gradient_rows[i] = gradient.data + i * gradient.row_step
    dz.data = b.dz + part.first * VLEN
    dz.panel_step, dz.row_step = b.rows * a.width * VLEN, a.width * VLEN
    dz.count, dz.vectors, dz.last = gradient.count, gradient.vectors, gradient.last
    inner.runs, inner.run, inner.a_step, inner.a_run, inner.b_step = 1, M, TILE_ROWS, 0, 0
    share_product(b.team, b.shares, K, b.transposed_rows, inner, &dz,
                  b.fresh_rows if b.fresh else <const_row*>b.gradient_rows, 0 if b.fresh else gradient.panel_step,
                  b.gradient_rows, gradient.panel_step)


cdef void add_bias(Block* b, const Layout* a, Py_ssize_t M) noexcept nogil:
    cdef Py_ssize_t m, v, row = a.width * VLEN
    cdef int p
    cdef vec total
    for p in range(a.count):
        for v in range(bias_vectors(a, p)):
            total = v_load(b.bias + p * row + v * VLEN)
            for m in range(M):
                total = total + v_load(b.dz + (p * b.rows + m) * row + v * VLEN)
            v_store(b.bias + p * row + v * VLEN, total)


cdef inline int bias_vectors(const Layout* a, int p) noexcept nogil:
    """Vectors of panel p that hold units."""
    return a.last if a.units > 1 and p == a.count - 1 else a.width


cdef void give_weights(const Layout* a, const Part* part, const Panels* b, Py_ssize_t K, const Lie* w) noexcept nogil:
    """w OUT [K, G*H]: the twin of pack_forward."""
    cdef Py_ssize_t k, unit
    cdef int p, v, n, lane
    cdef const real* source
    cdef real* to
    for p in range(b.count):
        for k in range(K):
            source = b.data + p * b.panel_step + k * b.row_step
            for v in range(panel_vectors(b, p)):
                unit = unit_of(a, p, part.first + v)
                n = lanes(a.H, unit)
                to = <real*>w.data + k * w.k_step + (a.order[part.first + v] * a.H + unit) * w.unit_step
                if w.unit_step == 1:
                    v_store_n(to, v_load(source), n)
                else:
                    for lane in range(n):
                        to[lane * w.unit_step] = source[lane]
                source += VLEN


cdef void give_bias(const Layout* a, bint apart, const real* bias, real* d_ih, real* d_hh) noexcept nogil:
    """d_ih, d_hh OUT [G*H], alike but for the GRU's candidate (`apart`): n has b_ih, s has b_hh. Either may be NULL."""
    cdef Py_ssize_t unit
    cdef int p, v, n
    cdef vec d
    for p in range(a.count):
        for v in range(bias_vectors(a, p)):
            unit = unit_of(a, p, v)
            n = lanes(a.H, unit)
            unit += a.order[v] * a.H
            d = v_load(bias + (p * a.width + v) * VLEN)
            if d_ih != NULL and not (apart and v == 3):
                v_store_n(d_ih + unit, d, n)
            if d_hh != NULL and not (apart and v == 0):
                v_store_n(d_hh + unit, d, n)
