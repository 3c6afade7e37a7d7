// Appends lines to a file at a rate, each with a write of its own: `line_writer PATH RATE SECONDS SIZE`. A line begins with the
// time of its write, in nanoseconds since 1970. Prints "lines=N seconds=S".
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    long rate = atol(argv[2]), total = rate * atol(argv[3]), size = atol(argv[4]);
    int file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    char *line = malloc(size + 64);
    long long begin = now(CLOCK_MONOTONIC);
    for (long sent = 0; sent < total; sent++) {
        long long due = begin + (long long)((double)sent / rate * 1e9), ahead = due - now(CLOCK_MONOTONIC);
        if (ahead > 0) {
            struct timespec pause = {ahead / 1000000000, ahead % 1000000000};
            nanosleep(&pause, NULL);
        }
        memset(line, 'x', size);
        int head = sprintf(line, "%lld line %ld ", now(CLOCK_REALTIME), sent);
        line[head] = 'x';
        line[size - 1] = '\n';
        if (write(file, line, size) != size) return 1;
    }
    printf("lines=%ld seconds=%.3f\n", total, (now(CLOCK_MONOTONIC) - begin) / 1e9);
    return 0;
}
