// File system calls that Swift's Glibc module does not import.
#ifndef TAILRACE_FILES_H
#define TAILRACE_FILES_H

#include <stdint.h>

/// Reserves `length` bytes from `offset` (fallocate with mode 0). Returns 0, or -1 with errno set.
int tailrace_fallocate(int descriptor, int64_t offset, int64_t length);

#endif
