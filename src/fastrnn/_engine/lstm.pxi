# i, f, o = sigmoid(W x + U h' + b), g = tanh(W x + U h' + b);  c = f c' + i g,  h = o tanh(c)
# (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000; gate order i f g o of torch.nn.LSTM).
#
# Traits, as of the ONNX operator LSTM: other activations; peepholes (Gers and Schmidhuber 2000) add p_i c', p_f c' and
# p_o c to the sums of i, f and o, before these are clipped; coupled, f = 1 - i (Greff et al. 2017). Where the cell is
# normalised (norm.pxi), h = o tanh(LN(c)).

cdef void lstm_forward(const Step* s, const Group* group, real* z) noexcept nogil:
    if s.traits.plain:
        lstm_rows(s, group, z, True)
    else:
        lstm_rows(s, group, z, False)


cdef inline void lstm_rows(const Step* s, const Group* group, real* z, bint plain) noexcept nogil:
    cdef Py_ssize_t m, j, H = s.H
    cdef int q, r, n
    cdef vec i, f, g, o, c, h
    cdef real* row = z
    cdef real* kept
    if not plain:
        lstm_gates(s, group, z)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            if plain:
                i = v_sigmoid(v_load(row))
                f = v_sigmoid(v_load(row + VLEN))
                g = v_tanh(v_load(row + 2 * VLEN))
                o = v_sigmoid(v_load(row + 3 * VLEN))
                v_store(row + 3 * VLEN, o)
            else:
                i, f, g = v_load(row), v_load(row + VLEN), v_load(row + 2 * VLEN)
            c = v_fma(f, v_load_n(s.c_prev[m] + j, n), i * g)
            v_store_n(s.c[m] + j, c, n)
            v_store(row, c)
            if s.gates != NULL:
                kept = s.gates[m] + j
                keep_gate(kept, i, n, s.stream)
                keep_gate(kept + H, f, n, s.stream)
                keep_gate(kept + 2 * H, g, n, s.stream)
                if plain:
                    keep_gate(kept + 3 * H, o, n, s.stream)
            row += TILE_STEP * VLEN
    if not plain:
        lstm_output(s, group, z)
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        for r in range(group.rows):
            m = group.row + r
            h = v_load(z + 3 * VLEN) * (v_tanh(v_load(z)) if plain else v_load(z))
            v_store_n(s.h[m] + j, h, n)
            v_store_n(s.y[m] + j, h, n)
            z += TILE_STEP * VLEN


cdef void lstm_gates(const Step* s, const Group* group, real* z) noexcept nogil:
    """i, f and g in place of their sums."""
    cdef const Traits* t = s.traits
    cdef int k, count = group.panels * group.rows, step = TILE_STEP * VLEN
    if t.peephole != NULL:
        add_peephole(t.peephole, s.c_prev, group, s.H, z)
        add_peephole(t.peephole + s.H, s.c_prev, group, s.H, z + VLEN)
    activate_tiles(&t.f, z, count, step)
    activate_tiles(&t.g, z + 2 * VLEN, count, step)
    if not t.coupled:
        activate_tiles(&t.f, z + VLEN, count, step)
        return
    for k in range(count):
        v_store(z + k * step + VLEN, 1 - v_load(z + k * step))


cdef void lstm_output(const Step* s, const Group* group, real* z) noexcept nogil:
    """o in place of its sum, and the activation of c in place of c."""
    cdef const Traits* t = s.traits
    cdef int q, r, count = group.panels * group.rows, step = TILE_STEP * VLEN
    cdef Py_ssize_t j
    if t.peephole != NULL:
        add_peephole(t.peephole + 2 * s.H, <const_row*>s.c, group, s.H, z + 3 * VLEN)
    if s.norm != NULL:
        normalise_cells(s.norm, group, s.H, z)
    activate_tiles(&t.f, z + 3 * VLEN, count, step)
    activate_tiles(&t.h, z, count, step)
    if s.gates == NULL:
        return
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        for r in range(group.rows):
            v_store_n(s.gates[group.row + r] + 3 * s.H + j, v_load(z + 3 * VLEN), lanes(s.H, j))
            z += step


cdef void add_peephole(const real* weights, const_row* c, const Group* group, Py_ssize_t H, real* z) noexcept nogil:
    """z IN-OUT: the vectors of one gate; weights IN [H]; c IN [rows] -> [H]."""
    cdef Py_ssize_t j
    cdef int q, r, n
    cdef vec p
    for q in range(group.panels):
        j = (group.panel + q) * VLEN
        n = lanes(H, j)
        p = v_load_n(weights + j, n)
        for r in range(group.rows):
            v_store(z, v_fma(p, v_load_n(c[group.row + r] + j, n), v_load(z)))
            z += TILE_STEP * VLEN


cdef void lstm_backward(const Back* s) noexcept nogil:
    if s.traits.plain:
        lstm_units(s, True)
    else:
        lstm_units(s, False)


cdef inline void lstm_units(const Back* s, bint plain) noexcept nogil:
    cdef const Traits* t = s.traits
    cdef Py_ssize_t j, H = s.H
    cdef int n
    cdef vec i, f, g, o, c_prev, squashed, dh, dc, di, df, do
    cdef real* dz = s.dz + s.first // VLEN * s.dz_step
    if not plain and s.norm != NULL:
        cell_backward(s)
    for j from s.first <= j < s.end by VLEN:
        n = lanes(H, j)
        i, f = v_load_n(s.gates + j, n), v_load_n(s.gates + H + j, n)
        g, o = v_load_n(s.gates + 2 * H + j, n), v_load_n(s.gates + 3 * H + j, n)
        c_prev = v_load_n(s.c_prev + j, n)
        if not plain and s.norm != NULL:
            do, dc = v_load(dz + 3 * VLEN), v_load(s.dc + j)
        else:
            squashed = v_load_n(s.c + j, n)
            squashed = v_tanh(squashed) if plain else activate_one(&t.h, squashed)
            dh = loss_gradient(s, j, n)
            do = dh * squashed * slope_in(plain, SIGMOID, &t.f, o)
            dc = v_fma(dh * o, slope_in(plain, TANH, &t.h, squashed), v_load(s.dc + j))
        if not plain and t.peephole != NULL:
            dc = v_fma(do, v_load_n(t.peephole + 2 * H + j, n), dc)
        if not plain and t.coupled:
            di, df = dc * (g - c_prev) * slope_of(&t.f, i), v_set(0)
        else:
            di = dc * g * slope_in(plain, SIGMOID, &t.f, i)
            df = dc * c_prev * slope_in(plain, SIGMOID, &t.f, f)
        v_store(dz, di)
        v_store(dz + VLEN, df)
        v_store(dz + 2 * VLEN, dc * i * slope_in(plain, TANH, &t.g, g))
        v_store(dz + 3 * VLEN, do)
        dc = dc * f
        if not plain and t.peephole != NULL:
            dc = v_fma(di, v_load_n(t.peephole + j, n), v_fma(df, v_load_n(t.peephole + H + j, n), dc))
        v_store(s.dc + j, dc)
        v_store(s.dh + j, v_set(0))
        dz += s.dz_step
