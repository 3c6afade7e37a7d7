// Regular expressions by PCRE2 (libpcre2-8.so.0), loaded when the first pattern is made: no headers, nothing to link.
#ifndef TAILRACE_PATTERNS_H
#define TAILRACE_PATTERNS_H

#include <stddef.h>
#include <stdint.h>

/// A compiled pattern: never changes, any thread may match by it. Opaque: PCRE2's `pcre2_code`.
typedef void *tailrace_pattern;

/// What one user of a pattern needs to match: one thread at a time.
typedef struct tailrace_matcher *tailrace_matcher;

struct tailrace_pattern_problem {
    /// PCRE2's code, or 0 when the library itself is what is missing.
    int code;
    /// Bytes of the pattern before the problem.
    size_t offset;
    char text[200];
};

/// Compiles `length` bytes; NULL with `problem` filled. Bytes, not characters, unless the pattern says `(*UTF)`.
tailrace_pattern tailrace_pattern_compile(
    const void *text, size_t length, struct tailrace_pattern_problem *problem);
void tailrace_pattern_free(tailrace_pattern pattern);
/// Numbered groups of the pattern.
uint32_t tailrace_pattern_groups(tailrace_pattern pattern);
/// 1 when the pattern was compiled to machine code.
int tailrace_pattern_is_native(tailrace_pattern pattern);

tailrace_matcher tailrace_matcher_make(tailrace_pattern pattern);
void tailrace_matcher_free(tailrace_matcher matcher);

/// Results of `tailrace_matcher_find`.
enum {
    TAILRACE_FOUND = 1,
    TAILRACE_NOT_FOUND = 0,
    /// A limit of time, steps or memory was reached, or the subject is not what the pattern needs (UTF-8).
    TAILRACE_GAVE_UP = -1,
};

/// The first match that begins at `start` or later. With `not_empty`, an empty match at `start` itself does not count.
/// `deadline` (nanoseconds, CLOCK_MONOTONIC; 0 = not set) is set by the first call that takes long, so that one budget
/// covers all calls that share it.
int tailrace_matcher_find(
    tailrace_matcher matcher, const void *subject, size_t length, size_t start, int not_empty, int64_t *deadline);

/// 1 when the time of `deadline` is over; sets it when it was not.
int tailrace_budget_is_spent(int64_t *deadline);

/// Begin and end of a group of the last match that was found; 0 when it took no part in it.
int tailrace_matcher_group(tailrace_matcher matcher, uint32_t group, size_t *begin, size_t *end);

#endif
