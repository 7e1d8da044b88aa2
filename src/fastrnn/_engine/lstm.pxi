# i, f, o = sigmoid(W x + U h' + b), g = tanh(W x + U h' + b);  c = f c' + i g,  h = o tanh(c)
# (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000; gate order i f g o of torch.nn.LSTM).

cdef void lstm_forward(const Step* s, int p, Py_ssize_t first, int count, const real* z) noexcept nogil:
    cdef Py_ssize_t m, j = p * VLEN, H = s.H
    cdef int r, n = lanes(H, j)
    cdef vec i, f, g, o, c, h
    cdef real* kept
    for r in range(count):
        m = first + r
        i = v_sigmoid(v_load(z + (4 * r) * VLEN))
        f = v_sigmoid(v_load(z + (4 * r + 1) * VLEN))
        g = v_tanh(v_load(z + (4 * r + 2) * VLEN))
        o = v_sigmoid(v_load(z + (4 * r + 3) * VLEN))
        c = v_fma(f, v_load_n(s.c_prev[m] + j, n), i * g)
        h = o * v_tanh(c)
        v_store_n(s.c[m] + j, c, n)
        v_store_n(s.h[m] + j, h, n)
        v_store_n(s.y[m] + j, h, n)
        if s.gates != NULL:
            kept = s.gates[m] + j
            v_store_n(kept, i, n)
            v_store_n(kept + H, f, n)
            v_store_n(kept + 2 * H, g, n)
            v_store_n(kept + 3 * H, o, n)


cdef void lstm_backward(const Back* s) noexcept nogil:
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec i, f, g, o, tanh_c, dh, dc
    cdef real* dz = s.dz
    for j from 0 <= j < H by VLEN:
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
