# Aligned memory that is reused: page faults of fresh memory cost more than a short call's arithmetic.

cdef extern from "memory.h" nogil:
    void* aligned_allocate(size_t size)
    void aligned_release(void* p)

cdef enum:
    KEPT = 256               # buffers kept for reuse: a training step of several layers takes dozens
    KEPT_BYTES = 1 << 28     # and their bytes in all

cdef char* kept_data[KEPT]
cdef size_t kept_size[KEPT]
cdef int kept_count = 0
cdef size_t kept_bytes = 0
cdef size_t fresh_bytes = 0  # ever taken from the system


cdef class Buffer:
    """A block of memory aligned to cache lines, handed back for reuse when its last user is gone."""
    cdef char* data
    cdef size_t size

    def __dealloc__(self):
        global kept_count, kept_bytes
        if self.data == NULL:
            return
        if self.size > KEPT_BYTES:
            aligned_release(self.data)
            return
        while kept_count and (kept_count == KEPT or kept_bytes + self.size > KEPT_BYTES):
            aligned_release(unkeep(0))  # forget the oldest
        kept_data[kept_count] = self.data
        kept_size[kept_count] = self.size
        kept_bytes += self.size
        kept_count += 1


cdef char* unkeep(int i) noexcept:
    """Take the i-th kept buffer out of the list."""
    global kept_count, kept_bytes
    cdef char* data = kept_data[i]
    kept_count -= 1
    kept_bytes -= kept_size[i]
    for i in range(i, kept_count):
        kept_data[i] = kept_data[i + 1]
        kept_size[i] = kept_size[i + 1]
    return data


cdef Buffer take(size_t size, size_t slack=65536):
    """Return a buffer of at least `size` bytes, its contents undefined: new, or a kept one not much larger.

    What is handed to a user may stay with him for long: it takes no `slack`."""
    global fresh_bytes
    cdef Buffer buffer = Buffer.__new__(Buffer)
    cdef int i, best = -1
    for i in range(kept_count):  # the smallest that will do, so that others find theirs; of equal ones the newest
        if size <= kept_size[i] <= (2 * size + slack if slack else size + size // 8):
            if best < 0 or kept_size[i] <= kept_size[best]:
                best = i
    if best >= 0:
        buffer.size = kept_size[best]
        buffer.data = unkeep(best)
        return buffer
    buffer.data = <char*>aligned_allocate(size if size else 64)
    if buffer.data == NULL:
        raise MemoryError(f"could not allocate {size} bytes")
    buffer.size = size
    fresh_bytes += size
    return buffer


def allocated():
    """Return how many bytes were ever taken from the system, and not found among the kept buffers."""
    return fresh_bytes


def release_memory():
    """Return the kept buffers to the system."""
    while kept_count:
        aligned_release(unkeep(0))


cdef inline char* carve(char** free_space, size_t size) noexcept nogil:
    """Take `size` bytes, aligned to 64, from the space; from NULL it only counts."""
    cdef char* taken = free_space[0]
    free_space[0] += (size + 63) & ~<size_t>63
    return taken


cpdef cnp.ndarray pooled(tuple shape, bint half=False):
    """Return a new array of the engine's precision, or of uint16, on reused memory, its contents undefined."""
    cdef cnp.npy_intp sizes[4]
    cdef Py_ssize_t size = sizeof(uint16_t) if half else sizeof(real)
    cdef int k, rank = <int>len(shape)
    for k in range(rank):
        sizes[k] = shape[k]
        size *= sizes[k]
    cdef Buffer buffer = take(size, 0)
    cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(rank, sizes, cnp.NPY_UINT16 if half else REAL_NUMBER,
                                                               buffer.data)
    cnp.set_array_base(array, buffer)
    return array
