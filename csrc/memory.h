/* Memory aligned to 64 bytes, on every platform. */
#ifndef FASTRNN_MEMORY_H
#define FASTRNN_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The address malloc gave stands just before the aligned block. */
static inline void *aligned_allocate(size_t size)
{
    char *raw = malloc(size + 64 + sizeof(void *));
    if (raw == NULL) return NULL;
    char *block = (char *)(((uintptr_t)raw + sizeof(void *) + 63) & ~(uintptr_t)63);
    ((void **)block)[-1] = raw;
    return block;
}

static inline void aligned_release(void *block)
{
    if (block != NULL) free(((void **)block)[-1]);
}

#endif
