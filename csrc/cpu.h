/* What this CPU and this operating system support, and the floating-point mode of the engine's calls. */
#ifndef FASTRNN_CPU_H
#define FASTRNN_CPU_H

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)

#include <immintrin.h>

/* __builtin_cpu_supports reads CPUID and, for AVX and AVX-512, XCR0: a kernel that does not save the wide registers
 * (an old virtual machine, a booted-off option) answers no even where the CPU would say yes. */
static inline int cpu_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static inline int cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

/* Products of four int8 (vpdpbusd), or of two bfloat16 (vdpbf16ps), added to a sum in one instruction. */
static inline int cpu_has_avx512vnni(void) { return cpu_has_avx512() && __builtin_cpu_supports("avx512vnni"); }
static inline int cpu_has_avx512bf16(void) { return cpu_has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static inline int cpu_has_avxvnni(void) { return cpu_has_avx2() && __builtin_cpu_supports("avxvnni"); }

/* A recurrent state that decays towards zero passes through denormals, each a hundred cycles: flush them inside a call
 * (FTZ, DAZ) and give the caller's mode back after it. */
static inline unsigned int denormals_flush(void)
{
    unsigned int mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u);
    return mode;
}

static inline void denormals_restore(unsigned int mode) { _mm_setcsr(mode); }

#else

static inline int cpu_has_avx2(void) { return 0; }
static inline int cpu_has_avx512(void) { return 0; }
static inline unsigned int denormals_flush(void) { return 0; }
static inline void denormals_restore(unsigned int mode) { (void)mode; }

#endif
#endif
