# The call that most calls are: inference of x alone. What Python asks of every argument takes longer than a step of a
# small layer; that here nothing has to be asked is seen at a glance.

def plain_call(list weights, int D, x, Py_ssize_t I, bint batch_first):
    """Return y and the final state of inference from zero states; None where x is not, as it lies, an array [N, T, I]
    or, not batch_first, [T, N, I] of the engine's precision.

    y lies as x; the state is h [L*D, N, P] or, of LSTMs, the pair of that and c [L*D, N, H].
    """
    cdef const Pack* w = &(<Weights>weights[0]).pack
    cdef cnp.ndarray given, y, h, c = None
    if type(x) is not cnp.ndarray:
        return None
    given = x
    if given.ndim != 3 or given.shape[2] != I or cnp.PyArray_TYPE(given) != REAL_NUMBER:
        return None
    if not cnp.PyArray_ISCARRAY_RO(given):
        return None
    cdef Py_ssize_t N = given.shape[0 if batch_first else 1]
    y = pooled((given.shape[0], given.shape[1], D * w.P))
    h = pooled((len(weights), N, w.P))
    if CELLS[w.cell].has_c:
        c = pooled((len(weights), N, w.H))
    stack_forward(weights, D, swapped(given, batch_first), None, None, None, None, swapped(y, batch_first), h, c, False,
                  False, None, None)
    return y, h if c is None else (h, c)


cdef inline cnp.ndarray swapped(cnp.ndarray array, bint swap):
    """A view with the first two axes in each other's place, if `swap`."""
    return cnp.PyArray_SwapAxes(array, 0, 1) if swap else array
