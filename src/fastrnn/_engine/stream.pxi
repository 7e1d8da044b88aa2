# One step at a time: a run of the forward pass that stays open between calls, its rows' states in its own workspace.

cdef class Stream:
    """A stack of layers that steps `N` rows; the Python face is `fastrnn.layers.stream.Stream`."""
    cdef public bint stale      # the parameters have changed: `renew` before the next step
    cdef Py_ssize_t N, I, H, P
    cdef int L, shares
    cdef list weights
    cdef Plan plan
    cdef Buffer memory, runs_memory
    cdef Forward* runs          # [L]
    cdef object __weakref__

    def __init__(self, list weights, Py_ssize_t N):
        """weights: `Weights` of layer 0, layer 1, ...; N rows, which start from zeros."""
        cdef const Pack* w = &(<Weights>weights[0]).pack
        cdef int l
        cdef char* space = NULL
        self.N, self.I, self.H, self.P, self.L = N, w.I, w.H, w.P, <int>len(weights)
        self.plan = Plan(1, N, None, None)
        self.shares = shares_for(self.L * layer_seconds(w, 1, N, True))
        self.runs_memory = take(self.L * sizeof(Forward))
        self.runs = <Forward*>self.runs_memory.data
        memset(self.runs, 0, self.L * sizeof(Forward))
        self.renew(weights)
        self.place(&space)
        self.memory = take(<size_t>space)
        space = self.memory.data
        self.place(&space)
        for l in range(self.L):
            start_forward(&self.runs[l])

    cdef void place(self, char** space):
        cdef int l
        for l in range(self.L):
            place_forward(&self.runs[l], space)
            if l < self.L - 1:  # the last layer's output is given
                self.runs[l].y.data = <real*>carve(space, self.N * self.P * sizeof(real))
                self.runs[l].y.n_step = self.P

    def renew(self, list weights):
        """Take new parameters; the states stay."""
        cdef int l
        cdef Forward* f
        for l in range(1, self.L):  # first, since it may find no memory
            (<Weights>weights[l]).need_input()
        for l in range(self.L):
            f = &self.runs[l]
            f.w, f.steps, f.n1, f.chunk, f.shares = &(<Weights>weights[l]).pack, &self.plan.steps, self.N, 1, self.shares
            f.x.n_step = f.w.I
            if self.memory is not None:
                point_inputs(f)
        self.weights, self.stale = weights, False

    def step(self, cnp.ndarray x, cnp.ndarray y):
        """y OUT [N, P] = the last layer's output for x IN real [N, I] or int64 [N], contiguous; the states move on."""
        cdef unsigned int mode
        cdef Forward* first = self.runs
        cdef Forward* last = self.runs + self.L - 1
        first.ids = NULL
        if x.ndim == 1:
            first.ids = <const int64_t*>cnp.PyArray_DATA(x)
            first.x.data, first.x.n_step = NULL, 1
        else:
            (<Weights>self.weights[0]).need_input()
            first.x.data, first.x.n_step = data_of(x), self.I
        last.y.data, last.y.n_step = data_of(y), self.P
        with nogil:
            mode = denormals_flush()
            step_stack(self.runs, self.L, self.shares)
            denormals_restore(mode)

    def restart(self, cnp.ndarray rows):
        """Give some rows a zero state; rows IN bool [N]."""
        cdef const uint8_t* chosen = flags_of(rows)
        cdef Py_ssize_t r
        cdef int l
        for l in range(self.L):
            for r in range(self.N):
                if chosen[r]:
                    self.runs[l].h_now[r] = self.runs[l].c_now[r] = self.runs[l].zeros

    def read(self, cnp.ndarray h, c):
        """h OUT [L, N, P]; c OUT [L, N, H] of LSTMs, else None: the states."""
        cdef real* to_h = data_of(checked(h, "h"))
        cdef real* to_c = optional(c, "c")
        cdef Py_ssize_t r, at
        cdef int l
        for l in range(self.L):
            for r in range(self.N):
                at = l * self.N + r
                memcpy(to_h + at * self.P, self.runs[l].h_now[r], self.P * sizeof(real))
                if to_c != NULL:
                    memcpy(to_c + at * self.H, self.runs[l].c_now[r], self.H * sizeof(real))

    def write(self, cnp.ndarray h, c):
        """h IN [L, N, P]; c IN [L, N, H] of LSTMs, else None: new states."""
        cdef const real* from_h = data_of(checked(h, "h"))
        cdef const real* from_c = optional(c, "c")
        cdef Forward* f
        cdef Py_ssize_t r, at
        cdef int l
        for l in range(self.L):
            f = &self.runs[l]
            for r in range(self.N):
                at = l * self.N + r
                f.h_now[r], f.c_now[r] = f.h_pair + r * apart(self.P), f.c_own + r * apart(self.H)
                memcpy(<real*>f.h_now[r], from_h + at * self.P, self.P * sizeof(real))
                if from_c != NULL:
                    memcpy(<real*>f.c_now[r], from_c + at * self.H, self.H * sizeof(real))


cdef void step_stack(Forward* runs, int L, int shares) noexcept nogil:
    """One step of every layer; x of the first and y of the last are given."""
    cdef Team* team = begin_region(shares, 1)
    cdef Forward* f
    cdef int l, count
    cdef bint started
    for l in range(L):
        f = runs + l
        f.team = team
        if l:
            f.x = runs[l - 1].y
        project_input(f, 0, 1)
        started = begin_step(f, 0, &count)
        f.step.inputs = <const_row*>f.z_rows
        sweep_cell(f, 0, count, started)
    end_region(team)
