// Receiving many datagrams with one call, and what the kernel tells about those it lost.
#ifndef TAILRACE_DATAGRAMS_H
#define TAILRACE_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>

struct tailrace_receiver;

/// One datagram in a receiver's memory, until the next call of `tailrace_receive`.
struct tailrace_datagram {
    const void *bytes;
    /// Bytes in memory, and bytes that the datagram had.
    uint32_t length, original_length;
    /// The sender's address, of IPv4 as its IPv6 form ::ffff:a.b.c.d; zeros for senders without one.
    uint8_t address[16];
    /// Datagrams that the socket had lost when this one arrived; only where `tells_losses`.
    uint32_t losses;
    int tells_losses;
};

/// Memory for `count` datagrams of up to `size` bytes; NULL when there is none.
struct tailrace_receiver *tailrace_receiver_make(unsigned count, size_t size);
void tailrace_receiver_free(struct tailrace_receiver *receiver);

/// Takes what `socket` has, without waiting. Returns how many, 0 when there is nothing, or -1 with errno set.
int tailrace_receive(struct tailrace_receiver *receiver, int socket);

/// Datagram `index` of those just received.
void tailrace_received(const struct tailrace_receiver *receiver, unsigned index, struct tailrace_datagram *datagram);

/// Datagrams that `socket` has lost since it was made, as the kernel counts (modulo 2^32). Returns 0, or -1 with errno
/// set where the kernel does not tell.
int tailrace_socket_losses(int socket, uint32_t *losses);

/// Has the kernel throw away, and count, what arrives at `socket` from now on. Returns 0, or -1 with errno set.
int tailrace_socket_deafen(int socket);

#endif
