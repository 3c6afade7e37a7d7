// What Swift's Glibc module leaves out of the threads.
#ifndef TAILRACE_THREADS_H
#define TAILRACE_THREADS_H

/// Names the calling thread, for ps and debuggers; only the first 15 bytes count.
void tailrace_name_thread(const char *name);

struct pollfd;

/// `ppoll` without a mask of signals: `poll` knows no time below a millisecond.
int tailrace_poll(struct pollfd *descriptors, unsigned count, long long nanoseconds);

#endif
