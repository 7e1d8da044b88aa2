# The gradient of a table of which rows were read.

def add_rows(cnp.ndarray ids, cnp.ndarray dy, cnp.ndarray d_table):
    """d_table IN-OUT [V, E]: row ids[m] gains dy[m], m ascending; ids IN int64 [M], dy IN [M, E], all contiguous."""
    cdef const int64_t* symbol = <const int64_t*>cnp.PyArray_DATA(ids)
    cdef const real* from_ = data_of(checked(dy, "dy"))
    cdef real* table = data_of(checked(d_table, "d_table"))
    cdef Py_ssize_t m, j, M = ids.shape[0], E = d_table.shape[1]
    cdef int n
    cdef real* to
    cdef unsigned int mode
    with nogil:
        mode = denormals_flush()
        for m in range(M):
            to = table + symbol[m] * E
            for j from 0 <= j < E by VLEN:
                n = lanes(E, j)
                v_store_n(to + j, v_load_n(to + j, n) + v_load_n(from_ + m * E + j, n), n)
        denormals_restore(mode)
