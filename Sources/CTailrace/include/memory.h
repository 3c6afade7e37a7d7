// Settings of the process's memory that Swift's Glibc module does not import.
#ifndef TAILRACE_MEMORY_H
#define TAILRACE_MEMORY_H

/// Keeps a long-lived process small and its big buffers in place: two arenas at most; blocks up to 4 MiB come from
/// the heap instead of a new mapping each time, which would fault every page anew; the heap's free top is kept up
/// to 8 MiB. Call it before the first threads. Without glibc it does nothing.
void tailrace_tune_memory(void);

/// Gives free memory back to the system.
void tailrace_trim_memory(void);

/// Lets go of the pages of programs and libraries that the start needed and the long run does not: what is needed comes
/// back from the page cache by itself. Only touches mappings that are never written.
void tailrace_release_startup_pages(void);

/// Keeps this process's memory out of core dumps and away from other users' debuggers: it holds keys.
void tailrace_hide_memory(void);

#endif
