# What a step of either pass asks memory for while it computes: rows that it or the steps to come read and write, which the
# hardware's prefetchers, after so few lines of each, do not bring in time.

cdef enum:
    FAR_BYTES = 1 << 21  # of input, output and half of a tape: more comes from far away
    SWEPT = 1 << 19      # of recurrent weights: more sweep out of the second cache what was asked for a step before
    FAR_COLUMNS = 128    # of input and output: asking for shorter rows costs more than it gains
    LISTED_COLUMNS = 128  # of a tape: listing shorter rows for tiles does


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


cdef inline Py_ssize_t kept_columns(const Backward* b) noexcept nogil:
    """Numbers of a row of the tape that its gates read, but for h and c of the step before."""
    return max(CELLS[b.w.cell].saved, 1) * b.w.H


cdef bint tiles_have_room(const Backward* b) noexcept nogil:
    """Whether the tiles that carry a step's gradient have a k for every line of tape and dy that the step before reads."""
    cdef const Panels* carry = &b.w.state_back
    cdef Py_ssize_t tape = kept_columns(b)
    if b.w.layout.state.vectors == 0 or tape < LISTED_COLUMNS:
        return False
    return (carry.panel_step // carry.row_step * carry.count * PER_LINE
            >= tile_rows(registers_of(panel_fill(carry, 0), panel_vectors(carry, 0))) * (tape + b.w.P))


cdef inline bint tiles_ask(const Backward* b, const Span* s) noexcept nogil:
    """Whether the tiles that carry a step's gradient ask for what the gates of the step before read."""
    return b.listed and s.k1 - s.k0 > 1


cdef inline void ask_before(const Backward* b, Py_ssize_t t, Py_ssize_t n) noexcept nogil:
    """Ask for what the gates of the step before read of one row's tape and dy, where no tile does."""
    cdef int32_t before = previous_of(b, t, n)
    cdef const Rows* kept = &b.gates_kept if b.gates_kept.data != NULL else &b.h_kept
    if not b.t0 <= before < b.t1:
        return
    prefetch_far(row_at(kept, before, n), kept_columns(b))
    if b.dy.data != NULL:
        prefetch_far(row_at(&b.dy, before, n), b.w.P)


cdef Asked* list_before(Backward* b, const Span* s) noexcept nogil:
    """What the gates of the step before read of a span's rows: tape and dy of that step, and of the one before it c or,
    of GRUs, h."""
    cdef Asked* asked = b.asked + ASKED_OF_ROW * s.n0
    cdef int count = 0
    if b.gates_kept.data != NULL:
        count = list_lines(b, s, &b.gates_kept, 1, kept_columns(b), asked, count)
    if b.dy.data != NULL:
        count = list_lines(b, s, &b.dy, 1, b.w.P, asked, count)
    if CELLS[b.w.cell].has_c:
        count = list_lines(b, s, &b.c_kept, 2, b.w.H, asked, count)
    else:
        count = list_lines(b, s, &b.h_kept, 2 if b.gates_kept.data != NULL else 1, b.w.P, asked, count)
    asked[count] = Asked(NULL, 0, 0)
    return asked


cdef inline int list_lines(const Backward* b, const Span* s, const Rows* a, int back, Py_ssize_t columns, Asked* asked,
                           int count) noexcept nogil:
    """Add an array's rows of one or two steps before to `count` streams; return how many there are then. Rows that lie
    behind each other are one stream."""
    cdef const int32_t* rows = rows_at(b.steps, s.t)
    cdef Py_ssize_t k, lines = ceil_div(columns, PER_LINE)
    cdef int first = count
    cdef int32_t t
    cdef const real* row
    for k in range(s.k0, s.k1):
        t = previous_of(b, s.t, rows[k])
        if back == 2 and b.t0 <= t < b.t1:
            t = previous_of(b, t, rows[k])
        if not b.t0 <= t < b.t1:
            continue
        row = row_at(a, t, rows[k])
        if count > first and asked[count - 1].next + asked[count - 1].lines * PER_LINE == row:
            asked[count - 1].lines += lines
        else:
            asked[count] = Asked(row, PER_LINE, lines)
            count += 1
    return count
