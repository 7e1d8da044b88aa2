# What a step of either pass asks memory for while it computes: rows that it or the steps to come read and write, which the
# hardware's prefetchers, after so few lines of each, do not bring in time.

cdef enum:
    FAR_BYTES = 1 << 21  # of input, output and half of a tape: more comes from far away
    SWEPT = 1 << 19      # of recurrent weights: more sweep out of the second cache what was asked for a step before
    FAR_COLUMNS = 128    # of input and output: asking for shorter rows costs more than it gains


cdef inline bint reaches_far(const Forward* f) noexcept nogil:
    """Whether to ask for rows before they are needed; all must be real. A row alone comes unasked."""
    cdef Cell* cell = &CELLS[f.w.cell]
    cdef Py_ssize_t kept = (cell.saved + cell.has_c) * f.w.H if f.keep else 0
    cdef Py_ssize_t R = f.n1 - f.n0, numbers = (f.s1 - f.s0) * R * (f.w.I + f.w.P + kept // 2)
    return (numbers * <Py_ssize_t>sizeof(real) > FAR_BYTES and min(f.w.I, f.w.P) >= FAR_COLUMNS and R > 1
            and f.steps.full)


cdef void aim_ahead(Forward* f, Py_ssize_t s) noexcept nogil:
    """Where memory is to be asked for while step s computes: for what the next step writes or, where its weights would
    sweep that out again, for what step s does."""
    cdef Py_ssize_t weights = f.w.state.count * f.w.state.panel_step * <Py_ssize_t>sizeof(real)
    cdef Py_ssize_t written = s if weights > SWEPT else s + 1, t = time_of(written, f.steps.T, f.reverse)
    cdef int k
    f.comings = 0
    if written < f.s1:
        expect_rows(f, &f.y, t, 0, f.w.P)
        if f.keep and f.h_kept.data != f.y.data:
            expect_rows(f, &f.h_kept, t, 0, f.w.P)
        if f.c_kept.data != NULL:
            expect_rows(f, &f.c_kept, t, 0, f.w.H)
        for k in range(CELLS[f.w.cell].saved if f.gates_kept.data != NULL else 0):
            expect_rows(f, &f.gates_kept, t, k * f.w.H, f.w.H)
    if s + f.chunk < f.s1 and f.ids == NULL:
        expect_rows(f, &f.x, time_of(s + f.chunk, f.steps.T, f.reverse), 0, f.w.I)


cdef inline void expect_rows(Forward* f, const Rows* a, Py_ssize_t t, Py_ssize_t first, Py_ssize_t columns) noexcept nogil:
    f.coming[f.comings] = Coming(row_at(a, t, f.n0) + first, a.n_step, columns)
    f.comings += 1


cdef int list_ahead(const Forward* f, Asked* asked, int panel, int row, int rows) noexcept nogil:
    """asked OUT: what comes of some rows and of as many columns as a panel has units, a stream for each line of a row;
    return how many."""
    cdef Py_ssize_t j, first = panel * f.w.layout.units * VLEN, end = first + f.w.layout.units * VLEN
    cdef const Coming* coming
    cdef int k, count = 0
    for k in range(f.comings):
        coming = &f.coming[k]
        for j from first <= j < min(end, coming.columns) by PER_LINE:
            asked[count] = Asked(coming.data + row * coming.n_step + j, coming.n_step, rows)
            count += 1
    return count


cdef void ask_ahead(const Forward* f, int panel, int panels, int row, int rows) noexcept nogil:
    """Ask for the same of several panels at once, where no tile does."""
    cdef Py_ssize_t first = panel * f.w.layout.units * VLEN, end = first + panels * f.w.layout.units * VLEN
    cdef const Coming* coming
    cdef int k, r
    for k in range(f.comings):
        coming = &f.coming[k]
        for r in range(row, row + rows):
            prefetch_far(coming.data + r * coming.n_step + first, min(end, coming.columns) - first)


cdef void ask_sums(const Sweep* s, const Group* group, int m, int most, int p, int coming) noexcept nogil:
    """Ask for the sums that the next tile of up to `most` rows starts from: from row m of the group on or, behind all
    rows, of the panel that comes."""
    cdef int r, first = group.row + m, end = min(first + most, s.count)
    cdef int columns = panel_vectors(s.b, p) * VLEN
    if first == s.count:
        first, end, p = 0, min(most, s.count), coming
    for r in range(first, end):
        prefetch_row(s.f.step.inputs[r] + p * s.f.step.input_step + s.part.first * VLEN, columns)
