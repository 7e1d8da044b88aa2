# Names shared by every file of the engine.
#
# T, N, I, H: time steps, batch rows, inputs, hidden units; G: gates of a cell. A row is one (t, n); m counts the rows of
# a block of steps. j is the first unit of a vector. Shapes stand in brackets, the last axis contiguous.

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from "cpu.h" nogil:
    unsigned int denormals_flush()
    void denormals_restore(unsigned int mode)

cdef extern from "vmath.h" nogil:
    ctypedef float real  # float or double: C decides
    ctypedef float vec  # VLEN lanes of real; + - * / work on it
    int VLEN
    vec v_load(const real* p)
    vec v_load_n(const real* p, int n)
    void v_store(real* p, vec a)
    void v_store_n(real* p, vec a, int n)
    void v_stream(real* p, vec a)
    void v_streamed()
    int LINE_BYTES
    bint starts_line(const real* p)
    vec v_set(real a)
    void copy_row(real* to, const real* from_, Py_ssize_t count)
    void prefetch_row(const real* p, Py_ssize_t count)
    void prefetch_far(const real* p, Py_ssize_t count)
    vec v_fma(vec a, vec b, vec c)
    vec v_select_lt(vec a, vec b, vec x, vec y)
    vec v_select_equal(vec a, vec b, vec x, vec y)
    bint v_may_be_lt(vec a, vec b)
    vec v_max(vec a, vec b)
    vec v_abs(vec x)
    vec v_clip(vec x, real bound)
    vec v_exp_neg(vec x)
    vec v_recip_sigmoid(vec x)
    vec v_sigmoid(vec x)
    vec v_tanh(vec x)
    vec v_relu(vec x)
    vec v_expm1_neg(vec x)
    vec v_softplus(vec x)

cdef extern from "transpose.h" nogil:
    void v_transpose(const real* from_, Py_ssize_t from_step, real* to, Py_ssize_t to_step, bint stream)

cdef extern from "gemm.h" nogil:
    int TILE_ROWS
    int TILE_VECTORS
    int HALVES
    int tile_rows(int registers)
    int next_rows(Py_ssize_t left, int most)
    ctypedef enum Fill:
        WHOLE, LAST_HALF, BY_TWO, BY_FOUR
    int side_by_side(Fill fill)
    int registers_of(Fill fill, int vectors)
    ctypedef struct PanelSteps:
        Py_ssize_t b, init, out
    ctypedef struct Inner:
        Py_ssize_t runs, run, a_step, a_run, b_step, tail_runs, tail_run, tail_a_run
    ctypedef struct Panels:
        real* data
        real* apart
        Py_ssize_t panel_step, row_step
        int count, vectors, last
        Fill fill
    ctypedef const real* const_row "const real *"
    int panel_vectors(const Panels* b, int p)
    Fill panel_fill(const Panels* b, int p)
    ctypedef struct Asked:
        const real* next
        Py_ssize_t step, lines
    int PER_LINE
    void tile(int rows, int vectors, Fill fill, const_row* a, Py_ssize_t a_offset, const real* b, const Inner* inner,
              const_row* init, Py_ssize_t init_offset, real** out, Py_ssize_t out_offset, const Asked* asked)
    Asked panel_ahead(const Panels* b, int p, Py_ssize_t k, Py_ssize_t count)
    Asked take_lines(Asked* from_, Py_ssize_t count)
    void tile_across(int panels, int vectors, Fill fill, const_row* a, Py_ssize_t a_offset, const real* b, const Inner* inner,
                     const_row* init, Py_ssize_t init_offset, real** out, Py_ssize_t out_offset, PanelSteps step)
    int panels_at_once(const Panels* b)
    ctypedef struct Walk:
        int low, high, turned
    int coming_panel(const Walk* walk)
    int take_panels(Walk* walk, int count)
    int next_panels(const Panels* b, const Walk* walk, int most)
    void gemm_asking(Py_ssize_t rows, const_row* a, const Inner* inner, const Panels* b, Walk walk,
                     const_row* init, Py_ssize_t init_panel, real** out, Py_ssize_t out_panel, Asked* asked)
    void gemm(Py_ssize_t rows, const_row* a, const Inner* inner, const Panels* b, Walk walk,
              const_row* init, Py_ssize_t init_panel, real** out, Py_ssize_t out_panel)

cdef extern from "quant.h" nogil:
    int FULL_PRECISION, BFLOAT16, INT8
    ctypedef struct LowProduct:
        Py_ssize_t rows
    Py_ssize_t low_rows(int storage, Py_ssize_t K)
    Py_ssize_t rounded_words(int storage, Py_ssize_t K)
    void low_place(int storage, Py_ssize_t K, Py_ssize_t k, Py_ssize_t* row, int* bit)
    void round_row(int storage, const real* x, Py_ssize_t K, real* q, real* scale)
    vec low_gather(int storage, const real* lanes, int bit, const real* scale)
    LowProduct low_product(int storage, Py_ssize_t K, const Panels* b, Py_ssize_t init_panel, Py_ssize_t out_panel)
    void low_panels(const LowProduct* p, Walk walk, int rows, const_row* a, const_row* a_scales, const_row* init,
                    Py_ssize_t init_offset, real** out, Py_ssize_t out_offset)
    const char* low_path(int storage)

cdef struct RoundedRows:
    # rows as products of low precision take them: round_row
    real* rows             # [count][rounded_words]
    real* scales           # [count][2]
    const_row* row_of      # [count]
    const_row* scale_of    # [count]

cdef extern from "bfloat.h" nogil:
    void to_bfloat(uint16_t* to, const real* from_, Py_ssize_t count)
    void from_bfloat(real* to, const uint16_t* from_, Py_ssize_t count)

cdef enum:
    AHEAD = 12  # rows by which prefetch_row runs ahead: more would fall out of the cache sets that such rows share

cnp.import_array()

cdef enum:
    RNN = 0
    LSTM = 1
    GRU = 2
    GRU_RESET_BEFORE = 3
    MINGRU = 4
    MINLSTM = 5

# numpy's type number of `real`
cdef int REAL_NUMBER = cnp.NPY_FLOAT64 if sizeof(real) == 8 else cnp.NPY_FLOAT32

cdef inline int lanes(Py_ssize_t units, Py_ssize_t j) noexcept nogil:
    """Lanes of the vector at unit j that hold units."""
    return VLEN if units - j >= VLEN else <int>(units - j)

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b

cdef inline Py_ssize_t round_up(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return ceil_div(a, b) * b

cdef enum:
    PAGE_BYTES = 4096

cdef inline Py_ssize_t apart(Py_ssize_t count) noexcept nogil:
    """Numbers from one row of `count` to the next: rows of whole pages, which would share cache sets, get a line more."""
    return count if count * <Py_ssize_t>sizeof(real) % PAGE_BYTES else count + LINE_BYTES // <Py_ssize_t>sizeof(real)

cdef inline real* data_of(cnp.ndarray array) noexcept:
    return <real*>cnp.PyArray_DATA(array)

cdef struct Rows:
    # where the rows of an array [T, N, J] lie, in numbers
    real* data
    Py_ssize_t t_step, n_step

cdef inline real* row_at(const Rows* a, Py_ssize_t t, Py_ssize_t n) noexcept nogil:
    return a.data + t * a.t_step + n * a.n_step

cdef inline Rows columns_of(const Rows* a, Py_ssize_t first) noexcept nogil:
    """The rows from their column `first` on."""
    cdef Rows part = a[0]
    part.data += first
    return part

cdef inline Rows window_of(cnp.ndarray array, Py_ssize_t t0):
    """The rows of an array that begins at time t0, found by their times."""
    cdef Rows rows = rows_of(array)
    rows.data -= t0 * rows.t_step
    return rows

cdef inline Rows rows_of(cnp.ndarray array):
    cdef Rows rows
    rows.data = data_of(checked(array, "array"))
    rows.t_step = array.strides[0] // <Py_ssize_t>sizeof(real)
    rows.n_step = array.strides[1] // <Py_ssize_t>sizeof(real)
    return rows

cdef cnp.ndarray checked(cnp.ndarray array, str name):
    """Refuse what the Python face must never pass: the last line of defence before raw pointers."""
    if cnp.PyArray_TYPE(array) != REAL_NUMBER:
        raise TypeError(f"{name} has the wrong dtype for this engine: {array.dtype}")
    if array.size and array.shape[array.ndim - 1] > 1 and array.strides[array.ndim - 1] != <Py_ssize_t>sizeof(real):
        raise ValueError(f"{name} must be contiguous along its last axis")
    return array

cdef real* optional(array, str name):
    """The data of an array, or NULL for None."""
    if array is None:
        return NULL
    return data_of(checked(array, name))
