# What tests and benchmarks ask of the machine and of the elementary functions.

from time import perf_counter

cdef extern from "measure.h" nogil:
    void fma_chains(Py_ssize_t count, real* value)
    int FMA_FLOPS
    void read_through(const real* data, Py_ssize_t count, real* value)


def elementary(str name, cnp.ndarray x):
    """Return exp (of x <= 0), tanh or sigmoid of x, elementwise, as the cells compute them."""
    cdef cnp.ndarray y = np.empty_like(checked(x, "x"), order="C")
    x = np.ascontiguousarray(x)
    cdef const real* a = data_of(x)
    cdef real* b = data_of(y)
    cdef Py_ssize_t j, size = x.size
    cdef int n, function = ("exp", "tanh", "sigmoid").index(name)
    cdef vec v
    cdef unsigned int mode = denormals_flush()
    for j from 0 <= j < size by VLEN:
        n = lanes(size, j)
        v = v_load_n(a + j, n)
        v_store_n(b + j, v_exp_neg(v) if function == 0 else v_tanh(v) if function == 1 else v_sigmoid(v), n)
    denormals_restore(mode)
    return y


def fma_peak(double seconds):
    """Return what one core reaches in independent fused multiply-adds, GFLOP/s: the best of short runs."""
    cdef Py_ssize_t count = 20000
    cdef double begin, best = 1e30, end = perf_counter() + seconds
    cdef real value = 0
    while True:
        begin = perf_counter()
        fma_chains(count, &value)
        best = min(best, perf_counter() - begin)
        if perf_counter() > end:
            return count * FMA_FLOPS / best * 1e-9


def read_bandwidth(Py_ssize_t nbytes, double seconds):
    """Return how fast one core reads an array of nbytes over and over, GB/s: the best of short runs."""
    cdef Buffer buffer = take(nbytes)
    cdef double begin, best = 1e30, end = perf_counter() + seconds
    cdef Py_ssize_t k, passes = max(1, (1 << 20) // nbytes)  # between two looks at the clock, which cost as well
    memset(buffer.data, 0, nbytes)
    cdef const real* data = <real*>buffer.data
    cdef real value = 0
    while True:
        begin = perf_counter()
        for k in range(passes):
            read_through(data, nbytes // <Py_ssize_t>sizeof(real), &value)
        best = min(best, perf_counter() - begin)
        if perf_counter() > end:
            return passes * nbytes / best * 1e-9
