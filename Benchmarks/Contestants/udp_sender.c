// Sends syslog datagrams to a port of this machine: `udp_sender PORT COUNT SIZE RATE`. RATE is a second's worth, 0 for as
// fast as they go. Prints "sent=N seconds=S".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    long count = atol(argv[2]), size = atol(argv[3]), rate = atol(argv[4]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    const char *head = "<134>Nov 21 20:00:00 web-1.example.com nginx[4711]: ";
    memcpy(text, head, strlen(head));
    struct iovec vector = {text, size};
    struct mmsghdr messages[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1};
    double begin = now();
    long sent = 0;
    while (sent < count) {
        if (rate > 0) {
            double ahead = (double)sent / rate - (now() - begin);
            if (ahead > 0.0005) {
                struct timespec pause = {0, (long)(ahead * 1e9) % 1000000000};
                nanosleep(&pause, NULL);
            }
        }
        long left = count - sent;
        int done = sendmmsg(descriptor, messages, left < BATCH ? left : BATCH, 0);
        if (done > 0) sent += done;
    }
    printf("sent=%ld seconds=%.3f\n", sent, now() - begin);
    return 0;
}
