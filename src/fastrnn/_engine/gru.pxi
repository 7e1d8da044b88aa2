# r, z = sigmoid(W x + U h' + b);  n = tanh(W x + b_in + r (U h' + b_hn));  h = (1 - z) n + z h'
# (Cho et al. 2014, reset after the product as torch.nn.GRU). Panels hold n r z s, s = U_n h' + b_hn. Traits, as of the ONNX
# operator GRU: other activations, and a clip of what they are given. Where the cell is normalised, W x and U h'
# have their norms behind them (norm.pxi).

cdef void gru_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        gru_rows(s, group, z, True)
    else:
        gru_rows(s, group, z, False)


cdef inline void gru_rows(const Step* s, const Group* group, real* z, bint plain) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int q, r, n
    cdef vec reset, update, candidate, product, h
    cdef real* row = z
    cdef real* kept
    if not plain:
        activate_tiles(&s.traits.f, z + VLEN, group.panels * group.rows, TILE_STEP * VLEN)
        activate_tiles(&s.traits.f, z + 2 * VLEN, group.panels * group.rows, TILE_STEP * VLEN)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            reset, update = v_load(row + VLEN), v_load(row + 2 * VLEN)
            if plain:
                reset, update = v_sigmoid(reset), v_sigmoid(update)
            product = v_load(row + 3 * VLEN)
            v_store(row, v_fma(reset, product, v_load(s.inputs[m] + (group.panel + q) * s.input_step)))
            v_store(row + 2 * VLEN, update)
            if s.gates != NULL:
                kept = s.gates[m] + j
                keep_gate(kept, reset, n, s.stream)
                keep_gate(kept + H, update, n, s.stream)
                keep_gate(kept + 3 * H, product, n, s.stream)
            row += TILE_STEP * VLEN
    if not plain:
        activate_tiles(&s.traits.g, z, group.panels * group.rows, TILE_STEP * VLEN)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            candidate = v_tanh(v_load(z)) if plain else v_load(z)
            h = v_fma(v_load(z + 2 * VLEN), v_load_n(s.h_prev[m] + j, n) - candidate, candidate)
            v_store_n(s.h[m] + j, h, n)
            v_store_n(s.y[m] + j, h, n)
            if s.gates != NULL:
                keep_gate(s.gates[m] + 2 * H + j, candidate, n, s.stream)
            z += TILE_STEP * VLEN


cdef void gru_backward(const Back* s) noexcept nogil:
    if s.traits.plain:
        gru_units(s, True)
    else:
        gru_units(s, False)


cdef inline void gru_units(const Back* s, bint plain) noexcept nogil:
    cdef const Traits* t = s.traits
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec reset, update, candidate, product, dh, dn
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        reset, update = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n)
        candidate, product = v_load_n(s.gates + 2 * H + j, n), v_load_n(s.gates + 3 * H + j, n)
        dh = loss_gradient(s, j, n)
        dn = dh * (1 - update) * slope_in(plain, TANH, &t.g, candidate)
        v_store(dz, dn)
        v_store(dz + VLEN, dn * product * slope_in(plain, SIGMOID, &t.f, reset))
        v_store(dz + 2 * VLEN, dh * (v_load_n(s.h_prev + j, n) - candidate) * slope_in(plain, SIGMOID, &t.f, update))
        v_store(dz + 3 * VLEN, dn * reset)
        v_store(s.dh + j, dh * update)
        dz += s.dz_step
