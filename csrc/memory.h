/* Memory aligned to 64 bytes, on every platform; large blocks ask for large pages, where the system leaves it to us. */
#ifndef FASTRNN_MEMORY_H
#define FASTRNN_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LARGE_PAGE ((size_t)1 << 21)

/* The address malloc gave stands just before the aligned block. */
static inline void *aligned_allocate(size_t size)
{
    const size_t alignment = size >= 2 * LARGE_PAGE ? LARGE_PAGE : 64;
    char *raw = malloc(size + alignment + sizeof(void *));
    if (raw == NULL) return NULL;
    char *block = (char *)(((uintptr_t)raw + sizeof(void *) + alignment - 1) & ~(uintptr_t)(alignment - 1));
    ((void **)block)[-1] = raw;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == LARGE_PAGE) madvise(block, size & ~(LARGE_PAGE - 1), MADV_HUGEPAGE); /* advice: it may be refused */
#endif
    return block;
}

static inline void aligned_release(void *block)
{
    if (block != NULL) free(((void **)block)[-1]);
}

#endif
