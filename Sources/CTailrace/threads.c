#define _GNU_SOURCE
#include "threads.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

void tailrace_name_thread(const char *name) {
    char text[16] = {0};
    strncpy(text, name, sizeof text - 1);
    pthread_setname_np(pthread_self(), text);
}

int tailrace_poll(struct pollfd *descriptors, unsigned count, long long nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return ppoll(descriptors, count, &time, NULL);
}
