# The optimizers' rules, each one pass over memory: torch's formulas, in torch's order of operations.
#
# p IN-OUT: parameters; g IN: their gradients; what a rule remembers IN-OUT, None where it remembers nothing of the kind.
# All are contiguous and of one size. Factors are computed in double precision and rounded once to `real`. A rule takes
# each number for itself, so that large arrays are cut among threads wherever is convenient.

cdef extern from "vec.h" nogil:
    vec v_sqrt(vec a)

cdef enum:
    SUMS = 16           # that sum_of_squares adds up side by side, to hide the latency of an addition
    PARTS = 64          # that it cuts an array into, at most
    PART_NUMBERS = 32768  # and what is worth a part


cdef struct Update:
    # a rule's arrays, NULL where it has none of the kind, and its factors
    Py_ssize_t count
    int shares
    real* p
    const real* g
    real* mean      # of g
    real* square    # of g², or their sum
    real* buffer    # of momentum
    real lr, weight_decay, shrink, weight, keep, gain, ahead, momentum, eps, correction


cdef Update begin_update(cnp.ndarray p, cnp.ndarray g, double lr, double weight_decay):
    cdef Update u
    memset(&u, 0, sizeof(Update))
    u.count, u.p, u.g = p.size, data_of(checked(p, "p")), data_of(checked(g, "g"))
    u.lr, u.weight_decay = <real>lr, <real>weight_decay
    return u


cdef void run_update(Update* u, TeamBody rule) noexcept nogil:
    """Apply a rule to all numbers, shared out by how many bytes it moves: to and fro, but for the gradient."""
    cdef int arrays = 3 + 2 * ((u.mean != NULL) + (u.square != NULL) + (u.buffer != NULL))
    cdef double seconds = <double>u.count * arrays * sizeof(real) / 40e9
    cdef unsigned int mode = denormals_flush()
    u.shares = shares_for(seconds)
    run_region(rule, u, u.shares, seconds)
    denormals_restore(mode)


cdef inline Py_ssize_t update_end(const Update* u, int share) noexcept nogil:
    """Where a share ends: the last one with the numbers, all others between two pages."""
    cdef Py_ssize_t page = PAGE_BYTES // <Py_ssize_t>sizeof(real)
    return min(share_end(<int>ceil_div(u.count, page), u.shares, share) * page, u.count)


cdef inline vec toward(vec from_, vec to, real weight) noexcept nogil:
    """from + weight * (to - from), taken from the nearer end: a weight of 1 gives `to` exactly (torch.lerp)."""
    if weight < 0.5:
        return v_fma(v_set(weight), to - from_, from_)
    return v_fma(v_set(weight - 1), to - from_, to)


cdef inline vec mean_square(vec mean, vec g, real keep, real gain) noexcept nogil:
    return v_fma(v_set(gain) * g, g, v_set(keep) * mean)


cdef void sgd_share(void* argument, int share, int rank) noexcept nogil:
    cdef const Update* u = <const Update*>argument
    cdef Py_ssize_t first = update_end(u, share - 1), end = update_end(u, share)
    if u.buffer == NULL:  # a loop of its own for each, which asks for nothing at every vector
        sgd_numbers(u, first, end, False)
    else:
        sgd_numbers(u, first, end, True)


cdef inline void sgd_numbers(const Update* u, Py_ssize_t first, Py_ssize_t end, bint remembers) noexcept nogil:
    cdef vec rate = v_set(-u.lr), decay = v_set(u.weight_decay), keep = v_set(u.keep), gain = v_set(u.gain)
    cdef vec ahead = v_set(u.ahead), d, x, remembered
    cdef real* p = u.p
    cdef real* buffer = u.buffer
    cdef const real* g = u.g
    cdef bint nesterov = u.ahead != 0
    cdef Py_ssize_t j
    cdef int n
    for j from first <= j < end by VLEN:
        n = lanes(end, j)
        x = v_load_n(p + j, n)
        d = v_fma(decay, x, v_load_n(g + j, n))
        if remembers:
            remembered = v_fma(gain, d, keep * v_load_n(buffer + j, n))
            v_store_n(buffer + j, remembered, n)
            d = v_fma(ahead, remembered, d) if nesterov else remembered
        v_store_n(p + j, v_fma(rate, d, x), n)


def sgd(cnp.ndarray p, cnp.ndarray g, momentum_buffer, double lr, double weight_decay, double keep, double gain,
        double ahead):
    """buffer = keep * buffer + gain * g; p -= lr * buffer, or lr * (g + ahead * buffer) where `ahead` is not 0."""
    cdef Update u = begin_update(p, g, lr, weight_decay)
    u.buffer = optional(momentum_buffer, "momentum_buffer")
    u.keep, u.gain, u.ahead = <real>keep, <real>gain, <real>ahead
    with nogil:
        run_update(&u, sgd_share)


cdef void rmsprop_share(void* argument, int share, int rank) noexcept nogil:
    cdef Update u = (<Update*>argument)[0]
    cdef vec d, x, variance, average
    cdef Py_ssize_t j, end = update_end(&u, share)
    cdef int n
    for j from update_end(&u, share - 1) <= j < end by VLEN:
        n = lanes(end, j)
        x = v_load_n(u.p + j, n)
        d = v_fma(v_set(u.weight_decay), x, v_load_n(u.g + j, n))
        variance = mean_square(v_load_n(u.square + j, n), d, u.keep, u.gain)
        v_store_n(u.square + j, variance, n)
        if u.mean != NULL:
            average = toward(v_load_n(u.mean + j, n), d, u.gain)
            v_store_n(u.mean + j, average, n)
            variance = v_max(v_set(0), v_fma(-average, average, variance))  # rounding may leave less than 0
        variance = v_sqrt(variance) + v_set(u.eps)
        if u.buffer != NULL:
            d = v_fma(v_set(u.momentum), v_load_n(u.buffer + j, n), d / variance)
            v_store_n(u.buffer + j, d, n)
            x = v_fma(v_set(-u.lr), d, x)
        else:
            x = x + v_set(-u.lr) * d / variance
        v_store_n(u.p + j, x, n)


def rmsprop(cnp.ndarray p, cnp.ndarray g, cnp.ndarray square_avg, grad_avg, momentum_buffer, double lr,
            double weight_decay, double alpha, double eps, double momentum):
    """p -= lr * g / (sqrt(mean of g² [- (mean of g)²]) + eps), or lr times the momentum of these quotients."""
    cdef Update u = begin_update(p, g, lr, weight_decay)
    u.square = data_of(checked(square_avg, "square_avg"))
    u.mean, u.buffer = optional(grad_avg, "grad_avg"), optional(momentum_buffer, "momentum_buffer")
    u.keep, u.gain, u.eps, u.momentum = <real>alpha, <real>(1 - alpha), <real>eps, <real>momentum
    with nogil:
        run_update(&u, rmsprop_share)


cdef void adagrad_share(void* argument, int share, int rank) noexcept nogil:
    cdef Update u = (<Update*>argument)[0]
    cdef vec d, x, squares
    cdef Py_ssize_t j, end = update_end(&u, share)
    cdef int n
    for j from update_end(&u, share - 1) <= j < end by VLEN:
        n = lanes(end, j)
        x = v_load_n(u.p + j, n)
        d = v_fma(v_set(u.weight_decay), x, v_load_n(u.g + j, n))
        squares = v_fma(d, d, v_load_n(u.square + j, n))
        v_store_n(u.square + j, squares, n)
        v_store_n(u.p + j, x + v_set(-u.lr) * d / (v_sqrt(squares) + v_set(u.eps)), n)


def adagrad(cnp.ndarray p, cnp.ndarray g, cnp.ndarray sum_, double lr, double weight_decay, double eps):
    """sum += g²; p -= lr * g / (sqrt(sum) + eps)."""
    cdef Update u = begin_update(p, g, lr, weight_decay)
    u.square, u.eps = data_of(checked(sum_, "sum")), <real>eps
    with nogil:
        run_update(&u, adagrad_share)


cdef void adam_share(void* argument, int share, int rank) noexcept nogil:
    cdef Update u = (<Update*>argument)[0]
    cdef vec d, x, mean, square, divisor
    cdef Py_ssize_t j, end = update_end(&u, share)
    cdef int n
    for j from update_end(&u, share - 1) <= j < end by VLEN:
        n = lanes(end, j)
        x = v_set(u.shrink) * v_load_n(u.p + j, n)
        d = v_fma(v_set(u.weight_decay), x, v_load_n(u.g + j, n))
        mean = toward(v_load_n(u.mean + j, n), d, u.weight)
        square = mean_square(v_load_n(u.square + j, n), d, u.keep, u.gain)
        v_store_n(u.mean + j, mean, n)
        v_store_n(u.square + j, square, n)
        divisor = v_fma(v_sqrt(square), v_set(u.correction), v_set(u.eps))
        v_store_n(u.p + j, x + v_set(-u.lr) * mean / divisor, n)


def adam(cnp.ndarray p, cnp.ndarray g, cnp.ndarray exp_avg, cnp.ndarray exp_avg_sq, double step_size, double beta1,
         double beta2, double correction, double eps, double weight_decay, double shrink):
    """p = shrink * p - step_size * mean of g / (sqrt(mean of g²) / correction + eps)."""
    cdef Update u = begin_update(p, g, step_size, weight_decay)
    u.mean, u.square = data_of(checked(exp_avg, "exp_avg")), data_of(checked(exp_avg_sq, "exp_avg_sq"))
    u.weight, u.keep, u.gain = <real>(1 - beta1), <real>beta2, <real>(1 - beta2)
    u.shrink, u.eps, u.correction = <real>shrink, <real>eps, <real>(1 / correction)
    with nogil:
        run_update(&u, adam_share)


cdef double squares_of(const real* a, Py_ssize_t count) noexcept nogil:
    cdef double total[SUMS]
    cdef Py_ssize_t j = 0
    cdef int k
    for k in range(SUMS):
        total[k] = 0
    while j + SUMS <= count:
        for k in range(SUMS):
            total[k] += <double>a[j + k] * <double>a[j + k]
        j += SUMS
    while j < count:
        total[0] += <double>a[j] * <double>a[j]
        j += 1
    for k in range(1, SUMS):
        total[0] += total[k]
    return total[0]


cdef struct Squares:
    # numbers whose squares are added up, in parts that their count alone decides, each by one thread
    const real* a
    Py_ssize_t count
    int parts
    double totals[PARTS]


cdef void squares_part(void* argument, int part, int rank) noexcept nogil:
    cdef Squares* s = <Squares*>argument
    cdef Py_ssize_t begin = s.count * part // s.parts
    s.totals[part] = squares_of(s.a + begin, s.count * (part + 1) // s.parts - begin)


def sum_of_squares(cnp.ndarray array):
    """The sum of the squares of a contiguous array, each of them and the sum in double precision."""
    cdef Squares s
    cdef double seconds = <double>array.size * sizeof(real) / 20e9
    cdef int part
    cdef unsigned int mode
    s.a, s.count = data_of(checked(array, "array")), array.size
    s.parts = <int>min(1 + s.count // PART_NUMBERS, PARTS)
    with nogil:
        mode = denormals_flush()  # as workers do
        run_region(squares_part, &s, s.parts, seconds)
        denormals_restore(mode)
        for part in range(1, s.parts):
            s.totals[0] += s.totals[part]
    return s.totals[0]
