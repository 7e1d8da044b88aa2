# The activations that a cell's gates may have, their slopes, and the traits in which a cell may differ from the plain one.
# Names, formulas and defaults are those of the ONNX operators RNN, GRU and LSTM.

cdef enum:
    TANH = 0
    RELU = 1
    SIGMOID = 2
    LINEAR = 3
    AFFINE = 4              # alpha z + beta
    LEAKY_RELU = 5          # z, below zero alpha z
    THRESHOLDED_RELU = 6    # z above alpha, else 0
    SCALED_TANH = 7         # alpha tanh(beta z)
    HARD_SIGMOID = 8        # alpha z + beta between 0 and 1
    ELU = 9                 # z, below zero alpha (e^z - 1)
    SOFTSIGN = 10           # z / (1 + |z|)
    SOFTPLUS = 11           # log(1 + e^z)

cdef struct Activation:
    int kind
    real alpha, beta
    bint clipped            # the argument is brought into -clip ... clip first
    real clip
    real at_low, at_high    # the values there: what a clipped argument gives, bit for bit

cdef struct Traits:
    bint plain              # the activations that everybody means, and nothing else: a path of its own
    bint coupled            # LSTM: f = 1 - i
    Activation f, g, h      # of the gates, of the candidate and of the cell; an RNN has f alone
    const real* peephole    # LSTM [3, H]: what i, f and o see of the cell, or NULL
    bint zoned              # zoneout of the states that the cell gives: see zoneout.pxi
    real zone_c, zone_h     # with which probability c and h stay


cdef inline vec activate(int kind, const Activation* f, vec z) noexcept nogil:
    """The activation of a kind that may be known when compiled; its parameters are read only where it has any."""
    if kind == TANH:
        return v_tanh(z)
    if kind == RELU:
        return v_relu(z)
    if kind == SIGMOID:
        return v_sigmoid(z)
    if kind == LINEAR:
        return z
    if kind == AFFINE:
        return v_fma(v_set(f.alpha), z, v_set(f.beta))
    if kind == LEAKY_RELU:
        return v_select_lt(z, v_set(0), f.alpha * z, z)
    if kind == THRESHOLDED_RELU:
        return v_select_lt(v_set(f.alpha), z, z, v_set(0))
    if kind == SCALED_TANH:
        return f.alpha * v_tanh(f.beta * z)
    if kind == HARD_SIGMOID:
        return -v_max(v_set(-1), -v_relu(v_fma(v_set(f.alpha), z, v_set(f.beta))))
    if kind == ELU:
        return v_select_lt(z, v_set(0), f.alpha * v_expm1_neg(z), z)
    if kind == SOFTSIGN:
        return z / (1 + v_abs(z))
    return v_softplus(z)


cdef inline vec slope(int kind, const Activation* f, vec y) noexcept nogil:
    """The derivative where the activation's value is y."""
    if kind == TANH:
        return 1 - y * y
    if kind == RELU:
        return v_select_lt(v_set(0), y, v_set(1), v_set(0))
    if kind == SIGMOID:
        return y * (1 - y)
    if kind == LINEAR:
        return v_set(1)
    if kind == AFFINE:
        return v_set(f.alpha)
    if kind == LEAKY_RELU:
        return v_select_lt(v_set(0), y, v_set(1), v_set(f.alpha))
    if kind == THRESHOLDED_RELU:
        return v_select_equal(y, v_set(0), v_set(0), v_set(1))
    if kind == SCALED_TANH:
        return v_set(f.beta) * v_fma(y, y * v_set(-1 / f.alpha if f.alpha != 0 else 0), v_set(f.alpha))
    if kind == HARD_SIGMOID:
        return v_select_lt(v_set(0), y, v_select_lt(y, v_set(1), v_set(f.alpha), v_set(0)), v_set(0))
    if kind == ELU:
        return v_select_lt(v_set(0), y, v_set(1), y + f.alpha)
    if kind == SOFTSIGN:
        return (1 - v_abs(y)) * (1 - v_abs(y))
    return -v_expm1_neg(-v_relu(y))  # below zero where zoneout kept another value, and no gradient comes


cdef vec activate_one(const Activation* f, vec z) noexcept nogil:
    return activate(f.kind, f, v_clip(z, f.clip) if f.clipped else z)


cdef vec slope_of(const Activation* f, vec y) noexcept nogil:
    """The slope of an activation behind its clip: none where that held the argument."""
    cdef vec d = slope(f.kind, f, y)
    if f.clipped:
        d = v_select_equal(y, v_set(f.at_low), v_set(0), v_select_equal(y, v_set(f.at_high), v_set(0), d))
    return d


cdef void activate_tiles(const Activation* f, real* z, int count, Py_ssize_t step) noexcept nogil:
    """z IN-OUT: `count` vectors, `step` numbers from one to the next."""
    cdef int k
    if f.clipped:
        for k in range(count):
            v_store(z + k * step, v_clip(v_load(z + k * step), f.clip))
    for k in range(count):
        v_store(z + k * step, activate(f.kind, f, v_load(z + k * step)))


cdef Activation make_activation(given, clip):
    """given: (kind, alpha, beta); clip: a number or None."""
    cdef Activation f
    cdef double alpha = given[1], beta = given[2], bound = 0 if clip is None else clip  # `real` from Python is a float
    cdef real lanes_[64]
    f.kind, f.alpha, f.beta = given[0], <real>alpha, <real>beta
    f.clipped, f.clip = clip is not None, <real>bound
    v_store(lanes_, activate(f.kind, &f, v_set(-f.clip)))
    f.at_low = lanes_[0]
    v_store(lanes_, activate(f.kind, &f, v_set(f.clip)))
    f.at_high = lanes_[0]
    return f


cdef Traits make_traits(int cell, given):
    """given: the activations of f, g and h, as many as the cell has; the clip of what the weights give, which h never
    sees, or None; coupled; the zoneout of c and h."""
    cdef Traits t
    activations, clip, coupled, zoneout = given
    cdef double zone_c = zoneout[0], zone_h = zoneout[1]
    t.f = make_activation(activations[0], clip)
    t.g = make_activation(activations[min(1, len(activations) - 1)], clip)
    t.h = make_activation(activations[len(activations) - 1], None)
    t.coupled, t.peephole = coupled, NULL
    t.zone_c, t.zone_h, t.zoned = <real>zone_c, <real>zone_h, zone_c > 0 or zone_h > 0
    if cell == RNN:
        t.plain = t.f.kind <= LINEAR
    elif cell in (MINGRU, MINLSTM):  # whose gates are sigmoids always
        t.plain = t.g.kind == LINEAR
    else:
        t.plain = t.f.kind == SIGMOID and t.g.kind == TANH and t.h.kind == TANH and not coupled
    t.plain = t.plain and clip is None
    return t
