#define _GNU_SOURCE
#include "patterns.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The few functions and numbers of PCRE2's 8-bit library that are used; all are part of its stable interface.
enum {
    OPTION_USE_OFFSET_LIMIT = 0x00800000,
    OPTION_NEVER_BACKSLASH_C = 0x00100000,
    OPTION_NO_JIT = 0x00002000,
    OPTION_NOTEMPTY_ATSTART = 0x00000008,
    OPTION_MATCH_INVALID_UTF = 0x04000000,
    JIT_COMPLETE = 1,
    INFO_CAPTURE_COUNT = 4,
    INFO_JIT_SIZE = 10,
    ERROR_NO_MATCH = -1,
    ERROR_JIT_STACK = -46,
};

static struct {
    void *(*compile)(const void *, size_t, uint32_t, int *, size_t *, void *);
    void (*code_free)(void *);
    int (*jit_compile)(void *, uint32_t);
    int (*pattern_info)(const void *, uint32_t, void *);
    int (*get_error_message)(int, uint8_t *, size_t);
    int (*match)(const void *, const void *, size_t, size_t, uint32_t, void *, void *);
    void *(*data_create)(const void *, void *);
    void (*data_free)(void *);
    size_t *(*data_ovector)(void *);
    void *(*context_create)(void *);
    void (*context_free)(void *);
    int (*set_match_limit)(void *, uint32_t);
    int (*set_depth_limit)(void *, uint32_t);
    int (*set_heap_limit)(void *, uint32_t);
    int (*set_offset_limit)(void *, size_t);
    char problem[200];
    int is_ready;
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static int resolve(void *handle, const char *name, void *function) {
    void *address = dlsym(handle, name);
    if (!address) {
        strcpy(library.problem, "libpcre2-8.so.0 has no function ");
        strncat(library.problem, name, sizeof library.problem - 1 - strlen(library.problem));
        return 0;
    }
    memcpy(function, &address, sizeof address);
    return 1;
}

static void load(void) {
    void *handle = dlopen("libpcre2-8.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        strncpy(library.problem, reason ? reason : "libpcre2-8.so.0 cannot be loaded", sizeof library.problem - 1);
        return;
    }
    library.is_ready = resolve(handle, "pcre2_compile_8", &library.compile)
        && resolve(handle, "pcre2_code_free_8", &library.code_free)
        && resolve(handle, "pcre2_jit_compile_8", &library.jit_compile)
        && resolve(handle, "pcre2_pattern_info_8", &library.pattern_info)
        && resolve(handle, "pcre2_get_error_message_8", &library.get_error_message)
        && resolve(handle, "pcre2_match_8", &library.match)
        && resolve(handle, "pcre2_match_data_create_from_pattern_8", &library.data_create)
        && resolve(handle, "pcre2_match_data_free_8", &library.data_free)
        && resolve(handle, "pcre2_get_ovector_pointer_8", &library.data_ovector)
        && resolve(handle, "pcre2_match_context_create_8", &library.context_create)
        && resolve(handle, "pcre2_match_context_free_8", &library.context_free)
        && resolve(handle, "pcre2_set_match_limit_8", &library.set_match_limit)
        && resolve(handle, "pcre2_set_depth_limit_8", &library.set_depth_limit)
        && resolve(handle, "pcre2_set_heap_limit_8", &library.set_heap_limit)
        && resolve(handle, "pcre2_set_offset_limit_8", &library.set_offset_limit);
}

tailrace_pattern tailrace_pattern_compile(
    const void *text, size_t length, struct tailrace_pattern_problem *problem) {
    memset(problem, 0, sizeof *problem);
    pthread_once(&once, load);
    if (!library.is_ready) {
        memcpy(problem->text, library.problem, sizeof problem->text);
        return NULL;
    }
    // Matching by UTF, if the pattern asks for it, passes over what is not UTF-8 instead of failing.
    uint32_t options = OPTION_USE_OFFSET_LIMIT | OPTION_NEVER_BACKSLASH_C | OPTION_MATCH_INVALID_UTF;
    // MATCH_INVALID_UTF turns UTF on by itself, so only a pattern that asks for UTF gets it.
    if (length < 6 || !memmem(text, length < 200 ? length : 200, "(*UTF)", 6)) options &= ~OPTION_MATCH_INVALID_UTF;
    void *code = library.compile(text ? text : "", length, options, &problem->code, &problem->offset, NULL);
    if (!code) {
        library.get_error_message(problem->code, (uint8_t *)problem->text, sizeof problem->text);
        return NULL;
    }
    // Where memory may not be made executable this fails, and patterns are interpreted: slower, with the same results.
    library.jit_compile(code, JIT_COMPLETE);
    return code;
}

void tailrace_pattern_free(tailrace_pattern pattern) { library.code_free(pattern); }

uint32_t tailrace_pattern_groups(tailrace_pattern pattern) {
    uint32_t count = 0;
    library.pattern_info(pattern, INFO_CAPTURE_COUNT, &count);
    return count;
}

int tailrace_pattern_is_native(tailrace_pattern pattern) {
    size_t size = 0;
    return library.pattern_info(pattern, INFO_JIT_SIZE, &size) == 0 && size > 0;
}

// Limits of one match. Steps are counted anew for each place at which a match may begin, so that a time is needed as
// well: beginnings are tried in slices, small enough for the clock to be looked at in between.
enum {
    MATCH_LIMIT = 100000,
    DEPTH_LIMIT = 20000,
    /// KiB.
    HEAP_LIMIT = 4096,
    FIRST_SLICE = 512,
};
static const int64_t BUDGET = 500000000;
static const int64_t SHORT_SLICE = 2000000;

struct tailrace_matcher {
    void *code;
    void *data;
    void *context;
    size_t *ovector;
    uint32_t groups;
    int found;
};

tailrace_matcher tailrace_matcher_make(tailrace_pattern pattern) {
    struct tailrace_matcher *matcher = calloc(1, sizeof *matcher);
    if (!matcher) abort();
    matcher->code = pattern;
    matcher->data = library.data_create(pattern, NULL);
    matcher->context = library.context_create(NULL);
    if (!matcher->data || !matcher->context) abort();
    matcher->ovector = library.data_ovector(matcher->data);
    matcher->groups = tailrace_pattern_groups(pattern);
    library.set_match_limit(matcher->context, MATCH_LIMIT);
    library.set_depth_limit(matcher->context, DEPTH_LIMIT);
    library.set_heap_limit(matcher->context, HEAP_LIMIT);
    return matcher;
}

void tailrace_matcher_free(tailrace_matcher matcher) {
    library.data_free(matcher->data);
    library.context_free(matcher->context);
    free(matcher);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int tailrace_matcher_find(
    tailrace_matcher matcher, const void *subject, size_t length, size_t start, int not_empty, int64_t *deadline) {
    matcher->found = 0;
    if (!subject) subject = "";
    size_t slice = FIRST_SLICE;
    size_t from = start;
    int64_t began = 0;
    if (length - start > slice || *deadline) {
        began = now();
        if (!*deadline) *deadline = began + BUDGET;
        if (began > *deadline) return TAILRACE_GAVE_UP;
    }
    for (;;) {
        size_t last = length - from > slice ? from + slice : length;
        library.set_offset_limit(matcher->context, last);
        // A match may look at what is before its beginning, so the subject stays whole.
        uint32_t options = not_empty && from == start ? OPTION_NOTEMPTY_ATSTART : 0;
        int result = library.match(matcher->code, subject, length, from, options, matcher->data, matcher->context);
        if (result == ERROR_JIT_STACK)
            result = library.match(
                matcher->code, subject, length, from, options | OPTION_NO_JIT, matcher->data, matcher->context);
        if (result >= 0) {
            // With \K a match may end before it begins.
            if (matcher->ovector[0] > matcher->ovector[1]) return TAILRACE_GAVE_UP;
            matcher->found = 1;
            return TAILRACE_FOUND;
        }
        if (result != ERROR_NO_MATCH) return TAILRACE_GAVE_UP;
        if (last == length) return TAILRACE_NOT_FOUND;
        int64_t ended = now();
        if (ended > *deadline) return TAILRACE_GAVE_UP;
        if (ended - began < SHORT_SLICE) {
            if (slice < ((size_t)1 << 40)) slice *= 4;
        } else if (slice > 1) {
            slice = slice / 4 + 1;
        }
        began = ended;
        from = last + 1;
    }
}

int tailrace_budget_is_spent(int64_t *deadline) {
    int64_t time = now();
    if (!*deadline) *deadline = time + BUDGET;
    return time > *deadline;
}

int tailrace_matcher_group(tailrace_matcher matcher, uint32_t group, size_t *begin, size_t *end) {
    if (!matcher->found || group > matcher->groups) return 0;
    size_t a = matcher->ovector[2 * group], b = matcher->ovector[2 * group + 1];
    if (a == (size_t)-1 || b == (size_t)-1 || a > b) return 0;
    *begin = a;
    *end = b;
    return 1;
}
