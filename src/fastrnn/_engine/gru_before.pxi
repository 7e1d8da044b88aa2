# r, z = sigmoid(W x + U h' + b);  n = tanh(W x + U (r h') + b);  h = (1 - z) n + z h'
# (Cho et al. 2014, reset before the product: ONNX's default). Panels hold n r z; n's product waits for every r, so each
# direction takes two sweeps: reset and update, then the candidate. Kept: r, z, n and r h'.

cdef void gru_reset_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        gru_reset_rows(s, group, z, True)
    else:
        gru_reset_rows(s, group, z, False)


cdef inline void gru_reset_rows(const Step* s, const Group* group, real* z, bint plain) noexcept nogil:
    """r and z; leaves r h' for the candidate's product, and z where h will stand."""
    cdef Py_ssize_t m, j, H = s.H
    cdef int q, r, n
    cdef vec reset, update, reset_h
    if not plain:
        activate_tiles(&s.traits.f, z + VLEN, group.panels * group.rows, TILE_STEP * VLEN)
        activate_tiles(&s.traits.f, z + 2 * VLEN, group.panels * group.rows, TILE_STEP * VLEN)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            reset, update = v_load(z + VLEN), v_load(z + 2 * VLEN)
            if plain:
                reset, update = v_sigmoid(reset), v_sigmoid(update)
            reset_h = reset * v_load_n(s.h_seen[m] + j, n)
            v_store_n(s.reset_h + m * H + j, reset_h, n)
            v_store_n(s.h[m] + j, update, n)
            if s.gates != NULL:
                v_store_n(s.gates[m] + j, reset, n)
                v_store_n(s.gates[m] + H + j, update, n)
                v_store_n(s.gates[m] + 3 * H + j, reset_h, n)
            z += TILE_STEP * VLEN


cdef void gru_candidate_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        gru_candidate_rows(s, group, z, True)
    else:
        gru_candidate_rows(s, group, z, False)


cdef inline void gru_candidate_rows(const Step* s, const Group* group, real* z, bint plain) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int q, r, n
    cdef vec candidate, h
    if not plain:
        activate_tiles(&s.traits.g, z, group.panels * group.rows, TILE_STEP * VLEN)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            candidate = v_tanh(v_load(z)) if plain else v_load(z)
            h = v_fma(v_load_n(s.h[m] + j, n), v_load_n(s.h_prev[m] + j, n) - candidate, candidate)
            v_store_n(s.h[m] + j, h, n)
            v_store_n(s.y[m] + j, h, n)
            if s.gates != NULL:
                v_store_n(s.gates[m] + 2 * H + j, candidate, n)
            z += TILE_STEP * VLEN


cdef void gru_before_backward(const Back* s) noexcept nogil:
    """n and z; the gradient of r h' follows by a product, then gru_reset_backward."""
    if s.traits.plain:
        gru_before_units(s, True)
    else:
        gru_before_units(s, False)


cdef inline void gru_before_units(const Back* s, bint plain) noexcept nogil:
    cdef const Traits* t = s.traits
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec update, candidate, dh
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        update, candidate = v_load_n(s.gates + H + j, n), v_load_n(s.gates + 2 * H + j, n)
        dh = loss_gradient(s, j, n)
        v_store(dz, dh * (1 - update) * slope_in(plain, TANH, &t.g, candidate))
        v_store(dz + 2 * VLEN, dh * (v_load_n(s.h_prev + j, n) - candidate) * slope_in(plain, SIGMOID, &t.f, update))
        v_store(s.dh + j, dh * update)
        dz += s.dz_step


cdef void gru_reset_backward(const Back* s, const real* dreset_h) noexcept nogil:
    """dreset_h IN [H, rounded up]: the gradient of r h'."""
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec reset, d
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        reset, d = v_load_n(s.gates + j, n), v_load(dreset_h + j)
        v_store(dz + VLEN, d * v_load_n(s.h_prev + j, n) * slope_in(s.traits.plain, SIGMOID, &s.traits.f, reset))
        v_store(s.dh + j, v_fma(d, reset, v_load(s.dh + j)))
        dz += s.dz_step
