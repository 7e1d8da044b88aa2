# Cells without recurrent weights (Feng et al. 2024): every gate reads the input alone, so that the projection of the
# input gives all pre-activations, and what is left of a step goes unit by unit. Their forward passes read the input's
# share where it lies, since no tile adds to it. n = g(W x + b), g linear in the plain cell.
#
# MinGRU: z = sigmoid(W x + b);  h = (1 - z) h' + z n
# MinLSTM: f, i = sigmoid(W x + b);  h = (f h' + i n) / (f + i)

cdef void mingru_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        mingru_rows(s, group, True)
    else:
        mingru_rows(s, group, False)


cdef inline void mingru_rows(const Step* s, const Group* group, bint plain) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int p, n
    cdef vec update, candidate, h
    cdef const real* row
    cdef const real* latest
    for p in range(group.panel, group.panel + group.panels):
        j = p * VLEN
        n = lanes(H, j)
        latest, h = NULL, v_set(0)  # the state at hand: of one row's steps every next one goes on from it
        for m in range(group.row, group.row + group.rows):
            row = s.inputs[m] + p * s.input_step
            update, candidate = v_sigmoid(v_load(row)), v_load(row + VLEN)
            if not plain:
                candidate = activate_one(&s.traits.g, candidate)
            if s.h_prev[m] != latest:
                h = v_load_n(s.h_prev[m] + j, n)
            latest = s.h[m]
            h = v_fma(update, candidate - h, h)
            v_store_n(s.h[m] + j, h, n)
            if s.y[m] != s.h[m]:
                v_store_n(s.y[m] + j, h, n)
            if s.gates != NULL:
                v_store_n(s.gates[m] + j, update, n)
                v_store_n(s.gates[m] + H + j, candidate, n)


cdef void mingru_backward(const Back* s) noexcept nogil:
    if s.traits.plain:
        mingru_units(s, True)
    else:
        mingru_units(s, False)


cdef inline void mingru_units(const Back* s, bint plain) noexcept nogil:
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec update, candidate, dh
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        update, candidate = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n)
        dh = loss_gradient(s, j, n)
        v_store(dz, dh * (candidate - v_load_n(s.h_prev + j, n)) * slope(SIGMOID, NULL, update))
        v_store(dz + VLEN, dh * update * slope_in(plain, LINEAR, &s.traits.g, candidate))
        v_store(s.dh + j, dh * (1 - update))
        dz += s.dz_step


cdef inline vec low_sum() noexcept nogil:
    """Where sigmoids are above zero, and still so small that they are exponentials to the last digit."""
    return v_set(-40 if sizeof(real) == 8 else -20)


cdef inline vec lift(vec a, vec b) noexcept nogil:
    """What brings the larger of two sums up to low_sum: added to both it leaves the ratio of their sigmoids."""
    return v_max(v_set(0), low_sum() - v_max(a, b))


cdef void minlstm_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        minlstm_rows(s, group, True)
    else:
        minlstm_rows(s, group, False)


cdef inline void minlstm_rows(const Step* s, const Group* group, bint plain) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int p, n
    cdef vec f, i, candidate, up, h
    cdef const real* row
    cdef const real* latest
    for p in range(group.panel, group.panel + group.panels):
        j = p * VLEN
        n = lanes(H, j)
        latest, h = NULL, v_set(0)  # the state at hand: of one row's steps every next one goes on from it
        for m in range(group.row, group.row + group.rows):
            row = s.inputs[m] + p * s.input_step
            f, i, candidate = v_load(row), v_load(row + VLEN), v_load(row + 2 * VLEN)
            if v_may_be_lt(v_max(f, i), low_sum()):  # which would have every vector wait, and hardly ever is
                up = lift(f, i)
                f, i = f + up, i + up
            f, i = v_recip_sigmoid(f), v_recip_sigmoid(i)  # 1 / f and 1 / i: one division does for h
            if not plain:
                candidate = activate_one(&s.traits.g, candidate)
            if s.h_prev[m] != latest:
                h = v_load_n(s.h_prev[m] + j, n)
            latest = s.h[m]
            h = v_fma(f / (f + i), candidate - h, h)
            v_store_n(s.h[m] + j, h, n)
            if s.y[m] != s.h[m]:
                v_store_n(s.y[m] + j, h, n)
            if s.gates != NULL:
                v_store_n(s.gates[m] + j, 1 / f, n)
                v_store_n(s.gates[m] + H + j, 1 / i, n)
                v_store_n(s.gates[m] + 2 * H + j, candidate, n)


cdef void minlstm_backward(const Back* s) noexcept nogil:
    if s.traits.plain:
        minlstm_units(s, True)
    else:
        minlstm_units(s, False)


cdef inline void minlstm_units(const Back* s, bint plain) noexcept nogil:
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec f, i, candidate, scale, keep, take, dh, d
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        f, i, candidate = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n), v_load_n(s.gates + 2 * H + j, n)
        scale = 1 / (f + i)  # past H both are zero, and what comes of it is read by nobody
        keep, take = f * scale, i * scale
        dh = loss_gradient(s, j, n)
        d = dh * (candidate - v_load_n(s.h_prev + j, n)) * keep * take
        v_store(dz, d * (f - 1))
        v_store(dz + VLEN, d * (1 - i))
        v_store(dz + 2 * VLEN, dh * take * slope_in(plain, LINEAR, &s.traits.g, candidate))
        v_store(s.dh + j, dh * keep)
        dz += s.dz_step
