#include "memory.h"

#include <features.h>
#include <sys/prctl.h>

#ifdef __GLIBC__
#include <malloc.h>

void tailrace_tune_memory(void) {
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

void tailrace_trim_memory(void) { malloc_trim(0); }
#else
void tailrace_tune_memory(void) {}
void tailrace_trim_memory(void) {}
#endif

void tailrace_hide_memory(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
