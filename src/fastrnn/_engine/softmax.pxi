# The softmax cross-entropy of a row of logits, and its gradient in the row's own place (Bridle 1990).

cdef extern from "math.h" nogil:
    double log(double x)
    float INFINITY

cdef extern from "vmath.h" nogil:
    vec v_load_or(const real* p, int n, real fill)
    vec v_max(vec a, vec b)
    real lane_sum(vec a)
    real lane_max(vec a)
    real REAL_LOWEST


cdef double softmax_row(real* z, Py_ssize_t panel_step, const Layout* a, Py_ssize_t target, double scale,
                        bint back) noexcept nogil:
    """Return -log p[target], p = softmax(z); with `back` z becomes scale * (p - onehot).

    z IN-OUT: J logits in panels of `width` vectors, panel_step apart; lanes beyond them are left alone.
    """
    cdef Py_ssize_t width = a.width * VLEN
    cdef real* at = z + (target // width) * panel_step + target % width
    cdef real aim = at[0], high, total, factor
    cdef vec top = v_set(REAL_LOWEST), sum_ = v_set(0), e
    cdef int p, v, n
    cdef real* q
    for p in range(a.count):
        for v in range(bias_vectors(a, p)):
            top = v_max(top, v_load_or(z + p * panel_step + v * VLEN, lanes(a.H, unit_of(a, p, v)), REAL_LOWEST))
    high = lane_max(top)
    for p in range(a.count):
        for v in range(bias_vectors(a, p)):
            n = lanes(a.H, unit_of(a, p, v))
            q = z + p * panel_step + v * VLEN
            e = v_exp_neg(v_load_or(q, n, -INFINITY) - v_set(high))  # where there are no logits: 0, whatever `high`
            sum_ = sum_ + e
            if back:
                v_store_n(q, e, n)
    total = lane_sum(sum_)
    if back:
        factor = <real>(scale / total)
        for p in range(a.count):
            for v in range(bias_vectors(a, p)):
                n = lanes(a.H, unit_of(a, p, v))
                q = z + p * panel_step + v * VLEN
                v_store_n(q, v_load_n(q, n) * v_set(factor), n)
        at[0] -= <real>scale
    return log(total) - (<double>aim - <double>high)


def softmax_cross_entropy(cnp.ndarray z, cnp.ndarray rows, cnp.ndarray targets, cnp.ndarray scale, cnp.ndarray losses):
    """Losses OUT float64 [M] of the rows [M] of z, and their gradients in place; the other rows become zero.

    z IN-OUT [·, J]; rows IN int64 [M], ascending; targets IN int64 [M]; scale IN float64 [M].
    """
    cdef Py_ssize_t J = z.shape[1], m = 0, n, M = rows.shape[0], N = z.shape[0]
    cdef Layout a = make_layout(RNN, J)
    cdef real* data = data_of(checked(z, "z"))
    cdef const int64_t* row = <const int64_t*>cnp.PyArray_DATA(rows)
    cdef const int64_t* target = <const int64_t*>cnp.PyArray_DATA(targets)
    cdef const double* weight_of = <const double*>cnp.PyArray_DATA(scale)
    cdef double* loss = <double*>cnp.PyArray_DATA(losses)
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for n in range(N):
            if m < M and row[m] == n:
                loss[m] = softmax_row(data + n * J, a.width * VLEN, &a, target[m], weight_of[m], True)
                m += 1
            else:
                memset(data + n * J, 0, J * sizeof(real))
        denormals_restore(mode)


def log_softmax(cnp.ndarray z):
    """z IN-OUT [N, J], contiguous: log softmax of each row."""
    cdef Py_ssize_t n, j, N = z.shape[0], J = z.shape[1]
    cdef Layout a = make_layout(RNN, J)
    cdef real* row = data_of(checked(z, "z"))
    cdef Py_ssize_t top
    cdef real high, shift
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for n in range(N):
            top = 0
            for j in range(1, J):
                if row[j] > row[top]:
                    top = j
            # -log p of the largest is log(sum of exp(z - largest)), which cancels nothing
            shift = <real>softmax_row(row, a.width * VLEN, &a, top, 0, False)
            high = row[top]
            for j in range(J):
                row[j] = (row[j] - high) - shift
            row += J
        denormals_restore(mode)
