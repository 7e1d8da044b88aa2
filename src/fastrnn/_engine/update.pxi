# The optimizers' rules, each one pass over memory: torch's formulas, in torch's order of operations.
#
# p IN-OUT: parameters; g IN: their gradients; what a rule remembers IN-OUT, None where it remembers nothing of the kind.
# All are contiguous and of one size. Factors are computed in double precision and rounded once to `real`.

cdef extern from "vec.h" nogil:
    vec v_sqrt(vec a)

cdef enum:
    SUMS = 16  # that sum_of_squares adds up side by side, to hide the latency of an addition


cdef inline vec toward(vec from_, vec to, real weight) noexcept nogil:
    """from + weight * (to - from), taken from the nearer end: a weight of 1 gives `to` exactly (torch.lerp)."""
    if weight < 0.5:
        return v_fma(v_set(weight), to - from_, from_)
    return v_fma(v_set(weight - 1), to - from_, to)


cdef inline vec mean_square(vec mean, vec g, real keep, real gain) noexcept nogil:
    return v_fma(v_set(gain) * g, g, v_set(keep) * mean)


def sgd(cnp.ndarray p, cnp.ndarray g, momentum_buffer, double lr, double weight_decay, double keep, double gain,
        double ahead):
    """buffer = keep * buffer + gain * g; p -= lr * buffer, or lr * (g + ahead * buffer) where `ahead` is not 0."""
    cdef real* parameter = data_of(checked(p, "p"))
    cdef const real* gradient = data_of(checked(g, "g"))
    cdef real* buffer = optional(momentum_buffer, "momentum_buffer")
    cdef vec d, x, remembered
    cdef Py_ssize_t j, count = p.size
    cdef int n
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for j from 0 <= j < count by VLEN:
            n = lanes(count, j)
            x = v_load_n(parameter + j, n)
            d = v_fma(v_set(<real>weight_decay), x, v_load_n(gradient + j, n))
            if buffer != NULL:
                remembered = v_fma(v_set(<real>gain), d, v_set(<real>keep) * v_load_n(buffer + j, n))
                v_store_n(buffer + j, remembered, n)
                d = remembered if ahead == 0 else v_fma(v_set(<real>ahead), remembered, d)
            v_store_n(parameter + j, v_fma(v_set(<real>-lr), d, x), n)
        denormals_restore(mode)


def rmsprop(cnp.ndarray p, cnp.ndarray g, cnp.ndarray square_avg, grad_avg, momentum_buffer, double lr,
            double weight_decay, double alpha, double eps, double momentum):
    """p -= lr * g / (sqrt(mean of g² [- (mean of g)²]) + eps), or lr times the momentum of these quotients."""
    cdef real* parameter = data_of(checked(p, "p"))
    cdef const real* gradient = data_of(checked(g, "g"))
    cdef real* square = data_of(checked(square_avg, "square_avg"))
    cdef real* mean = optional(grad_avg, "grad_avg")
    cdef real* buffer = optional(momentum_buffer, "momentum_buffer")
    cdef real keep = <real>alpha, gain = <real>(1 - alpha)
    cdef vec d, x, variance, average
    cdef Py_ssize_t j, count = p.size
    cdef int n
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for j from 0 <= j < count by VLEN:
            n = lanes(count, j)
            x = v_load_n(parameter + j, n)
            d = v_fma(v_set(<real>weight_decay), x, v_load_n(gradient + j, n))
            variance = mean_square(v_load_n(square + j, n), d, keep, gain)
            v_store_n(square + j, variance, n)
            if mean != NULL:
                average = toward(v_load_n(mean + j, n), d, gain)
                v_store_n(mean + j, average, n)
                variance = v_max(v_set(0), v_fma(-average, average, variance))  # rounding may leave less than 0
            variance = v_sqrt(variance) + v_set(<real>eps)
            if buffer != NULL:
                d = v_fma(v_set(<real>momentum), v_load_n(buffer + j, n), d / variance)
                v_store_n(buffer + j, d, n)
                x = v_fma(v_set(<real>-lr), d, x)
            else:
                x = x + v_set(<real>-lr) * d / variance
            v_store_n(parameter + j, x, n)
        denormals_restore(mode)


def adagrad(cnp.ndarray p, cnp.ndarray g, cnp.ndarray sum_, double lr, double weight_decay, double eps):
    """sum += g²; p -= lr * g / (sqrt(sum) + eps)."""
    cdef real* parameter = data_of(checked(p, "p"))
    cdef const real* gradient = data_of(checked(g, "g"))
    cdef real* total = data_of(checked(sum_, "sum"))
    cdef vec d, x, squares
    cdef Py_ssize_t j, count = p.size
    cdef int n
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for j from 0 <= j < count by VLEN:
            n = lanes(count, j)
            x = v_load_n(parameter + j, n)
            d = v_fma(v_set(<real>weight_decay), x, v_load_n(gradient + j, n))
            squares = v_fma(d, d, v_load_n(total + j, n))
            v_store_n(total + j, squares, n)
            v_store_n(parameter + j, x + v_set(<real>-lr) * d / (v_sqrt(squares) + v_set(<real>eps)), n)
        denormals_restore(mode)


def adam(cnp.ndarray p, cnp.ndarray g, cnp.ndarray exp_avg, cnp.ndarray exp_avg_sq, double step_size, double beta1,
         double beta2, double correction, double eps, double weight_decay, double shrink):
    """p = shrink * p - step_size * mean of g / (sqrt(mean of g²) / correction + eps)."""
    cdef real* parameter = data_of(checked(p, "p"))
    cdef const real* gradient = data_of(checked(g, "g"))
    cdef real* first = data_of(checked(exp_avg, "exp_avg"))
    cdef real* second = data_of(checked(exp_avg_sq, "exp_avg_sq"))
    cdef real keep = <real>beta2, gain = <real>(1 - beta2), weight = <real>(1 - beta1)
    cdef vec d, x, mean, square, divisor
    cdef Py_ssize_t j, count = p.size
    cdef int n
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for j from 0 <= j < count by VLEN:
            n = lanes(count, j)
            x = v_set(<real>shrink) * v_load_n(parameter + j, n)
            d = v_fma(v_set(<real>weight_decay), x, v_load_n(gradient + j, n))
            mean = toward(v_load_n(first + j, n), d, weight)
            square = mean_square(v_load_n(second + j, n), d, keep, gain)
            v_store_n(first + j, mean, n)
            v_store_n(second + j, square, n)
            divisor = v_fma(v_sqrt(square), v_set(<real>(1 / correction)), v_set(<real>eps))
            v_store_n(parameter + j, x + v_set(<real>-step_size) * mean / divisor, n)
        denormals_restore(mode)


def sum_of_squares(cnp.ndarray array):
    """The sum of the squares of a contiguous array, each of them and the sum in double precision."""
    cdef const real* a = data_of(checked(array, "array"))
    cdef double total[SUMS]
    cdef Py_ssize_t j = 0, count = array.size
    cdef int k
    with nogil:
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
