# Dropout between layers (Srivastava et al. 2014; placed as in Zaremba et al. 2014). Whether a value is kept is a hash of
# where it stands, so that the backward pass makes the same mask again and no order of drawing exists: SplitMix64's
# finaliser (Steele, Lea and Flood 2014) over (seed, count, layer, t, n), then the 32-bit "lowbias32" of C. Wellons over j.

cdef inline uint64_t mix64(uint64_t z) noexcept nogil:
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)

cdef inline uint64_t absorb(uint64_t key, uint64_t value) noexcept nogil:
    return mix64(key + <uint64_t>0x9E3779B97F4A7C15 * (value + 1))

cdef inline uint32_t lowbias32(uint32_t x) noexcept nogil:
    x = (x ^ (x >> 16)) * <uint32_t>0x7FEB352D
    x = (x ^ (x >> 15)) * <uint32_t>0x846CA68B
    return x ^ (x >> 16)


cdef struct Draw:
    # the masks of one kind and place in one forward call: what decides whether the number at t, n, j is dropped
    uint64_t key            # of seed, count and layer
    uint64_t threshold      # 2^32 p; 0: nothing is dropped
    real scale              # of what is kept


cdef Draw new_draw(dropout, uint64_t layer):
    """dropout: (seed, count, p)."""
    cdef uint64_t seed = dropout[0], count = dropout[1]
    cdef double p = dropout[2]
    return Draw(absorb(absorb(seed, count), layer), <uint64_t>(p * 4294967296.0),
                <real>1 / (<real>1 - <real>p) if p < 1 else 0)


cdef inline uint64_t row_key(const Draw* d, uint64_t t, uint64_t n) noexcept nogil:
    return absorb(absorb(d.key, t), n)


cdef inline bint is_dropped(uint64_t threshold, uint32_t low, uint32_t high, Py_ssize_t j) noexcept nogil:
    """low, high: the halves of a row's key."""
    return lowbias32(lowbias32(low + <uint32_t>j * <uint32_t>0x9E3779B9) ^ high) < threshold


cdef void draw_row(const Draw* d, uint64_t key, real* to, Py_ssize_t J) noexcept nogil:
    """to OUT [J]: a row of the mask itself."""
    cdef Py_ssize_t j
    cdef uint64_t threshold = d.threshold
    cdef uint32_t low = <uint32_t>key, high = <uint32_t>(key >> 32)
    cdef real scale = d.scale
    for j in range(J):
        to[j] = 0 if is_dropped(threshold, low, high, j) else scale


def dropped(cnp.ndarray source, dropout, uint64_t layer, uint64_t t0=0):
    """Return source [T, N, J], from time t0 on, times 0 with probability p, else times 1 / (1 - p).

    dropout: (seed, count, p)."""
    cdef cnp.ndarray out = pooled((source.shape[0], source.shape[1], source.shape[2]))
    cdef Rows from_ = rows_of(source), to = rows_of(out)
    cdef Py_ssize_t t, n, j, T = source.shape[0], N = source.shape[1], J = source.shape[2]
    cdef Draw draw = new_draw(dropout, layer)
    cdef uint64_t key
    cdef uint32_t low, high
    cdef const real* a
    cdef real* b
    with nogil:
        for t in range(T):
            for n in range(N):
                key = row_key(&draw, t0 + t, n)
                low, high = <uint32_t>key, <uint32_t>(key >> 32)
                a, b = row_at(&from_, t, n), row_at(&to, t, n)
                for j in range(J):
                    b[j] = 0 if is_dropped(draw.threshold, low, high, j) else a[j] * draw.scale
    return out
