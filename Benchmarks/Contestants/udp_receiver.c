// The yardstick of a receiver of datagrams: `udp_receiver PORT FILE` takes them off a port of this machine, and writes them into a
// file, a line each. It parses nothing and syncs nothing, and runs until it is killed.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 128, ROOM = 8192, WRITE = 256 << 10, BUFFER = 32 << 20 };

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER;
    // The first only where it is allowed; the second as far as the limit goes.
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0) return 1;
    int file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char *memory = malloc((size_t)BATCH * (ROOM + 64)), *lines = malloc(WRITE);
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){memory + (size_t)i * (ROOM + 64), ROOM};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    size_t length = 0;
    while (1) {
        // What has been gathered is written when nothing more is waiting.
        int count = recvmmsg(descriptor, messages, BATCH, length > 0 ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            memcpy(lines + length, vectors[i].iov_base, messages[i].msg_len);
            length += messages[i].msg_len;
            lines[length++] = '\n';
            if (length > WRITE - ROOM - 1) {
                if (write(file, lines, length) != (ssize_t)length) return 1;
                length = 0;
            }
        }
        if (count <= 0 && length > 0) {
            if (write(file, lines, length) != (ssize_t)length) return 1;
            length = 0;
        }
    }
}
