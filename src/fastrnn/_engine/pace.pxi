# Whether it pays to share the steps of a small batch, with a wait after each. It mostly does; but the cores of a virtual
# machine may lie side by side now and apart a second later, where each step takes a microsecond more, and others may want
# one of them. So the time of calls is taken, and the better way goes on.

paces = {}  # by shape: see pace_of
TRIED_AGAIN = 0.01  # of the time, about, goes into trying the slower way again
TRIAL = 3  # calls: a worker that sleeps may not be woken for the first, nor be awake all through the second
SHAPES = 256  # at most, that are remembered


cdef class Pace:
    """Which is the faster way through one shape: alone or shared.

    A way is as fast as the faster of its two latest calls, since anything may hold up one.
    """
    cdef double latest[2]       # seconds of the latest call's step, alone and shared, 0 before there is one
    cdef double before[2]       # and of the one before
    cdef bint way               # of the latest call: whether it was shared
    cdef Py_ssize_t calls       # of this way, one after the other

    def shares(self):
        """Return whether the next call is to be shared."""
        cdef double alone = min(self.latest[0], self.before[0]), shared = min(self.latest[1], self.before[1])
        cdef bint way = shared < alone
        if 0 < self.calls < TRIAL:
            way = self.way
        elif alone == 0 or shared == 0:
            way = shared == 0
        elif way == self.way and self.calls * TRIED_AGAIN * min(alone, shared) >= TRIAL * abs(alone - shared):
            way = not way
        self.calls = self.calls + 1 if way == self.way else 1
        self.way = way
        return way

    def record(self, bint shared, double seconds):
        """Note how long a step of a call took."""
        self.before[shared], self.latest[shared] = self.latest[shared], seconds


def pace_of(tuple shape):
    """Return the pace of a shape: of what tells its steps' time from that of others, and the number of shares."""
    pace = paces.get(shape)
    if pace is None:
        if len(paces) >= SHAPES:
            paces.clear()
        pace = paces[shape] = Pace()
    return pace
