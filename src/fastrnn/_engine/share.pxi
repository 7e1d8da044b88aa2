# Work shared out among threads: outputs are split, never sums (but see slices.pxi), so that no bit depends on how many
# there are.

cdef enum Split:
    # how a time loop is shared out
    ALONE       # not at all
    BY_ROWS     # each share takes some rows of the batch through all steps, and waits for nobody
    BY_UNITS    # each share takes some panels of every step, and all wait for one another after each
    SIDE_BY_SIDE  # the directions are the shares


cdef Split split_of(int shares, int D, Py_ssize_t N, double step_seconds) noexcept nogil:
    """A split for D directions of N rows; a step must be worth the wait at its end."""
    if shares == 1:
        return ALONE
    if N >= 8 * shares:
        return BY_ROWS
    if D > 1:
        return SIDE_BY_SIDE
    return BY_UNITS if step_seconds > 3e-6 else ALONE


cdef double seconds_of(double weights, double rows) noexcept nogil:
    """A guess, for such choices alone, at how long one core takes to multiply `rows` rows by `weights` numbers."""
    return weights * max(4.0 / 60e9, rows * 2.0 / 80e9)


cdef inline int share_end(int count, int shares, int share) noexcept nogil:
    """Where a share of `count` things ends; that of share -1 is where the first begins."""
    return <int>(<Py_ssize_t>count * (share + 1) // shares)


cdef inline Walk share_of_panels(int count, int shares, int share, bint turned) noexcept nogil:
    """The way through a share of `count` panels."""
    return Walk(share_end(count, shares, share - 1), share_end(count, shares, share), turned)


cdef struct Product:
    # gemm's arguments, and by what it is split
    Py_ssize_t rows
    const_row* a
    Inner inner
    const Panels* b
    const_row* init
    Py_ssize_t init_panel
    real** out
    Py_ssize_t out_panel
    int shares
    bint by_rows


cdef void product_share(void* argument, int share, int rank) noexcept nogil:
    cdef Product* p = <Product*>argument
    cdef Py_ssize_t first
    if p.by_rows:
        first = share_end(<int>p.rows, p.shares, share - 1)
        gemm(share_end(<int>p.rows, p.shares, share) - first, p.a + first, &p.inner, p.b, Walk(0, p.b.count, False),
             p.init + first, p.init_panel, p.out + first, p.out_panel)
    else:
        gemm(p.rows, p.a, &p.inner, p.b, share_of_panels(p.b.count, p.shares, share, False),
             p.init, p.init_panel, p.out, p.out_panel)


cdef void share_product(Team* team, int shares, Py_ssize_t rows, const_row* a, Inner inner, const Panels* b,
                        const_row* init, Py_ssize_t init_panel, real** out, Py_ssize_t out_panel) noexcept nogil:
    """gemm, by panels where there are enough, else by rows."""
    cdef Product p = Product(rows, a, inner, b, init, init_panel, out, out_panel, shares, b.count < 2 * shares)
    run_phase(team, product_share, &p, shares)
