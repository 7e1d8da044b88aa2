# h = g(W x + U h' + b), g one of tanh, relu, sigmoid, linear (Elman 1990; torch.nn.RNN).

cdef inline vec activate(int activation, vec z) noexcept nogil:
    if activation == TANH:
        return v_tanh(z)
    if activation == RELU:
        return v_relu(z)
    if activation == SIGMOID:
        return v_sigmoid(z)
    return z

cdef inline vec slope(int activation, vec h) noexcept nogil:
    """g' of the pre-activation that gave h."""
    if activation == TANH:
        return 1 - h * h
    if activation == RELU:
        return v_select_lt(v_set(0), h, v_set(1), v_set(0))
    if activation == SIGMOID:
        return h * (1 - h)
    return v_set(1)


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
                h = activate(activation, v_load(z + v * VLEN))
                v_store_n(s.h[m] + j, h, n)
                v_store_n(s.y[m] + j, h, n)
            z += TILE_STEP * VLEN


cdef void rnn_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.activation == TANH:  # a loop of its own for each, so that none asks again at every vector
        rnn_rows(s, group, z, TANH)
    elif s.activation == RELU:
        rnn_rows(s, group, z, RELU)
    elif s.activation == SIGMOID:
        rnn_rows(s, group, z, SIGMOID)
    else:
        rnn_rows(s, group, z, LINEAR)


cdef void rnn_backward(const Back* s) noexcept nogil:
    cdef Py_ssize_t j, panel = TILE_VECTORS * VLEN, end = round_up(s.end, panel)
    cdef int n
    cdef vec dh
    cdef real* dz
    for j from s.first <= j < end by VLEN:
        dz = s.dz + (j // panel) * s.dz_step + j % panel
        n = lanes(s.H, j)
        if n <= 0:
            v_store(dz, v_set(0))
            continue
        dh = loss_gradient(s, j, n)
        v_store(dz, dh * slope(s.activation, v_load_n(s.h + j, n)))
        v_store(s.dh + j, v_set(0))
