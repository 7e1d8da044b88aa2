# Layer normalization of a cell (Ba, Kiros and Hinton 2016): W x and U h' are each brought to mean 0 and variance 1 and
# multiplied by a gain before the biases join them; so is c, with a bias of its own, on its way to h.
#
#     LSTM (their equations 20 to 22)  all gates of a product together
#     GRU (their supplement)           r and z together, n by itself
#
# The gates of a row wait for the whole of it, so the products of a step are written out first. The backward pass gets W x
# and U h' less their means besides a plain cell's numbers, and takes the variances again from them.

cdef extern from "vec.h" nogil:
    real REAL_SQRT(real x)

cdef real EPSILON = 1e-5


cdef inline Py_ssize_t saved_of(const Pack* w) noexcept nogil:
    """Numbers kept per (t, n, unit) for the backward pass besides h and c."""
    return CELLS[w.cell].saved + (w.layout.input.vectors + w.layout.state.vectors if w.normed else 0)


cdef void place_norm(Pack* w, char** space) noexcept nogil:
    cdef Py_ssize_t row = w.layout.count * w.layout.width * VLEN * sizeof(real)
    w.norm.input_gain, w.norm.state_gain = <real*>carve(space, row), <real*>carve(space, row)
    w.norm.bias = <real*>carve(space, row)
    w.norm.cell_gain = <real*>carve(space, round_up(w.H, VLEN) * sizeof(real))
    w.norm.cell_bias = <real*>carve(space, round_up(w.H, VLEN) * sizeof(real))


cdef void pack_norm(Pack* w, const real* gain_ih, const real* gain_hh, const real* gain_c,
                    const real* bias_c) noexcept nogil:
    """gains IN [G*H]; of c [H], or NULL. The biases of what the input feeds move behind its norm."""
    cdef const Layout* a = &w.layout
    cdef Norm* norm = &w.norm
    cdef Py_ssize_t at, unit
    cdef int p, v, n
    norm.input[0] = norm.state[0] = Part(1, 2) if w.cell == GRU else Part(0, 4)
    norm.input[1] = Part(0, 1) if w.cell == GRU else Part(0, 0)
    norm.state[1] = Part(3, 1) if w.cell == GRU else Part(0, 0)
    for p in range(a.count):
        unit = unit_of(a, p, 0)
        n = lanes(w.H, unit)
        for v in range(a.width):
            at = (p * a.width + v) * VLEN
            v_store(norm.input_gain + at, v_load_n(gain_ih + a.order[v] * w.H + unit, n))
            v_store(norm.state_gain + at, v_load_n(gain_hh + a.order[v] * w.H + unit, n))
            if v < a.input.vectors:
                v_store(norm.bias + at, v_load(w.bias + at))
                v_store(w.bias + at, v_set(0))
        if gain_c != NULL:
            v_store(norm.cell_gain + unit, v_load_n(gain_c + unit, n))
            v_store(norm.cell_bias + unit, v_load_n(bias_c + unit, n) if bias_c != NULL else v_set(0))


cdef inline real inverse_deviation(vec squares, Py_ssize_t count) noexcept nogil:
    """1 / sqrt(variance + EPSILON) from the sum of squares of `count` numbers whose mean is 0."""
    return 1 / REAL_SQRT(lane_sum(squares) / count + EPSILON)


cdef real centre(real* z, Py_ssize_t panel_step, Py_ssize_t H, Part part) noexcept nogil:
    """Bring the mean of some vectors of every panel to 0; return what then brings the variance to 1.

    z IN-OUT: panels, the lanes beyond H left alone."""
    cdef Py_ssize_t j
    cdef int v, n
    cdef vec d, mean, total = v_set(0), squares = v_set(0)
    cdef real* row = z + part.first * VLEN
    for j from 0 <= j < H by VLEN:
        for v in range(part.vectors):
            total = total + v_load_n(row + v * VLEN, lanes(H, j))
        row += panel_step
    mean = v_set(lane_sum(total) / (part.vectors * H))
    row = z + part.first * VLEN
    for j from 0 <= j < H by VLEN:
        n = lanes(H, j)
        for v in range(part.vectors):
            d = v_load(row + v * VLEN) - mean
            v_store_n(row + v * VLEN, d, n)
            if n < VLEN:
                d = v_load_n(row + v * VLEN, n)
            squares = v_fma(d, d, squares)
        row += panel_step
    return inverse_deviation(squares, part.vectors * H)


# Forward

cdef inline int group_tiles(const Layout* a) noexcept nogil:
    """Tiles of the rows whose gates follow one another: all panels of one row, or of several."""
    return max(GROUP_ROWS, a.count)


cdef void place_products(Forward* f, char** space) noexcept nogil:
    cdef const Layout* a = &f.w.layout
    cdef Py_ssize_t R = f.n1 - f.n0
    f.products = <real*>carve(space, R * a.count * a.width * VLEN * sizeof(real))
    f.product_rows = <real**>carve(space, R * sizeof(real*))
    f.zero_rows = <const_row*>carve(space, R * sizeof(real*))
    f.sums = <real*>carve(space, f.shares * group_tiles(a) * TILE_STEP * VLEN * sizeof(real))


cdef struct NormedStep:
    Forward* f
    int count   # of the step's rows


cdef void sweep_normed(Forward* f, int count, bint started) noexcept nogil:
    """The products of a step, then its norms and gates, shared out by rows."""
    cdef NormedStep job = NormedStep(f, count)
    share_product(f.team, f.shares, count, f.step.h_seen, run_of(f.w.P if started else 0), &f.w.state, f.zero_rows, 0,
                  f.product_rows, f.w.layout.width * VLEN)
    run_phase(f.team, normed_share, &job, f.shares)


cdef void normed_share(void* argument, int share, int rank) noexcept nogil:
    cdef NormedStep* job = <NormedStep*>argument
    cdef Forward* f = job.f
    cdef const Layout* a = &f.w.layout
    cdef Py_ssize_t tile = TILE_STEP * VLEN
    cdef int r, m, end = share_end(job.count, f.shares, share), most = group_tiles(a) // a.count
    cdef real* sums = f.sums + share * group_tiles(a) * tile
    cdef Group group
    group.panel, group.panels = 0, a.count
    for m from share_end(job.count, f.shares, share - 1) <= m < end by most:
        group.row, group.rows = m, min(most, end - m)
        for r in range(group.rows):
            normalise_row(f, m + r, sums + r * tile, group.rows * tile)
        CELLS[f.w.cell].forward(&f.step, &group, sums)


cdef void normalise_row(const Forward* f, Py_ssize_t m, real* z, Py_ssize_t z_step) noexcept nogil:
    """z OUT: the sums of row m, panel by panel; those of the input alone take the place of W x."""
    cdef const Layout* a = &f.w.layout
    cdef const Norm* norm = &f.w.norm
    cdef Py_ssize_t at, H = f.w.H
    cdef int p, v, k, n
    cdef real input_scale[4]
    cdef real state_scale[4]
    cdef real* x = <real*>f.step.inputs[m]
    cdef real* h = f.products + m * a.count * a.width * VLEN
    cdef real* kept = NULL if f.step.gates == NULL else f.step.gates[m] + CELLS[f.w.cell].saved * H
    cdef vec d
    for k in range(2):
        centre_part(x, f.step.input_step, H, norm.input[k], input_scale)
        centre_part(h, a.width * VLEN, H, norm.state[k], state_scale)
    for p in range(a.count):
        n = lanes(H, unit_of(a, p, 0))
        for v in range(a.input.vectors):
            at = (p * a.width + v) * VLEN
            d = v_load(x + v * VLEN)
            if kept != NULL:
                v_store_n(kept + v * H + p * VLEN, d, n)
            d = v_fma(d * v_set(input_scale[v]), v_load(norm.input_gain + at), v_load(norm.bias + at))
            v_store(x + v * VLEN, d)
        for v in range(a.state.first, a.state.first + a.state.vectors):
            at = (p * a.width + v) * VLEN
            d = v_load(h + at)
            if kept != NULL:
                v_store_n(kept + (a.input.vectors + v - a.state.first) * H + p * VLEN, d, n)
            v_store(z + v * VLEN, v_fma(d * v_set(state_scale[v]), v_load(norm.state_gain + at), v_load(x + v * VLEN)))
        x += f.step.input_step
        z += z_step


cdef inline void centre_part(real* z, Py_ssize_t panel_step, Py_ssize_t H, Part part, real* scale) noexcept nogil:
    """Centre a part; scale OUT, for each of its vectors."""
    cdef int v
    cdef real s
    if part.vectors == 0:
        return
    s = centre(z, panel_step, H, part)
    for v in range(part.first, part.first + part.vectors):
        scale[v] = s


cdef void normalise_cells(const Norm* norm, const Group* group, Py_ssize_t H, real* z) noexcept nogil:
    """z IN-OUT: c of whole rows, in the first vectors of the tiles."""
    cdef Py_ssize_t j, step = group.rows * TILE_STEP * VLEN
    cdef int r
    cdef real scale
    cdef real* c
    for r in range(group.rows):
        c = z + r * TILE_STEP * VLEN
        scale = centre(c, step, H, Part(0, 1))
        for j from 0 <= j < H by VLEN:
            v_store(c, v_fma(v_load(c) * v_set(scale), v_load(norm.cell_gain + j), v_load(norm.cell_bias + j)))
            c += step


# Backward. The gradient of y = g a / s, where a has mean 0 and s is its deviation, is with d = g dy and â = a / s
# (d - mean(d) - â mean(d â)) / s. The gradients of gains and biases add up for each row of the batch by itself, in
# norm_sums, so that no sharing of the rows matters: gain and bias of c, each [H, rounded up], then the gains of W x,
# those of U h' and the biases of the sums, each [panel][width * VLEN].

cdef inline Py_ssize_t row_of_panels(const Layout* a) noexcept nogil:
    return a.count * a.width * VLEN


cdef void place_back_norm(Backward* b, char** space) noexcept nogil:
    cdef const Layout* a = &b.w.layout
    b.norm_row = 3 * row_of_panels(a) + 2 * b.state_row
    b.dproducts = <real*>carve(space, b.block.rows * row_of_panels(a) * sizeof(real))
    b.norm_sums = <real*>carve(space, max(b.n1 - b.n0, 1) * b.norm_row * sizeof(real)) - b.n0 * b.norm_row


cdef void cell_backward(const Back* s) noexcept nogil:
    """Of a row of an LSTM: the gradient of o's sum in its place of dz, and that of c, by its norm, added to dc."""
    cdef const Traits* t = s.traits
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef real* gain_sums = s.norm_sums
    cdef real* bias_sums = gain_sums + round_up(H, VLEN)
    cdef real* dz = s.dz
    cdef real scale
    cdef vec c, squashed, o, d, mean, slant, total = v_set(0), product = v_set(0)
    for j from 0 <= j < H by VLEN:
        v_store(dz, v_load_n(s.c + j, lanes(H, j)))
        dz += s.dz_step
    scale = centre(s.dz, s.dz_step, H, Part(0, 1))
    dz = s.dz
    for j from 0 <= j < H by VLEN:
        n = lanes(H, j)
        c, o = v_load(dz) * v_set(scale), v_load_n(s.gates + 3 * H + j, n)
        squashed = activate_one(&t.h, v_fma(c, v_load(s.norm.cell_gain + j), v_load(s.norm.cell_bias + j)))
        d = loss_gradient(s, j, n)
        v_store(dz + 3 * VLEN, d * squashed * slope_of(&t.f, o))
        d = d * o * slope_of(&t.h, squashed)
        v_store(gain_sums + j, v_fma(d, c, v_load(gain_sums + j)))
        v_store(bias_sums + j, v_load(bias_sums + j) + d)
        d = d * v_load(s.norm.cell_gain + j)
        total, product = total + d, v_fma(d, c, product)
        v_store(dz, c)
        v_store(dz + VLEN, d)
        dz += s.dz_step
    mean, slant = v_set(lane_sum(total) / H), v_set(lane_sum(product) / H)
    dz = s.dz
    for j from 0 <= j < H by VLEN:
        d = v_load(dz + VLEN) - mean - v_load(dz) * slant
        v_store(s.dc + j, v_fma(d, v_set(scale), v_load(s.dc + j)))
        dz += s.dz_step


cdef void sums_backward(const Pack* w, const Back* s, real* to) noexcept nogil:
    """From the gradients of a row's sums, dz, to those of U h' in `to` OUT, laid out as dz, and of W x in dz's place."""
    cdef const Layout* a = &w.layout
    cdef const Norm* norm = &w.norm
    cdef int k, p, v
    cdef real* sums = s.norm_sums + 2 * round_up(w.H, VLEN)
    cdef real* bias = sums + 2 * row_of_panels(a)
    cdef real* dz = s.dz
    cdef const real* kept = s.gates + CELLS[w.cell].saved * w.H
    for p in range(a.count):
        for v in range(a.width):
            v_store(bias + v * VLEN, v_load(bias + v * VLEN) + v_load(dz + v * VLEN))
        bias += a.width * VLEN
        dz += s.dz_step
    for k in range(2):
        part_backward(a, s, norm.state[k], kept + (a.input.vectors - a.state.first) * w.H, norm.state_gain, to,
                      sums + row_of_panels(a))
    for k in range(2):
        part_backward(a, s, norm.input[k], kept, norm.input_gain, s.dz, sums)


cdef void part_backward(const Layout* a, const Back* s, Part part, const real* kept, const real* gain, real* to,
                        real* sums) noexcept nogil:
    """kept IN [vector][H], gain IN and sums IN-OUT [panel][width * VLEN]; to OUT, may be dz."""
    cdef Py_ssize_t j, at, H = a.H
    cdef int v, n, count = part.vectors * <int>H
    cdef vec d, e, total = v_set(0), product = v_set(0), squares = v_set(0), scale, mean, slant
    cdef const real* dz = s.dz
    if part.vectors == 0:
        return
    for j from 0 <= j < H by VLEN:
        n = lanes(H, j)
        at = j * a.width
        for v in range(part.first, part.first + part.vectors):
            d = v_load(dz + v * VLEN) * v_load(gain + at + v * VLEN)
            e = v_load_n(kept + v * H + j, n)
            total, product, squares = total + d, v_fma(d, e, product), v_fma(e, e, squares)
        dz += s.dz_step
    scale = v_set(inverse_deviation(squares, count))
    mean, slant = v_set(lane_sum(total) / count), v_set(lane_sum(product) / count) * scale
    dz = s.dz
    for j from 0 <= j < H by VLEN:
        n = lanes(H, j)
        at = j * a.width
        for v in range(part.first, part.first + part.vectors):
            d, e = v_load(dz + v * VLEN), v_load_n(kept + v * H + j, n) * scale
            v_store(sums + at + v * VLEN, v_fma(d, e, v_load(sums + at + v * VLEN)))
            v_store(to + v * VLEN, (d * v_load(gain + at + v * VLEN) - mean - e * slant) * scale)
        dz += s.dz_step
        to += s.dz_step


cdef void give_norms(Backward* b) noexcept nogil:
    """Add the rows' shares up, in their order; the biases' go where those of other cells add up."""
    cdef const Layout* a = &b.w.layout
    cdef Py_ssize_t i, n, unit, at
    cdef int p, v, count
    cdef real* sums = b.norm_sums + b.n0 * b.norm_row
    for n in range(1, b.n1 - b.n0):
        for i in range(b.norm_row):
            sums[i] += sums[n * b.norm_row + i]
    if b.d_norm_c != NULL:
        copy_row(b.d_norm_c, sums, a.H)
    if b.db_norm_c != NULL:
        copy_row(b.db_norm_c, sums + b.state_row, a.H)
    sums += 2 * b.state_row
    for p in range(a.count):
        unit = unit_of(a, p, 0)
        count = lanes(a.H, unit)
        for v in range(a.width):
            at = (p * a.width + v) * VLEN
            if v < a.input.vectors:
                v_store_n(b.d_norm_ih + a.order[v] * a.H + unit, v_load(sums + at), count)
            if v >= a.state.first:
                v_store_n(b.d_norm_hh + a.order[v] * a.H + unit, v_load(sums + row_of_panels(a) + at), count)
    memcpy(b.block.bias, sums + 2 * row_of_panels(a), row_of_panels(a) * sizeof(real))
