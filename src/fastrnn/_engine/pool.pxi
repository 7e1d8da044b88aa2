# Many sessions that share weights: any of them take a step together, in blocks of rows whose workspace stays in cache.
# A session's states stand in a slot of their own, whatever rows it is stepped in.

cdef enum:
    POOL_ROWS = 162  # rows of a block: tiles of 6 and 3 fit, and its panels fall into different sets of a cache
    FRESH = 2        # a slot's state is zero, and its memory undefined


cdef struct Slots:
    # the states of all sessions, a record for each
    real* states        # [capacity][L][h [P], the other h [P], c [H] of LSTMs]
    uint8_t* now        # [capacity]: which of the two is h, in all layers; or FRESH
    Py_ssize_t capacity
    Py_ssize_t record   # numbers from slot to slot: an odd count of cache lines
    Py_ssize_t part     # numbers from layer to layer


cdef inline real* state_at(const Slots* s, Py_ssize_t slot, int layer) noexcept nogil:
    return s.states + slot * s.record + layer * s.part


cdef class Pool:
    """A stack of layers that steps some of many sessions; the Python face is `fastrnn.layers.pool.StreamPool`."""
    cdef public bint stale      # the parameters have changed: `renew` before the next step
    cdef Py_ssize_t I, H, P
    cdef int L, lanes           # as many threads can step blocks side by side
    cdef bint has_c
    cdef list weights
    cdef Plan plan
    cdef Slots slots
    cdef Buffer states_memory, now_memory, memory, runs_memory
    cdef Forward* runs          # [lanes][L]
    cdef object __weakref__

    def __init__(self, list weights):
        """weights: `Weights` of layer 0, layer 1, ...; there are no slots yet."""
        cdef const Pack* w = &(<Weights>weights[0]).pack
        self.I, self.H, self.P, self.L, self.has_c = w.I, w.H, w.P, <int>len(weights), CELLS[w.cell].has_c
        self.plan = Plan(1, POOL_ROWS, None, None)
        self.slots.part = 2 * self.P + (self.H if self.has_c else 0)
        self.slots.record = spread(self.L * self.slots.part)
        self.renew(weights)

    def renew(self, list weights):
        """Take new parameters; the states stay."""
        cdef int k, l
        for l in range(1, self.L):
            (<Weights>weights[l]).need_input()
        for k in range(self.lanes * self.L):
            self.runs[k].w, self.runs[k].n1 = &(<Weights>weights[k % self.L]).pack, POOL_ROWS
            point_inputs(&self.runs[k])
        self.weights, self.stale = weights, False

    def grow(self, Py_ssize_t capacity):
        """Make room for more slots; those there are keep their states."""
        cdef Buffer states = take(capacity * self.slots.record * sizeof(real))
        cdef Buffer now = take(capacity)
        if self.slots.capacity:
            memcpy(states.data, self.slots.states, self.slots.capacity * self.slots.record * sizeof(real))
            memcpy(now.data, self.slots.now, self.slots.capacity)
        memset(now.data + self.slots.capacity, FRESH, capacity - self.slots.capacity)
        self.states_memory, self.now_memory = states, now
        self.slots.states, self.slots.now = <real*>states.data, <uint8_t*>now.data
        self.slots.capacity = capacity

    cdef need_lanes(self, int lanes):
        """Lay out the workspaces of so many threads."""
        cdef Buffer runs_memory
        cdef char* space = NULL
        cdef int k
        cdef Forward* f
        if lanes <= self.lanes:
            return
        runs_memory = take(lanes * self.L * sizeof(Forward))
        cdef Forward* runs = <Forward*>runs_memory.data
        memset(runs, 0, lanes * self.L * sizeof(Forward))
        for k in range(lanes * self.L):
            f = &runs[k]
            f.w, f.steps, f.n1, f.chunk = &(<Weights>self.weights[k % self.L]).pack, &self.plan.steps, POOL_ROWS, 1
            f.shares, f.keep, f.x.n_step = lanes, True, f.w.I  # `keep`: the states are not the run's own
        self.place(runs, lanes, &space)
        cdef Buffer memory = take(<size_t>space)
        space = memory.data
        self.place(runs, lanes, &space)
        for k in range(lanes * self.L):
            start_forward(&runs[k])
        self.runs_memory, self.memory, self.runs, self.lanes = runs_memory, memory, runs, lanes

    cdef void place(self, Forward* runs, int lanes, char** space):
        cdef int k
        for k in range(lanes * self.L):
            place_forward(&runs[k], space)
            if k % self.L < self.L - 1:  # the last layer's output is given
                runs[k].y.data = <real*>carve(space, POOL_ROWS * self.P * sizeof(real))
                runs[k].y.n_step = self.P

    def step(self, cnp.ndarray slots, cnp.ndarray x, cnp.ndarray y):
        """y OUT [M, P] = the last layer's output of the sessions in these slots, whose states move on.

        slots IN int64 [M], no slot twice; x IN real [M, I] or int64 [M]; all contiguous.
        """
        cdef PoolStep step
        cdef const Pack* w = &(<Weights>self.weights[0]).pack
        cdef Py_ssize_t M = slots.shape[0]
        cdef double seconds = self.L * layer_seconds(w, 1, M, x.ndim == 1)
        cdef int lane, shares = shares_for(seconds)
        cdef bint by_rows = M >= 8 * shares
        step.slots, step.slot, step.M = &self.slots, <const int64_t*>cnp.PyArray_DATA(slots), M
        step.ids, step.x, step.y = NULL, NULL, data_of(y)
        if x.ndim == 1:
            step.ids = <const int64_t*>cnp.PyArray_DATA(x)
        else:
            (<Weights>self.weights[0]).need_input()
            step.x = data_of(x)
        self.need_lanes(shares)
        step.runs, step.L, step.shares = self.runs, self.L, shares if by_rows else 1
        cdef Team* team
        with nogil:
            team = begin_region(shares, seconds)
            for lane in range(self.lanes * self.L):
                self.runs[lane].team = NULL if by_rows else team
                self.runs[lane].shares = 1 if by_rows else shares
            if by_rows:
                run_phase(team, pool_share, &step, shares)
            else:
                pool_share(&step, 0, 0)
            end_region(team)

    def restart(self, cnp.ndarray slots):
        """Give some slots, int64 [M], a zero state."""
        cdef const int64_t* slot = <const int64_t*>cnp.PyArray_DATA(slots)
        cdef Py_ssize_t m
        for m in range(slots.shape[0]):
            self.slots.now[slot[m]] = FRESH

    def read(self, cnp.ndarray slots, cnp.ndarray h, c):
        """h OUT [L, M, P]; c OUT [L, M, H] of LSTMs, else None: the states in some slots, int64 [M]."""
        cdef const int64_t* slot = <const int64_t*>cnp.PyArray_DATA(slots)
        cdef real* to_h = data_of(checked(h, "h"))
        cdef real* to_c = optional(c, "c")
        cdef const real* state
        cdef Py_ssize_t m, at, M = slots.shape[0], h_size = self.P * sizeof(real), c_size = self.H * sizeof(real)
        cdef int l, now
        for l in range(self.L):
            for m in range(M):
                at = l * M + m
                now = self.slots.now[slot[m]]
                state = state_at(&self.slots, slot[m], l)
                if now == FRESH:
                    memset(to_h + at * self.P, 0, h_size)
                else:
                    memcpy(to_h + at * self.P, state + now * self.P, h_size)
                if to_c != NULL:
                    if now == FRESH:
                        memset(to_c + at * self.H, 0, c_size)
                    else:
                        memcpy(to_c + at * self.H, state + 2 * self.P, c_size)

    def write(self, cnp.ndarray slots, cnp.ndarray h, c):
        """h IN [L, M, P]; c IN [L, M, H] of LSTMs, else None: new states for some slots, int64 [M]."""
        cdef const int64_t* slot = <const int64_t*>cnp.PyArray_DATA(slots)
        cdef const real* from_h = data_of(checked(h, "h"))
        cdef const real* from_c = optional(c, "c")
        cdef real* state
        cdef Py_ssize_t m, at, M = slots.shape[0]
        cdef int l
        for m in range(M):
            self.slots.now[slot[m]] = 0
            for l in range(self.L):
                at = l * M + m
                state = state_at(&self.slots, slot[m], l)
                memcpy(state, from_h + at * self.P, self.P * sizeof(real))
                if from_c != NULL:
                    memcpy(state + 2 * self.P, from_c + at * self.H, self.H * sizeof(real))


cdef struct PoolStep:
    # a step of some sessions: row m is the session in slot[m]
    Slots* slots
    Forward* runs           # [shares][L]
    int L, shares
    Py_ssize_t M
    const int64_t* slot     # IN  [M]
    const int64_t* ids      # IN  [M], or NULL
    real* x                 # IN  [M, I], or NULL
    real* y                 # OUT [M, P]


cdef void pool_share(void* argument, int share, int rank) noexcept nogil:
    """One share of the rows, block by block through all layers."""
    cdef PoolStep* s = <PoolStep*>argument
    cdef Forward* runs = s.runs + share * s.L
    cdef Forward* f
    cdef int l, count
    cdef bint started
    cdef Py_ssize_t m, k, end = share_end(<int>s.M, s.shares, share)
    cdef unsigned int mode = denormals_flush()
    for m from share_end(<int>s.M, s.shares, share - 1) <= m < end by POOL_ROWS:
        count = <int>min(POOL_ROWS, end - m)
        runs.ids, runs.x.data, runs.x.n_step = NULL, NULL, 1
        if s.ids != NULL:
            runs.ids = s.ids + m
        else:
            runs.x.data, runs.x.n_step = s.x + m * runs.w.I, runs.w.I
        runs[s.L - 1].y.data, runs[s.L - 1].y.n_step = s.y + m * runs.w.P, runs.w.P
        for l in range(s.L):
            f = runs + l
            f.n1 = count
            if l:
                f.x = runs[l - 1].y
            started = point_states(f, s.slots, s.slot + m, l)
            project_input(f, 0, 1)
            f.step.inputs = <const_row*>f.z_rows
            sweep_cell(f, 0, count, started)
        for k in range(count):
            s.slots.now[s.slot[m + k]] = 1 if s.slots.now[s.slot[m + k]] == 0 else 0
    denormals_restore(mode)


cdef bint point_states(Forward* f, const Slots* slots, const int64_t* slot, int layer) noexcept nogil:
    """Point the step at the states of its rows' sessions; return whether any of them is not zero."""
    cdef Step* s = &f.step
    cdef Py_ssize_t k, P = f.w.P
    cdef int now
    cdef bint started = False
    cdef real* state
    for k in range(f.n1):
        state, now = state_at(slots, slot[k], layer), slots.now[slot[k]]
        prefetch_row(state, slots.part)
        s.h_prev[k] = s.c_prev[k] = f.zeros
        if now != FRESH:
            s.h_prev[k], s.c_prev[k] = state + now * P, state + 2 * P
            started = True
        s.h[k] = state + P if now == 0 else state
        s.c[k] = state + 2 * P
        s.y[k] = row_at(&f.y, 0, k)
        if f.w.projected:
            aim_projection(f, k)
    return started


def find_slots(cnp.ndarray ids, cnp.ndarray holders, cnp.ndarray seen, cnp.ndarray slots):
    """slots OUT [M]: where the sessions `ids` IN [M] stand; return how many are right before the first that is not.

    The low 24 bits of an id are its slot. holders IN [capacity]: the id in each slot, -1 in none; seen: bool
    [capacity], False on entry and on return. All others int64.
    """
    cdef const int64_t* id_ = <const int64_t*>cnp.PyArray_DATA(ids)
    cdef const int64_t* holder = <const int64_t*>cnp.PyArray_DATA(holders)
    cdef uint8_t* mark = <uint8_t*>cnp.PyArray_DATA(seen)
    cdef int64_t* slot = <int64_t*>cnp.PyArray_DATA(slots)
    cdef Py_ssize_t m, found = ids.shape[0], capacity = holders.shape[0]
    for m in range(ids.shape[0]):
        slot[m] = id_[m] & 0xffffff
        if id_[m] < 0 or slot[m] >= capacity or holder[slot[m]] != id_[m] or mark[slot[m]]:
            found = m
            break
        mark[slot[m]] = True
    for m in range(found):
        mark[slot[m]] = False
    return found
