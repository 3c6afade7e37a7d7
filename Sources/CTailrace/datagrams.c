#define _GNU_SOURCE
#include "datagrams.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct slot {
    struct sockaddr_storage peer;
    struct iovec vector;
    union {
        struct cmsghdr alignment;
        char bytes[CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(64)];
    } control;
};

struct tailrace_receiver {
    unsigned count;
    size_t size;
    char *memory;
    struct mmsghdr *headers;
    struct slot *slots;
};

// Datagrams begin in different sets of the cache.
static size_t stride(size_t size) { return ((size + 4095) & ~(size_t)4095) + 4096 + 128; }

struct tailrace_receiver *tailrace_receiver_make(unsigned count, size_t size) {
    struct tailrace_receiver *receiver = calloc(1, sizeof *receiver);
    if (!receiver) return NULL;
    receiver->count = count;
    receiver->size = size;
    receiver->memory = malloc(stride(size) * count);
    receiver->headers = calloc(count, sizeof *receiver->headers);
    receiver->slots = calloc(count, sizeof *receiver->slots);
    if (!receiver->memory || !receiver->headers || !receiver->slots) {
        tailrace_receiver_free(receiver);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        struct msghdr *header = &receiver->headers[i].msg_hdr;
        receiver->slots[i].vector.iov_base = receiver->memory + stride(size) * i;
        receiver->slots[i].vector.iov_len = size;
        header->msg_iov = &receiver->slots[i].vector;
        header->msg_iovlen = 1;
        header->msg_name = &receiver->slots[i].peer;
        header->msg_control = &receiver->slots[i].control;
    }
    return receiver;
}

void tailrace_receiver_free(struct tailrace_receiver *receiver) {
    if (!receiver) return;
    free(receiver->memory);
    free(receiver->headers);
    free(receiver->slots);
    free(receiver);
}

int tailrace_receive(struct tailrace_receiver *receiver, int socket) {
    for (unsigned i = 0; i < receiver->count; i++) {
        struct msghdr *header = &receiver->headers[i].msg_hdr;
        header->msg_namelen = sizeof receiver->slots[i].peer;
        header->msg_controllen = sizeof receiver->slots[i].control;
    }
    // MSG_TRUNC: the length is that of the datagram, not of what fitted.
    int count = recvmmsg(socket, receiver->headers, receiver->count, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return count;
}

void tailrace_received(const struct tailrace_receiver *receiver, unsigned index, struct tailrace_datagram *datagram) {
    const struct mmsghdr *header = &receiver->headers[index];
    const struct sockaddr_storage *peer = &receiver->slots[index].peer;
    datagram->bytes = receiver->slots[index].vector.iov_base;
    datagram->original_length = header->msg_len;
    datagram->length = header->msg_len > receiver->size ? (uint32_t)receiver->size : header->msg_len;
    datagram->losses = 0;
    datagram->tells_losses = 0;
    memset(datagram->address, 0, sizeof datagram->address);
    if (header->msg_hdr.msg_namelen >= sizeof(struct sockaddr_in) && peer->ss_family == AF_INET) {
        datagram->address[10] = datagram->address[11] = 0xFF;
        memcpy(datagram->address + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    } else if (header->msg_hdr.msg_namelen >= sizeof(struct sockaddr_in6) && peer->ss_family == AF_INET6) {
        memcpy(datagram->address, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    }
    struct msghdr message = header->msg_hdr;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_RXQ_OVFL) continue;
        memcpy(&datagram->losses, CMSG_DATA(part), sizeof datagram->losses);
        datagram->tells_losses = 1;
    }
}

int tailrace_socket_losses(int socket, uint32_t *losses) {
    uint32_t numbers[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof numbers;
    if (getsockopt(socket, SOL_SOCKET, SO_MEMINFO, numbers, &length) != 0) return -1;
    if (length < (SK_MEMINFO_DROPS + 1) * sizeof numbers[0]) {
        errno = ENOTSUP;
        return -1;
    }
    *losses = numbers[SK_MEMINFO_DROPS];
    return 0;
}

int tailrace_socket_deafen(int socket) {
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
