# Which rows are real at each step: lengths, masks with holes and resets, in one form for both directions.

cdef const uint8_t* flags_of(cnp.ndarray array):
    if array is None:
        return NULL
    return <const uint8_t*>cnp.PyArray_DATA(array)


cdef struct Steps:
    # the rows to work on, step by step: all N of them (`full`), or a list for each step
    Py_ssize_t T, N
    bint full
    bint ends              # unless full: rows end and never begin again, row n real at the steps 0 ... real[n] - 1
    int32_t* rows          # lists of active rows, one for all neighbouring steps that have the same; when full 0 ... N - 1
    Py_ssize_t* first      # [T]: where the list of a step begins
    Py_ssize_t* count      # [T]: its length
    int32_t* real          # [N] unless full: steps at which a row is active
    const uint8_t* active  # [T, N] or NULL when full
    const uint8_t* resets  # [T, N] or NULL: where a row's state restarts


cdef void place_steps(Steps* s, char** space) noexcept nogil:
    s.rows = <int32_t*>carve(space, (s.N if s.full else s.T * s.N) * sizeof(int32_t))
    s.first = <Py_ssize_t*>carve(space, (0 if s.full else s.T) * sizeof(Py_ssize_t))
    s.count = <Py_ssize_t*>carve(space, (0 if s.full else s.T) * sizeof(Py_ssize_t))
    s.real = <int32_t*>carve(space, (0 if s.full else s.N) * sizeof(int32_t))


cdef void list_rows(Steps* s) noexcept nogil:
    cdef Py_ssize_t t, n, count = 0
    cdef const uint8_t* active
    cdef uint8_t begun
    if s.full:
        for n in range(s.N):
            s.rows[n] = <int32_t>n
        return
    memset(s.real, 0, s.N * sizeof(int32_t))
    s.ends = True
    for t in range(s.T):
        active = s.active + t * s.N
        for n in range(s.N):
            s.real[n] += active[n] != 0
        if t and memcmp(active, active - s.N, s.N) == 0:
            s.first[t], s.count[t] = s.first[t - 1], s.count[t - 1]
            continue
        begun = 0
        for n in range(s.N if t else 0):
            begun |= active[n] & ~active[n - s.N]
        s.ends = s.ends and not begun
        s.first[t] = count
        for n in range(s.N):
            if active[n]:
                s.rows[count] = <int32_t>n
                count += 1
        s.count[t] = count - s.first[t]


cdef inline Py_ssize_t count_at(const Steps* s, Py_ssize_t t) noexcept nogil:
    return s.N if s.full else s.count[t]


cdef inline const int32_t* rows_at(const Steps* s, Py_ssize_t t) noexcept nogil:
    return s.rows if s.full else s.rows + s.first[t]


cdef inline bint same_rows(const Steps* s, Py_ssize_t t, Py_ssize_t u) noexcept nogil:
    """Whether two neighbouring steps have the same active rows."""
    return s.full or s.first[t] == s.first[u] and s.count[t] == s.count[u]


cdef inline Py_ssize_t place_of(const Steps* s, Py_ssize_t t, Py_ssize_t n) noexcept nogil:
    """How many of a step's rows stand before row n: where a share of the batch begins in the step's list."""
    cdef const int32_t* rows
    cdef Py_ssize_t low = 0, high, middle
    if s.full or n == 0:
        return n
    rows, high = rows_at(s, t), count_at(s, t)
    if n >= s.N:
        return high
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < n:
            low = middle + 1
        else:
            high = middle
    return low


cdef class Plan:
    """The steps of a call, and the memory that holds them."""
    cdef Steps steps
    cdef cnp.ndarray active, resets
    cdef Buffer memory

    def __cinit__(self, Py_ssize_t T, Py_ssize_t N, cnp.ndarray active, cnp.ndarray resets):
        """active, resets: bool [T, N], contiguous, or None."""
        cdef Steps* s = &self.steps
        cdef char* space = NULL
        self.active, self.resets = active, resets
        s.T, s.N, s.full = T, N, active is None
        s.active, s.resets = flags_of(active), flags_of(resets)
        place_steps(s, &space)
        self.memory = take(<size_t>space)
        space = self.memory.data
        place_steps(s, &space)
        list_rows(s)


cdef enum:
    INITIAL = -1  # the state before the sequence
    ZERO = -2     # a restart

cdef void list_previous(const Steps* steps, bint reverse, Py_ssize_t s0, Py_ssize_t s1, Py_ssize_t n0, Py_ssize_t n1,
                        int32_t* last, int32_t* previous) noexcept nogil:
    """The steps whose states the real steps s0 ... s1 - 1 of the rows n0 ... n1 - 1 start from, INITIAL or ZERO.

    previous OUT, that of row n of time t at t * (n1 - n0) + n; last IN-OUT, by rows: their latest real steps, negative
    where there is none."""
    cdef Py_ssize_t s, t, k, n
    cdef int32_t latest
    for s in range(s0, s1):
        t = steps.T - 1 - s if reverse else s
        for k in range(place_of(steps, t, n0), place_of(steps, t, n1)):
            n = rows_at(steps, t)[k]
            latest = max(last[n], <int32_t>INITIAL)
            if steps.resets != NULL and restarts(steps, reverse, t, n, latest):
                latest = ZERO
            previous[t * (n1 - n0) + n] = latest
            last[n] = <int32_t>t


cdef inline bint restarts(const Steps* steps, bint reverse, Py_ssize_t t, Py_ssize_t n, Py_ssize_t last) noexcept nogil:
    """Whether the state of row n is dropped before step t, its latest real step being `last` (negative: none).

    A reset at t parts t from what came before it in time: the reverse direction drops on leaving t."""
    if reverse:
        return last >= 0 and steps.resets[last * steps.N + n] != 0
    return steps.resets[t * steps.N + n] != 0


cdef void fill_padding(const Steps* steps, const Rows* y, Py_ssize_t J, bint hold, bint reverse) noexcept nogil:
    """y IN-OUT [T, N, J]: at padded steps 0, or the row's latest output in the direction's order."""
    cdef Py_ssize_t s, t, n
    cdef const uint8_t* active = steps.active
    cdef const real* latest
    if steps.ends and not hold:
        clear_ends(steps, y, J)
        return
    for n in range(steps.N):
        latest = NULL
        for s in range(steps.T):
            t = steps.T - 1 - s if reverse else s
            if active[t * steps.N + n]:
                latest = row_at(y, t, n)
            elif hold and latest != NULL:
                memcpy(row_at(y, t, n), latest, J * sizeof(real))
            else:
                memset(row_at(y, t, n), 0, J * sizeof(real))


cdef void clear_ends(const Steps* steps, const Rows* y, Py_ssize_t J) noexcept nogil:
    """y OUT [T, N, J]: 0 behind the end of each row, at once where its steps lie side by side."""
    cdef Py_ssize_t t, n, steps_at_once
    for n in range(steps.N):
        steps_at_once = steps.T - steps.real[n] if y.t_step == J else 1
        for t from steps.real[n] <= t < steps.T by steps_at_once:
            memset(row_at(y, t, n), 0, steps_at_once * J * sizeof(real))


cdef void gather_held(const Steps* steps, const Rows* dy, Py_ssize_t J, bint reverse) noexcept nogil:
    """dy IN-OUT [T, N, J]: the gradient at held steps joins the one of the output they repeat, the latest step first."""
    cdef Py_ssize_t s, t, n, j
    cdef const uint8_t* active = steps.active
    cdef real* held
    cdef real* row
    for n in range(steps.N):
        held = NULL
        for s in range(steps.T - 1, -1, -1):
            t = steps.T - 1 - s if reverse else s
            row = row_at(dy, t, n)
            if held != NULL:
                for j in range(J):
                    row[j] += held[j]
            held = NULL if active[t * steps.N + n] else row
