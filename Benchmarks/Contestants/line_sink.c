// Takes lines over TCP on a free port of this machine and throws them away: `line_sink LINES`. Prints "port=N", and, when
// LINES newlines have come over all connections together, "done".
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 64, ROOM = 1 << 18 };

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    long wanted = atol(argv[1]), lines = 0;
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    struct pollfd peers[PEERS] = {{.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN}};
    if (bind(peers[0].fd, (struct sockaddr *)&address, size) != 0 || listen(peers[0].fd, 16) != 0) return 1;
    getsockname(peers[0].fd, (struct sockaddr *)&address, &size);
    printf("port=%d\n", ntohs(address.sin_port));
    fflush(stdout);
    static char buffer[ROOM];
    int count = 1;
    while (lines < wanted) {
        if (poll(peers, count, -1) < 0) return 1;
        if (peers[0].revents && count < PEERS) {
            peers[count++] = (struct pollfd){.fd = accept(peers[0].fd, NULL, NULL), .events = POLLIN};
        }
        for (int i = 1; i < count; i++) {
            if (!peers[i].revents) continue;
            ssize_t got = read(peers[i].fd, buffer, ROOM);
            if (got <= 0) {
                close(peers[i].fd);
                peers[i].fd = -1;
            }
            for (char *at = buffer; got > 0 && (at = memchr(at, '\n', buffer + got - at)) != NULL; at++) lines++;
        }
    }
    printf("done\n");
    return 0;
}
