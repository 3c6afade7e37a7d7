// What it costs alone to make a little durable: `sync_cost PATH RATE SECONDS SIZE` appends SIZE bytes to an existing file and
// syncs, RATE times a second. Prints "processor=S", the seconds of a processor that it took.
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
    long rate = atol(argv[2]), total = rate * atol(argv[3]), size = atol(argv[4]), whole = total * size;
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *bytes = malloc(whole);
    memset(bytes, 'x', whole);
    if (pwrite(file, bytes, whole, 0) != whole || fsync(file) != 0) return 1;
    long long begin = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
    for (long done = 0; done < total; done++) {
        long long due = begin + (long long)((double)done / rate * 1e9), ahead = due - now(CLOCK_MONOTONIC);
        if (ahead > 0) {
            struct timespec pause = {ahead / 1000000000, ahead % 1000000000};
            nanosleep(&pause, NULL);
        }
        if (pwrite(file, bytes, size, done * size) != size || fdatasync(file) != 0) return 1;
    }
    printf("processor=%.6f\n", (now(CLOCK_PROCESS_CPUTIME_ID) - used) / 1e9);
    return 0;
}
