# r, z = sigmoid(W x + U h' + b);  n = tanh(W x + b_in + r (U h' + b_hn));  h = (1 - z) n + z h'
# (Cho et al. 2014, reset after the product as torch.nn.GRU). Panels hold n r z s, s = U_n h' + b_hn.

cdef void gru_forward(const Step* s, int p, Py_ssize_t first, int count, const real* z) noexcept nogil:
    cdef Py_ssize_t m, j = p * VLEN, H = s.H
    cdef int r, lane_count = lanes(H, j)
    cdef vec reset, update, candidate, product, h
    cdef real* kept
    for r in range(count):
        m = first + r
        reset = v_sigmoid(v_load(z + (4 * r + 1) * VLEN))
        update = v_sigmoid(v_load(z + (4 * r + 2) * VLEN))
        product = v_load(z + (4 * r + 3) * VLEN)
        candidate = v_tanh(v_fma(reset, product, v_load(s.inputs[m] + p * s.input_step)))
        h = v_fma(update, v_load_n(s.h_prev[m] + j, lane_count) - candidate, candidate)
        v_store_n(s.h[m] + j, h, lane_count)
        v_store_n(s.y[m] + j, h, lane_count)
        if s.gates != NULL:
            kept = s.gates[m] + j
            v_store_n(kept, reset, lane_count)
            v_store_n(kept + H, update, lane_count)
            v_store_n(kept + 2 * H, candidate, lane_count)
            v_store_n(kept + 3 * H, product, lane_count)


cdef void gru_backward(const Back* s) noexcept nogil:
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec reset, update, candidate, product, dh, dn
    cdef real* dz = s.dz
    for j from 0 <= j < H by VLEN:
        n = lanes(H, j)
        reset, update = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n)
        candidate, product = v_load_n(s.gates + 2 * H + j, n), v_load_n(s.gates + 3 * H + j, n)
        dh = loss_gradient(s, j, n)
        dn = dh * (1 - update) * (1 - candidate * candidate)
        v_store(dz, dn)
        v_store(dz + VLEN, dn * product * (reset * (1 - reset)))
        v_store(dz + 2 * VLEN, dh * (v_load_n(s.h_prev + j, n) - candidate) * (update * (1 - update)))
        v_store(dz + 3 * VLEN, dn * reset)
        v_store(s.dh + j, dh * update)
        dz += s.dz_step
