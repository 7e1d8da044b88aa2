# The call that most calls are: x, from a state or from zeros. What Python asks of every argument takes longer than a step of
# a small layer; that here nothing has to be asked is seen at a glance.

def plain_call(list weights, int D, x, state, out, Py_ssize_t I, bint batch_first, bint keep):
    """Return y and the final state, from zero states where `state` is None, and, if `keep`, what `stack_forward` returns
    for the backward pass.

    y, `out` if that is not None, lies as x; the state is h [L*D, N, P] or, of LSTMs, the pair of that and c [L*D, N, H].
    None is returned where x is not, as it lies, an array [N, T, I] or, not batch_first, [T, N, I] of the engine's
    precision, or `state` and `out` are not like the results.
    """
    cdef const Pack* w = &(<Weights>weights[0]).pack
    cdef bint pair = CELLS[w.cell].has_c
    cdef Py_ssize_t K = len(weights), N
    cdef cnp.ndarray given, y, h, c = None
    cdef list kept
    if not lies_plain(x):
        return None
    given = x
    if given.shape[2] != I:
        return None
    N = given.shape[0 if batch_first else 1]
    h0, c0 = state, None
    if state is not None:
        if pair:
            if type(state) is not tuple or len(<tuple>state) != 2:
                return None
            h0, c0 = <tuple>state
            if not lies_plain(c0) or not has_shape(c0, K, N, w.H):
                return None
        if not lies_plain(h0) or not has_shape(h0, K, N, w.P):
            return None
    if out is None:
        y = pooled((given.shape[0], given.shape[1], D * w.P))
    elif (lies_plain(out) and has_shape(out, given.shape[0], given.shape[1], D * w.P) and cnp.PyArray_ISWRITEABLE(out)
          and lies_apart(out, x) and lies_apart(out, h0) and lies_apart(out, c0)):
        y = out
    else:
        return None
    h = pooled((K, N, w.P))
    if pair:
        c = pooled((K, N, w.H))
    if keep:  # which outlives the caller's
        h0, c0 = copied(h0), copied(c0)
    kept = stack_forward(weights, D, swapped(given, batch_first), None, None, h0, c0, swapped(y, batch_first), h, c, keep,
                         False, None, None)
    final = (h, c) if pair else h
    return (y, final, kept) if keep else (y, final)


cdef inline bint lies_plain(array):
    """Whether it is an array of three axes as the engine reads it."""
    return (type(array) is cnp.ndarray and cnp.PyArray_NDIM(array) == 3 and cnp.PyArray_TYPE(array) == REAL_NUMBER
            and cnp.PyArray_ISCARRAY_RO(array))


cdef inline bint has_shape(cnp.ndarray array, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c):
    return array.shape[0] == a and array.shape[1] == b and array.shape[2] == c


cdef inline bint lies_apart(cnp.ndarray array, other):
    """Whether no byte of an array is one of the other's, which may be None."""
    if other is None:
        return True
    cdef const char* low = cnp.PyArray_BYTES(array)
    cdef const char* other_low = cnp.PyArray_BYTES(other)
    return low + cnp.PyArray_NBYTES(array) <= other_low or other_low + cnp.PyArray_NBYTES(other) <= low


cdef inline copied(array):
    return None if array is None else cnp.PyArray_NewCopy(array, cnp.NPY_CORDER)


cdef inline cnp.ndarray swapped(cnp.ndarray array, bint swap):
    """A view with the first two axes in each other's place, if `swap`."""
    return cnp.PyArray_SwapAxes(array, 0, 1) if swap else array
