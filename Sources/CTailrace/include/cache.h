// What a processor's cache is told ahead of time.
#ifndef TAILRACE_CACHE_H
#define TAILRACE_CACHE_H

#include <stddef.h>

/// These bytes will be written soon: fetches the lines that they lie in, and waits for none. Any address will do.
static inline void tailrace_will_write(const void *bytes, size_t length) {
    for (size_t at = 0; at < length; at += 64) __builtin_prefetch((const char *)bytes + at, 1);
}

#endif
