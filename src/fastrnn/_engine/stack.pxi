# A stack of layers in one or both directions: one call for a whole pass. Each layer reads the outputs of the one below,
# both directions side by side; dropout acts between the layers.

cdef inline real* part_of(real* states, Py_ssize_t k, Py_ssize_t size) noexcept nogil:
    """State k of [L*D, N, H], `size` numbers each; NULL stays NULL."""
    return NULL if states == NULL else states + k * size


cdef inline Rows no_rows() noexcept nogil:
    cdef Rows rows
    rows.data, rows.t_step, rows.n_step = NULL, 0, 0
    return rows


def stack_forward(list weights, int D, cnp.ndarray x, active, resets, h0, c0, cnp.ndarray y, cnp.ndarray h_final, c_final,
                  bint keep, bint hold, dropout):
    """Run all layers and directions; return what the backward pass needs, a `Kept` for each, or None.

    weights: `Weights` of layer 0 forward, layer 0 reverse, layer 1 forward, ...; x IN real [T, N, I] or int64 [T, N];
    active, resets IN bool [T, N] or None; h0, c0 IN [L*D, N, H] or None; y OUT [T, N, D*H], at padded steps 0 or, with
    `hold`, the row's latest output; h_final, c_final OUT [L*D, N, H], c_final of LSTMs only, else None; dropout:
    (seed, count, p) or None.
    """
    cdef Py_ssize_t T = x.shape[0], N = x.shape[1], H = (<Weights>weights[0]).H
    cdef Py_ssize_t layer, d, k, L = len(weights) // D, size = N * H
    cdef Plan plan = Plan(T, N, active, resets)
    cdef real* h_initial = optional(h0, "h0")
    cdef real* c_initial = optional(c0, "c0")
    cdef real* h_out = data_of(checked(h_final, "h_final"))
    cdef real* c_out = optional(c_final, "c_final")
    cdef Rows rows, part
    cdef Weights w
    cdef Kept kept = None
    cdef cnp.ndarray below = x, above = None
    cdef list tape = [] if keep else None
    for layer in range(L):
        above = y if layer == L - 1 else pooled((T, N, D * H))
        rows = rows_of(above)
        for d in range(D):
            k = layer * D + d
            w = weights[k]
            part = columns_of(&rows, d * H)
            if keep:
                kept = new_kept(w, plan, below, part_of(h_initial, k, size), part_of(c_initial, k, size), (h0, c0), d == 1,
                                None if layer == L - 1 else above[:, :, d * H:(d + 1) * H])
                tape.append(kept)
            forward_layer(w, plan, below, part_of(h_initial, k, size), part_of(c_initial, k, size), d == 1, part,
                          h_out + k * size, part_of(c_out, k, size), kept)
            if layer == L - 1 and not plan.full:
                fill_padding(plan, &part, H, hold, d == 1)
        below = above
        if dropout is not None and layer < L - 1:
            below = dropped(above, dropout, layer)
    return tape


def stack_backward(list weights, int D, list tape, dy, dh, dc, dx, list gradients, cnp.ndarray dh0, dc0, list watched,
                   bint hold, dropout):
    """Run all layers and directions backwards, the twin of `stack_forward`.

    tape: what that returned; dy IN [T, N, D*H] or None; dh, dc IN [L*D, N, H] or None; dx OUT [T, N, I], zeros on entry
    at padded steps, or None; gradients: for each layer and direction a list of arrays to fill, weight_ih [I, G*H] (zeros
    on entry where the input is ids), weight_hh [H, G*H] and both biases [G*H] or None; dh0, dc0 OUT [L*D, N, H], dc0 of
    LSTMs only, else None; watched: arrays [T, N, H] for the gradient of every h, in the order of the layers, or None.
    """
    cdef Plan plan = (<Kept>tape[0]).plan
    cdef Py_ssize_t T = plan.T, N = plan.N, H = (<Weights>weights[0]).H
    cdef Py_ssize_t layer, d, k, L = len(weights) // D, size = N * H
    cdef real* dh_final = optional(dh, "dh")
    cdef real* dc_final = optional(dc, "dc")
    cdef real* dh_out = data_of(checked(dh0, "dh0"))
    cdef real* dc_out = optional(dc0, "dc0")
    cdef Rows rows, part, given
    cdef cnp.ndarray above = dy, below
    if hold and dy is not None and not plan.full:
        above = pooled((T, N, D * H))
        above[...] = dy
        rows = rows_of(above)
        for d in range(D):
            part = columns_of(&rows, d * H)
            gather_held(plan, &part, H, d == 1)
    for layer in range(L - 1, -1, -1):
        below = dx if layer == 0 else pooled((T, N, D * H))
        rows = no_rows() if above is None else rows_of(above)
        given = no_rows() if below is None else rows_of(below)
        for d in range(D):
            k = layer * D + d
            part = columns_of(&rows, d * H) if above is not None else rows
            d_ih, d_hh, db_ih, db_hh = gradients[k]
            backward_layer(weights[k], tape[k], part, part_of(dh_final, k, size), part_of(dc_final, k, size), given, d == 1,
                           d_ih, d_hh, db_ih, db_hh, dh_out + k * size, part_of(dc_out, k, size),
                           no_rows() if watched is None else rows_of(watched[k]))
        above = below
        if dropout is not None and layer:
            above = dropped(below, dropout, layer - 1)
