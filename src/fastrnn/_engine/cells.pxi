# What every cell's file is given.
#
# A cell is a pair of twins. `gates_forward` ends register tiles: it turns the pre-activations of a group of rows and
# panels into new states, several independent rows after one another at each stage, so that their chains overlap. `gates_backward` turns the gradient of one row's new state into the gradients of its
# pre-activations. What crosses units (the products) is the same for all cells and stands in forward.pxi and backward.pxi.

cdef struct Step:
    # one time step of the forward pass; row pointers are those of the step's active rows
    Py_ssize_t H
    const Traits* traits
    const Norm* norm       # or NULL
    const_row* inputs      # IN  [rows] -> [panel 0: width * VLEN], bias and input already summed
    Py_ssize_t input_step  # from panel to panel behind `inputs`
    const_row* h_prev      # IN  [rows] -> [H]
    const_row* h_seen      # IN  [rows] -> [H], what the products read: h_prev, or that behind a mask
    const_row* c_prev      # IN  [rows] -> [H], LSTM
    real** h               # OUT [rows] -> [H]
    real** c               # OUT [rows] -> [H], LSTM
    real** y               # OUT [rows] -> [H], which may be h
    real** gates           # OUT [rows] -> [saved * H], NULL in inference
    bint stream            # these past the caches, line by line
    real* reset_h          # OUT [rows, H], r * h of the GRU with reset before

cdef inline void keep_gate(real* to, vec a, int n, bint stream) noexcept nogil:
    """Store n lanes of a gate; all of them, where they go past the caches."""
    if stream:
        v_stream(to, a)
    else:
        v_store_n(to, a, n)


cdef struct Back:
    # one row of the backward pass, units first ... end - 1: whole panels, the last ones up to H
    Py_ssize_t H, first, end
    const Traits* traits
    const Norm* norm       # or NULL
    real* norm_sums        # IN-OUT: the row's share of the gradients of the norms, see norm.pxi
    const real* gates      # IN [saved * H]
    const real* h          # IN [H]
    const real* h_prev     # IN [H]
    const real* c          # IN [H], LSTM
    const real* c_prev     # IN [H], LSTM
    const real* dy         # IN [H] or NULL
    real* dh               # IN-OUT [H, rounded up]: carried from the later step; then what reaches h_prev past the products
    real* dc               # IN-OUT [H, rounded up], LSTM
    real* watched          # OUT [H] or NULL: the whole gradient of h
    real* dz               # OUT [panel 0: width * VLEN], the gradients of the pre-activations
    Py_ssize_t dz_step     # from panel to panel behind `dz`

cdef struct Group:
    # finished tiles: rows row, row + 1, ... of panels panel, panel + 1, ..., panel by panel behind one another
    int panel, panels, rows
    Py_ssize_t row

cdef enum:
    TILE_STEP = 4  # vectors from one row of a group to the next

cdef inline vec slope_in(bint plain, int kind, const Activation* f, vec y) noexcept nogil:
    """The slope of a gate's activation: in a plain cell that of a kind known when compiled."""
    return slope(kind, f, y) if plain else slope_of(f, y)

ctypedef void (*gates_forward)(const Step* s, const Group* g, real* z) noexcept nogil
ctypedef void (*gates_backward)(const Back* s) noexcept nogil

cdef struct Cell:
    int saved   # numbers kept per (t, n, unit) for the backward pass besides h and c
    bint has_c
    gates_forward forward
    gates_backward backward

cdef inline vec loss_gradient(const Back* s, Py_ssize_t j, int n) noexcept nogil:
    """Whole gradient of h at units j..j+n: what the output sends and what the later step carries."""
    cdef vec dh = v_load(s.dh + j)
    if s.dy != NULL:
        dh = dh + v_load_n(s.dy + j, n)
    if s.watched != NULL:
        v_store_n(s.watched + j, dh, n)
    return dh
