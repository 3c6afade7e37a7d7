// Starting another program, with what posix_spawn cannot ask for: that it ends with the thread that started it.
#ifndef TAILRACE_CHILDREN_H
#define TAILRACE_CHILDREN_H

/// Starts the program at `path` with nothing as its standard input and the given descriptors as its standard output and
/// error output; it inherits no other descriptor, has all signals at their defaults and unblocked, leads a process
/// group of its own, and is killed when the calling thread ends. Returns its process id, or -1 with errno set, also
/// when the program cannot be executed.
int tailrace_start_child(
    const char *path, char *const arguments[], char *const environment[], int output, int error_output);

#endif
