"""What the machine supports, asked before any engine is loaded."""

cdef extern from "cpu.h" nogil:
    int cpu_has_avx2()
    int cpu_has_avx512()


def detected() -> list[str]:
    """Return the instruction sets of this CPU and operating system, the best last."""
    return ["base"] + ["avx2"] * bool(cpu_has_avx2()) + ["avx512"] * bool(cpu_has_avx512())
