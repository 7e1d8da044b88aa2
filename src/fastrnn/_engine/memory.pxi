# Aligned memory that is reused: page faults of fresh memory cost more than a short call's arithmetic.

cdef extern from "memory.h" nogil:
    void* aligned_allocate(size_t size)
    void aligned_release(void* p)

cdef enum:
    KEPT = 16  # buffers kept for reuse

cdef void* kept_data[KEPT]
cdef size_t kept_size[KEPT]
cdef int kept_count = 0


cdef class Buffer:
    """A block of memory aligned to cache lines, handed back for reuse when its last user is gone."""
    cdef char* data
    cdef size_t size

    def __dealloc__(self):
        global kept_count
        if self.data == NULL:
            return
        if kept_count == KEPT:  # forget the oldest
            aligned_release(kept_data[0])
            kept_count -= 1
            for i in range(kept_count):
                kept_data[i] = kept_data[i + 1]
                kept_size[i] = kept_size[i + 1]
        kept_data[kept_count] = self.data
        kept_size[kept_count] = self.size
        kept_count += 1


cdef Buffer take(size_t size):
    """Return a buffer of at least `size` bytes, its contents undefined: a kept one of at most twice the size, or new."""
    global kept_count
    cdef Buffer buffer = Buffer.__new__(Buffer)
    cdef int i, j
    for i in range(kept_count - 1, -1, -1):
        if size <= kept_size[i] <= 2 * size + 65536:
            buffer.data = <char*>kept_data[i]
            buffer.size = kept_size[i]
            kept_count -= 1
            for j in range(i, kept_count):
                kept_data[j] = kept_data[j + 1]
                kept_size[j] = kept_size[j + 1]
            return buffer
    buffer.data = <char*>aligned_allocate(size if size else 64)
    if buffer.data == NULL:
        raise MemoryError(f"could not allocate {size} bytes")
    buffer.size = size
    return buffer


def release_memory():
    """Return the kept buffers to the system."""
    global kept_count
    while kept_count:
        kept_count -= 1
        aligned_release(kept_data[kept_count])


cdef inline char* carve(char** free_space, size_t size) noexcept nogil:
    """Take `size` bytes, aligned to 64, from the space; from NULL it only counts."""
    cdef char* taken = free_space[0]
    free_space[0] += (size + 63) & ~<size_t>63
    return taken


def pooled(shape):
    """Return a new array of the engine's precision on reused memory, its contents undefined."""
    cdef cnp.npy_intp sizes[4]
    cdef Py_ssize_t size = sizeof(real)
    cdef int k, rank = <int>len(shape)
    for k in range(rank):
        sizes[k] = shape[k]
        size *= sizes[k]
    cdef Buffer buffer = take(size)
    cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(rank, sizes, REAL_NUMBER, buffer.data)
    cnp.set_array_base(array, buffer)
    return array
