// Searches in bytes that Swift's Glibc module does not import.
#ifndef TAILRACE_BYTES_H
#define TAILRACE_BYTES_H

#include <stddef.h>

/// The first occurrence of `needle` (`needle_length` bytes) in `bytes`, or NULL (memmem).
const void *tailrace_find(const void *bytes, size_t length, const void *needle, size_t needle_length);

#endif
