# Which rows are real at each step: lengths, masks with holes and resets, in one form for both directions.

cdef const uint8_t* flags_of(cnp.ndarray array):
    if array is None:
        return NULL
    return <const uint8_t*>cnp.PyArray_DATA(array)


cdef class Plan:
    """Rows to work on, step by step: all N of them (`full`), or a list per step; and where a row's state restarts."""
    cdef Py_ssize_t T, N
    cdef bint full
    cdef int32_t* rows          # [sum of the counts]: active rows of step 0, of step 1, ...; all rows when full
    cdef Py_ssize_t* first      # [T + 1]: where a step's rows begin
    cdef const uint8_t* resets  # [T, N] or NULL
    cdef cnp.ndarray active_array, resets_array
    cdef Buffer memory

    def __cinit__(self, Py_ssize_t T, Py_ssize_t N, cnp.ndarray active, cnp.ndarray resets):
        """active, resets: bool [T, N], contiguous, or None."""
        cdef char* space = NULL
        self.T, self.N, self.full = T, N, active is None
        self.active_array, self.resets_array = active, resets
        self.resets = flags_of(resets)
        self.place(&space)
        self.memory = take(<size_t>space)
        space = self.memory.data
        self.place(&space)
        self.list_rows(flags_of(active))

    cdef void place(self, char** space):
        self.rows = <int32_t*>carve(space, (self.N if self.full else self.T * self.N) * sizeof(int32_t))
        self.first = <Py_ssize_t*>carve(space, (1 if self.full else self.T + 1) * sizeof(Py_ssize_t))

    cdef void list_rows(self, const uint8_t* active) noexcept nogil:
        cdef Py_ssize_t t, n, count = 0
        if self.full:
            for n in range(self.N):
                self.rows[n] = <int32_t>n
            return
        for t in range(self.T):
            self.first[t] = count
            for n in range(self.N):
                if active[t * self.N + n]:
                    self.rows[count] = <int32_t>n
                    count += 1
        self.first[self.T] = count

    cdef inline Py_ssize_t count_at(self, Py_ssize_t t) noexcept nogil:
        return self.N if self.full else self.first[t + 1] - self.first[t]

    cdef inline const int32_t* rows_at(self, Py_ssize_t t) noexcept nogil:
        return self.rows if self.full else self.rows + self.first[t]


cdef enum:
    INITIAL = -1  # the state before the sequence
    ZERO = -2     # a restart

cdef void list_previous(Plan plan, bint reverse, int32_t* last, int32_t* previous) noexcept nogil:
    """last [N] scratch -> previous OUT [T, N]: the step whose state a real step starts from, INITIAL or ZERO."""
    cdef Py_ssize_t s, t, k, n
    cdef int32_t latest
    for n in range(plan.N):
        last[n] = INITIAL
    for s in range(plan.T):
        t = plan.T - 1 - s if reverse else s
        for k in range(plan.count_at(t)):
            n = plan.rows_at(t)[k]
            latest = last[n]
            if plan.resets != NULL and restarts(plan, reverse, t, n, latest):
                latest = ZERO
            previous[t * plan.N + n] = latest
            last[n] = <int32_t>t


cdef inline bint restarts(Plan plan, bint reverse, Py_ssize_t t, Py_ssize_t n, Py_ssize_t last) noexcept nogil:
    """Whether the state of row n is dropped before step t, its latest real step being `last` (negative: none).

    A reset at t parts t from what came before it in time: the reverse direction drops on leaving t."""
    if reverse:
        return last >= 0 and plan.resets[last * plan.N + n] != 0
    return plan.resets[t * plan.N + n] != 0


cdef void fill_padding(Plan plan, const Rows* y, Py_ssize_t J, bint hold, bint reverse) noexcept nogil:
    """y IN-OUT [T, N, J]: at padded steps 0, or the row's latest output in the direction's order."""
    cdef Py_ssize_t s, t, n
    cdef const uint8_t* active = <const uint8_t*>cnp.PyArray_DATA(plan.active_array)
    cdef const real* latest
    for n in range(plan.N):
        latest = NULL
        for s in range(plan.T):
            t = plan.T - 1 - s if reverse else s
            if active[t * plan.N + n]:
                latest = row_at(y, t, n)
            elif hold and latest != NULL:
                memcpy(row_at(y, t, n), latest, J * sizeof(real))
            else:
                memset(row_at(y, t, n), 0, J * sizeof(real))


cdef void gather_held(Plan plan, const Rows* dy, Py_ssize_t J, bint reverse) noexcept nogil:
    """dy IN-OUT [T, N, J]: the gradient at held steps joins the one of the output they repeat, the latest step first."""
    cdef Py_ssize_t s, t, n, j
    cdef const uint8_t* active = <const uint8_t*>cnp.PyArray_DATA(plan.active_array)
    cdef real* held
    cdef real* row
    for n in range(plan.N):
        held = NULL
        for s in range(plan.T - 1, -1, -1):
            t = plan.T - 1 - s if reverse else s
            row = row_at(dy, t, n)
            if held != NULL:
                for j in range(J):
                    row[j] += held[j]
            held = NULL if active[t * plan.N + n] else row
