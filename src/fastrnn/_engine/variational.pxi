# Variational dropout (Gal and Ghahramani 2016) in both passes: what the products read are the state and the input behind
# the masks of their rows; the gradients of both go back through the same masks. What goes around the products, as the
# GRU's z h', is not masked.

cdef void see_states(Forward* f, Py_ssize_t t, int count) noexcept nogil:
    """What the products of a step read of the states."""
    cdef const int32_t* rows = rows_at(f.steps, t) + place_of(f.steps, t, f.n0)
    cdef Py_ssize_t P = f.w.P
    cdef int k
    for k in range(count):
        f.step.h_seen[k] = f.h_seen + k * P
        multiply_row(f.h_seen + k * P, f.step.h_prev[k], f.masks.of_state + rows[k] * P, P)


cdef void carry_masked(Backward* b, const Span* s, const int32_t* rows, const Inner* inner,
                       Asked* asked) noexcept nogil:
    """What the products give to the state goes through its mask first."""
    cdef Py_ssize_t k, j, columns = TILE_VECTORS * VLEN, first = s.q0 * columns, end = min(s.q1 * columns, b.w.P)
    cdef real** seen = b.dh_seen_rows + s.n0
    cdef real* dh
    cdef const real* mask
    gemm_asking(s.k1 - s.k0, b.dz_state + s.m, inner, &b.w.state_back, Walk(s.q0, s.q1, False), b.block.zero_rows, 0,
                seen, columns, asked)
    for k in range(s.k0, s.k1):
        dh, mask = b.dh + rows[k] * b.carry_row, b.masks.of_state + rows[k] * b.w.P
        for j in range(first, end):
            dh[j] += mask[j] * seen[k - s.k0][j]


cdef void see_share(void* argument, int share, int rank) noexcept nogil:
    """What the products read of the states and of the input: a share of the rows of a block."""
    cdef Finish* job = <Finish*>argument
    cdef Backward* b = job.b
    cdef Py_ssize_t m, n, I = b.masks.I, P = b.masks.P
    for m in range(share_end(<int>job.M, b.block.shares, share - 1), share_end(<int>job.M, b.block.shares, share)):
        n = b.n_of[m]
        if b.masks.state.threshold:
            multiply_row(b.h_seen + m * P, b.h_prev[m], b.masks.of_state + n * P, P)
            b.h_prev[m] = b.h_seen + m * P
        if b.masks.input.threshold and b.ids == NULL:
            multiply_row(b.x_seen + m * I, b.x_rows[m], b.masks.of_input + n * I, I)
            b.x_rows[m] = b.x_seen + m * I
