# A batch in slices, each a backward pass of its own over some of its rows, for layers of few weights: threads then share
# no block of steps. What a core has written stays with it, where products for half of the weights with all the rows would
# fetch the other half of these from the other core. The slices' gradients add up at the end, in their order.

cdef enum:
    MOST_SLICES = 8
    SLICE_ROWS = 32         # of the batch, at least; where there are not two such but one, two halves of it
    SLICED_BYTES = 1 << 18  # of weights, at most: gradients of more do not stay near a core, and each slice has its own


cdef int slices_of(const Pack* w, Py_ssize_t T, Py_ssize_t N) noexcept nogil:
    """Slices of a batch, a power of two: by shape alone, since sums over its rows add up in their order."""
    cdef Py_ssize_t weights = (w.I + (w.P if w.layout.state.vectors else 0)) * w.layout.gates * w.H
    cdef int slices = 2
    if N < SLICE_ROWS or weights * <Py_ssize_t>sizeof(real) > SLICED_BYTES:
        return 1
    while slices < MOST_SLICES and N >= 2 * slices * SLICE_ROWS:
        slices *= 2
    while slices > 1 and T * N < slices * BLOCK_ROWS:  # each is worth its sums
        slices //= 2
    return slices


cdef Py_ssize_t block_steps_of(const Pack* w, Py_ssize_t T, Py_ssize_t N) noexcept nogil:
    """Whole steps of a block: by shape alone, since sums over time add up in its order.

    Of layers that read one batch those of one are a multiple of those of the other, or all."""
    cdef Py_ssize_t whole
    if N == 0:
        return max(T, 1)
    whole = max(BLOCK_ROWS // N, 1)
    return max(min(max(slices_of(w, T, N) * BLOCK_ROWS // N // whole, 1) * whole, T), 1)


cdef class Cuts:
    """What the slices of a layer and direction need besides their passes."""
    cdef list gradients     # for each slice a list of arrays, as `stack_backward` is given; the first's are the caller's
    cdef list memory


cdef Cuts cut(const Backward* whole, int slices, Split split, int shares, Py_ssize_t span, list gradients,
              Backward* passes):
    """The passes of the slices of a batch, ready to run.

    span: how many steps are kept at once; passes OUT [slices]."""
    cdef Cuts cuts = Cuts.__new__(Cuts)
    cdef Py_ssize_t N = whole.steps.N
    cdef int i
    cdef Backward* b
    cuts.gradients, cuts.memory = [gradients], []
    for i in range(slices):
        b = &passes[i]
        b[0] = whole[0]
        b.n0, b.n1 = share_end(<int>N, slices, i - 1), share_end(<int>N, slices, i)
        b.block_steps, b.span, b.split = block_steps_of(b.w, b.steps.T, N), span, split
        b.block.shares = 1 if split == SIDE_BY_SIDE or slices > 1 else shares
        b.block.rows = b.block_steps * (b.n1 - b.n0)
        b.far = split != BY_UNITS and span * N * kept_columns(b) * <Py_ssize_t>sizeof(real) > FAR_TAPE
        b.listed = b.far and tiles_have_room(b)
        if i:
            cuts.gradients.append(gradients_alike(gradients, b.ids != NULL))
        give_into(b, cuts.gradients[i])
        cuts.memory.append(backward_memory(b))
    return cuts


cdef inline int slices_in(Cuts cuts):
    return <int>len(cuts.gradients)


cdef list gradients_alike(list gradients, bint ids):
    """Arrays for the gradients of another slice; zeros where ids scatter into them."""
    cdef list arrays = [None if array is None else pooled((<object>array).shape) for array in gradients]
    if ids:
        arrays[0][...] = 0
    return arrays


cdef Buffer backward_memory(Backward* b):
    """The workspace of a backward pass, laid out."""
    cdef char* space = NULL
    if b.split == BY_UNITS and (b.w.normed or b.w.projected and b.masks.drawn):
        b.split = ALONE  # their gates, or masks, need whole rows
    b.state_row, b.carry_row = round_up(b.w.H, VLEN), round_up(b.w.P, VLEN)
    b.input_row = round_up(b.w.I, VLEN)
    place_backward(b, &space)
    cdef Buffer memory = take(<size_t>space)
    space = memory.data
    place_backward(b, &space)
    return memory


cdef join(Cuts cuts):
    """Add the gradients of the other slices to the first's."""
    cdef int i, k
    cdef Py_ssize_t j, size
    cdef real* to
    cdef const real* more
    cdef unsigned int mode = denormals_flush()
    for i in range(1, slices_in(cuts)):
        for k in range(<int>len(cuts.gradients[0])):
            if cuts.gradients[0][k] is None:
                continue
            to, more = data_of(cuts.gradients[0][k]), data_of(cuts.gradients[i][k])
            size = (<cnp.ndarray>cuts.gradients[0][k]).size
            with nogil:
                for j in range(size):
                    to[j] += more[j]
    denormals_restore(mode)
