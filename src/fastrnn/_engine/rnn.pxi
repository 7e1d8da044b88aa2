# h = g(W x + U h' + b), g any activation (Elman 1990; torch.nn.RNN; the ONNX operator RNN).

cdef inline void rnn_rows(const Step* s, const Group* group, real* z, int activation) noexcept nogil:
    cdef Py_ssize_t j, m, H = s.H
    cdef int q, r, v, n
    cdef vec h
    for q in range(group.panels):
        for r in range(group.rows):
            m = group.row + r
            for v in range(TILE_VECTORS):
                j = ((group.panel + q) * TILE_VECTORS + v) * VLEN
                n = lanes(H, j)
                if n <= 0:
                    break
                h = activate(activation, NULL, v_load(z + v * VLEN))
                v_store_n(s.h[m] + j, h, n)
                v_store_n(s.y[m] + j, h, n)
            z += TILE_STEP * VLEN


cdef void rnn_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    cdef int kind = s.traits.f.kind
    if not s.traits.plain:
        activate_tiles(&s.traits.f, z, group.panels * group.rows * TILE_STEP, VLEN)
        kind = LINEAR
    if kind == TANH:  # a loop of its own for each, so that none asks again at every vector
        rnn_rows(s, group, z, TANH)
    elif kind == RELU:
        rnn_rows(s, group, z, RELU)
    elif kind == SIGMOID:
        rnn_rows(s, group, z, SIGMOID)
    else:
        rnn_rows(s, group, z, LINEAR)


cdef void rnn_backward(const Back* s) noexcept nogil:
    cdef Py_ssize_t j, panel = TILE_VECTORS * VLEN
    cdef int n
    cdef vec h, dh
    cdef real* dz
    for j from s.first <= j < s.end by VLEN:
        dz = s.dz + (j // panel) * s.dz_step + j % panel
        n = lanes(s.H, j)
        dh = loss_gradient(s, j, n)
        h = v_load_n(s.h + j, n)
        v_store(dz, dh * (slope(s.traits.f.kind, NULL, h) if s.traits.plain else slope_of(&s.traits.f, h)))
        v_store(s.dh + j, v_set(0))
