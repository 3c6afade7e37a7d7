#define _GNU_SOURCE
#include "bytes.h"

#include <string.h>

const void *tailrace_find(const void *bytes, size_t length, const void *needle, size_t needle_length) {
    return memmem(bytes, length, needle, needle_length);
}
