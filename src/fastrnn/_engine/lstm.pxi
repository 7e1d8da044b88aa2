# i, f, o = sigmoid(W x + U h' + b), g = tanh(W x + U h' + b);  c = f c' + i g,  h = o tanh(c)
# (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000; gate order i f g o of torch.nn.LSTM).

cdef void lstm_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int q, r, n
    cdef vec i, f, g, o, c, h
    cdef real* row = z
    cdef real* kept
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            i = v_sigmoid(v_load(row))
            f = v_sigmoid(v_load(row + VLEN))
            g = v_tanh(v_load(row + 2 * VLEN))
            o = v_sigmoid(v_load(row + 3 * VLEN))
            c = v_fma(f, v_load_n(s.c_prev[m] + j, n), i * g)
            v_store_n(s.c[m] + j, c, n)
            v_store(row, c)
            v_store(row + 3 * VLEN, o)
            if s.gates != NULL:
                kept = s.gates[m] + j
                v_store_n(kept, i, n)
                v_store_n(kept + H, f, n)
                v_store_n(kept + 2 * H, g, n)
                v_store_n(kept + 3 * H, o, n)
            row += TILE_STEP * VLEN
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            h = v_load(z + 3 * VLEN) * v_tanh(v_load(z))
            v_store_n(s.h[m] + j, h, n)
            v_store_n(s.y[m] + j, h, n)
            z += TILE_STEP * VLEN


cdef void lstm_backward(const Back* s) noexcept nogil:
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec i, f, g, o, tanh_c, dh, dc
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        i, f = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n)
        g, o = v_load_n(s.gates + 2 * H + j, n), v_load_n(s.gates + 3 * H + j, n)
        tanh_c = v_tanh(v_load_n(s.c + j, n))
        dh = loss_gradient(s, j, n)
        dc = v_fma(dh * o, 1 - tanh_c * tanh_c, v_load(s.dc + j))
        v_store(dz, dc * g * (i * (1 - i)))
        v_store(dz + VLEN, dc * v_load_n(s.c_prev + j, n) * (f * (1 - f)))
        v_store(dz + 2 * VLEN, dc * i * (1 - g * g))
        v_store(dz + 3 * VLEN, dh * tanh_c * (o * (1 - o)))
        v_store(s.dc + j, dc * f)
        v_store(s.dh + j, v_set(0))
        dz += s.dz_step
