# What adds up over rows: products of a block's gradients of the pre-activations with what those were made from.

cdef struct Block:
    # the rows of some whole steps (of a Dense layer: any rows), their gradients, and room to multiply these out
    Team* team                      # who shares out the products
    int shares                      # into so many
    Py_ssize_t rows                 # at most
    bint fresh                      # nothing has been added up yet: the gradients' memory is undefined
    real* dz                        # [panel][rows][width * VLEN]: gradients of the pre-activations
    real* dz_beside                 # [rows][width * VLEN]: of the last panel, gates side by side where its weights lie so
    const_row* dz_rows              # [rows] -> panel 0
    const_row* zero_rows            # [rows] -> zeros
    real* zeros                     # [widest, rounded up]
    real* transposed                # [tile][rows][TILE_ROWS]: inputs, ready to be multiplied by dz
    const_row* transposed_rows      # [widest]
    real** gradient_rows            # [widest]
    const_row* fresh_rows           # [widest] -> zeros
    real* bias                      # [panel][width * VLEN]: gradient of the bias
    Py_ssize_t strip_rows           # of a strip: rows of the sums of weights, on their way to where they are wanted
    real* strip                     # [strips][panel][strip_rows][width * VLEN]; one for all shares of the panels, or each its own
    real** strip_at                 # [strips * strip_rows]


cdef enum:
    STRIP_ROWS = 36  # of a strip, at least: a multiple of every TILE_ROWS


cdef inline bint splits_panels(const Block* b, int count) noexcept nogil:
    """Whether products for `count` panels are shared out by these, and not by the rows of the result."""
    return count >= 2 * b.shares


cdef inline int strips_of(const Block* b, const Layout* a) noexcept nogil:
    return 1 if splits_panels(b, a.count) else b.shares


cdef inline Py_ssize_t spread(Py_ssize_t count) noexcept nogil:
    """Round `count` numbers up to an odd number of cache lines: arrays so far apart share no cache sets."""
    cdef Py_ssize_t line = LINE_BYTES // <Py_ssize_t>sizeof(real)
    return (ceil_div(count, line) | 1) * line


cdef void place_block(Block* b, const Layout* a, Py_ssize_t widest, char** space) noexcept nogil:
    """Lay a block out; `widest`: numbers in the longest row that dz is multiplied with, or in a row of the result."""
    b.dz = <real*>carve(space, a.count * b.rows * a.width * VLEN * sizeof(real))
    if beside(a) != WHOLE:
        b.dz_beside = <real*>carve(space, b.rows * a.width * VLEN * sizeof(real))
    b.dz_rows = <const_row*>carve(space, b.rows * sizeof(real*))
    b.zero_rows = <const_row*>carve(space, b.rows * sizeof(real*))
    b.zeros = <real*>carve(space, (widest + 4 * VLEN) * sizeof(real))
    b.transposed = <real*>carve(space, ceil_div(widest, TILE_ROWS) * spread(b.rows * TILE_ROWS) * sizeof(real))
    b.transposed_rows = <const_row*>carve(space, widest * sizeof(real*))
    b.gradient_rows = <real**>carve(space, widest * sizeof(real*))
    b.fresh_rows = <const_row*>carve(space, widest * sizeof(real*))
    b.bias = <real*>carve(space, a.count * a.width * VLEN * sizeof(real))
    b.strip_rows = min(max(b.rows, STRIP_ROWS), max(widest, 1))  # low ones stay in cache; but dz is read for each
    b.strip = <real*>carve(space, strips_of(b, a) * a.count * b.strip_rows * a.width * VLEN * sizeof(real))
    b.strip_at = <real**>carve(space, strips_of(b, a) * b.strip_rows * sizeof(real*))


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
    for m in range(strips_of(b, a) * b.strip_rows):
        b.strip_at[m] = b.strip + (m // b.strip_rows * a.count * b.strip_rows + m % b.strip_rows) * row


cdef Inner across_panels(const Block* b, const Layout* a, const Part* part) noexcept nogil:
    """The inner dimension of a product with dz: a part's run of every panel, and of the last one but what holds units."""
    cdef Py_ssize_t units = a.H % (a.units * VLEN), panel = b.rows * a.width * VLEN, run = part.vectors * VLEN
    if units == 0:
        return Inner(a.count, run, 1, panel, 0, 0, 0, 0)
    if a.units > 1:
        return Inner(a.count - 1, run, 1, panel, 0, 1, units, units)
    return Inner(a.count - 1, run, 1, panel, 0, part.vectors, units, VLEN)  # a run for each gate


cdef inline Fill beside(const Layout* a) noexcept nogil:
    """How the gates' last units lie side by side."""
    return fill_of(a.H, True) if a.units == 1 else WHOLE


cdef struct Transposition:
    # rows of inputs on their way into `transposed`, and of dz into `dz_beside`
    Block* block
    const Layout* a
    const Part* part
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
        if beside(job.a) != WHOLE:
            set_beside(job, m)


cdef inline void set_beside(const Transposition* job, Py_ssize_t m) noexcept nogil:
    """Row m of the last panel's dz, the gates of a part side by side."""
    cdef const Layout* a = job.a
    cdef Py_ssize_t row = a.width * VLEN
    cdef int v, lanes = VLEN // side_by_side(beside(a))
    cdef const real* dz = job.block.dz + ((a.count - 1) * job.block.rows + m) * row + job.part.first * VLEN
    for v in range(job.part.vectors):
        v_store(job.block.dz_beside + m * row + v * lanes, v_load(dz + v * VLEN))


cdef struct Strip:
    # rows first, first + 1, ... of some panels of a product, on their way to where they belong
    const real* data    # IN [panel][rows][width * VLEN]
    Py_ssize_t panel_step, first, rows
    int p0, p1
    bint stream         # past the caches


cdef struct WeightSum:
    # the product of a block with what feeds a part, on top of the sums of the blocks before
    const Block* block
    const Layout* a
    const Part* part
    Py_ssize_t K
    Inner inner
    Panels dz
    const Panels* sums      # IN-OUT [panel][K][vectors * VLEN]
    const Lie* result       # OUT [K, G*H], by the last block; before it NULL


cdef void sum_share(void* argument, int share, int rank) noexcept nogil:
    """A share of the panels or, where these are too few, of the rows of the result."""
    cdef WeightSum* job = <WeightSum*>argument
    cdef const Block* b = job.block
    cdef bint panels = splits_panels(b, job.dz.count)
    cdef int count = job.dz.count if panels else <int>job.K
    cdef int begin = share_end(count, b.shares, share - 1), end = share_end(count, b.shares, share)
    cdef int p0 = begin if panels else 0, p1 = end if panels else job.dz.count
    cdef Py_ssize_t k, k0 = 0 if panels else begin, k1 = job.K if panels else end
    cdef bint last = job.result != NULL
    cdef Py_ssize_t step = b.strip_rows if last else max(k1 - k0, 1)
    cdef Py_ssize_t out_panel = b.strip_rows * job.a.width * VLEN if last else job.sums.panel_step
    cdef const_row* init = b.fresh_rows if b.fresh else <const_row*>b.gradient_rows
    cdef real** out = b.strip_at + (0 if panels else share * b.strip_rows)
    cdef bint stream = last and sweeps_cache(job.K * job.a.gates * job.a.H) and lies_by_lines(job.a, job.result)
    cdef Strip strip
    for k from k0 <= k < k1 by step:
        strip = Strip(out[0], out_panel, k, min(step, k1 - k), p0, p1, stream)
        gemm(strip.rows, b.transposed_rows + k, &job.inner, &job.dz, Walk(p0, p1, False), init + k,
             0 if b.fresh else job.sums.panel_step, out if last else b.gradient_rows + k, out_panel)
        if last:
            give_weights(job.a, job.part, &strip, job.result)
    if stream:
        v_streamed()


cdef void add_weights(Block* b, const Layout* a, const Part* part, const_row* rows, Py_ssize_t M, Py_ssize_t K,
                      Panels* sums, const Lie* result) noexcept nogil:
    """sums += rowsᵀ dz over the M rows of a block, from zero in a fresh one; rows IN [M] -> [K].

    The last block gives a `result`: its sums go there strip by strip, each still in cache, and not into `sums`.
    """
    cdef Py_ssize_t i, tile_step = spread(M * TILE_ROWS)
    cdef Transposition job = Transposition(b, a, part, rows, M, K)
    cdef WeightSum sum
    run_phase(b.team, transpose_share, &job, b.shares)
    for i in range(K):
        b.transposed_rows[i] = b.transposed + (i // TILE_ROWS) * tile_step + i % TILE_ROWS
        b.gradient_rows[i] = sums.data + i * sums.row_step
    sum.block, sum.a, sum.part, sum.K, sum.sums, sum.result = b, a, part, K, sums, result
    sum.dz.data = b.dz + part.first * VLEN
    sum.dz.panel_step, sum.dz.row_step = b.rows * a.width * VLEN, a.width * VLEN
    sum.dz.apart = b.dz_beside if beside(a) != WHOLE else NULL
    sum.dz.count, sum.dz.vectors, sum.dz.last, sum.dz.fill = sums.count, sums.vectors, sums.last, sums.fill
    sum.inner = Inner(1, M, TILE_ROWS, 0, 0, 0, 0, 0)
    run_phase(b.team, sum_share, &sum, b.shares)


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


cdef inline bint lies_by_lines(const Layout* a, const Lie* w) noexcept nogil:
    """Whether every gate of every row of weights [K, G*H] begins a cache line."""
    return w.unit_step == 1 and starts_line(w.data) and a.H * <Py_ssize_t>sizeof(real) % LINE_BYTES == 0


cdef void give_weights(const Layout* a, const Part* part, const Strip* s, const Lie* w) noexcept nogil:
    """w OUT [K, G*H] by a strip's rows: the twin of pack_forward."""
    if w.unit_step == 1:
        give_by_input(a, part, s, w)
    else:
        give_by_unit(a, part, s, w)


cdef void give_by_input(const Layout* a, const Part* part, const Strip* s, const Lie* w) noexcept nogil:
    """Row by row of w, along the panels: memory is written in its own order."""
    if a.units == 1:  # known when compiled
        give_rows(a, part, s, w, 1)
    else:
        give_rows(a, part, s, w, TILE_VECTORS)


cdef inline void give_rows(const Layout* a, const Part* part, const Strip* s, const Lie* w, int units) noexcept nogil:
    cdef Py_ssize_t k, columns = units * <Py_ssize_t>VLEN
    cdef int p, v, u, n, whole = min(s.p1, <int>(a.H // columns))  # panels before it are full of units
    cdef const real* source
    cdef real* to
    for k in range(s.rows):
        for v from 0 <= v < part.vectors by units:
            source = s.data + (k * a.width + v) * VLEN
            to = place_of_units(a, part, 0, v, w) + (s.first + k) * w.k_step
            if s.stream:
                for p in range(s.p0, whole):
                    for u in range(units):
                        v_stream(to + p * columns + u * VLEN, v_load(source + p * s.panel_step + u * VLEN))
            else:
                for p in range(s.p0, whole):
                    for u in range(units):
                        v_store(to + p * columns + u * VLEN, v_load(source + p * s.panel_step + u * VLEN))
            for p in range(max(s.p0, whole), s.p1):
                for u in range(units):
                    n = lanes(a.H, unit_of(a, p, part.first + v + u))
                    if n > 0:
                        v_store_n(to + p * columns + u * VLEN, v_load(source + p * s.panel_step + u * VLEN), n)


cdef void give_by_unit(const Layout* a, const Part* part, const Strip* s, const Lie* w) noexcept nogil:
    """Panel by panel, each turned round."""
    cdef Py_ssize_t k
    cdef int p, v, lane
    cdef const real* source
    cdef real* to
    for p in range(s.p0, s.p1):
        for k in range(s.rows):
            for v in range(part_vectors(a, part, p)):
                source = s.data + p * s.panel_step + (k * a.width + v) * VLEN
                to = place_of_units(a, part, p, v, w) + (s.first + k) * w.k_step
                for lane in range(lanes(a.H, unit_of(a, p, part.first + v))):
                    to[lane * w.unit_step] = source[lane]


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
