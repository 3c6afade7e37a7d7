/* Preloaded into the agent: tells when each line that line_writer has written was acknowledged, to the file that ACK_TIMES
 * names, as pairs of nanoseconds since 1970: of the line's write, and of the moment when the disposition of its delivery
 * came out of TLS. It reads what goes into TLS and what comes out, which are AMQP frames, and costs the agent a few
 * microseconds a batch.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 64, CARRY = 32, WAITING = 1 << 20, WRITTEN = 1 << 14 };

/* One direction of a connection: where its frames begin, and what they begin with. */
struct stream {
    uint32_t left;
    int head_length;
    unsigned char head[HEAD];
};

struct line {
    uint32_t delivery;
    int64_t written;
};

static int (*real_write)(void *, const void *, int);
static int (*real_read)(void *, void *, int);
static int times = -1;
/* The agent has one connection to its hub, and one event loop for it: a second connection would spoil the figures. */
static void *connection;
static struct stream out, in;
static uint32_t delivery;
static char carry[CARRY];
static int carried;
static struct line waiting[WAITING];
static unsigned first_waiting, next_waiting;
static int64_t pairs[WRITTEN][2];
static int filled;

static void flush_pairs(void) {
    ssize_t size = filled * sizeof pairs[0];
    if (times >= 0 && size > 0 && write(times, pairs, size) != size) perror("ACK_TIMES");
    filled = 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ACK_TIMES");
    real_write = (int (*)(void *, const void *, int))dlsym(RTLD_NEXT, "SSL_write");
    real_read = (int (*)(void *, void *, int))dlsym(RTLD_NEXT, "SSL_read");
    if (path) times = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

__attribute__((destructor)) static void end(void) { flush_pairs(); }

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* An unsigned number of AMQP; the bytes that it takes, 0 for anything else. */
static int number(const unsigned char *at, uint32_t *value) {
    switch (at[0]) {
    case 0x43: *value = 0; return 1;
    case 0x52: *value = at[1]; return 2;
    case 0x70: *value = big_endian(at + 1); return 5;
    default: return 0;
    }
}

/* The first field of a performative, behind the head of its list. */
static const unsigned char *fields(const struct stream *stream, unsigned char performative) {
    const unsigned char *at = stream->head + 8;
    if (at[0] != 0 || at[1] != 0x53 || at[2] != performative) return NULL;
    return at[3] == 0xc0 ? at + 6 : at[3] == 0xd0 ? at + 12 : NULL;
}

static void transferred(const struct stream *stream) {
    const unsigned char *at = fields(stream, 0x14);
    uint32_t value;
    int length = at ? number(at, &value) : 0;
    /* A frame that continues a delivery may leave out its number. */
    if (length > 0 && number(at + length, &value)) delivery = value;
}

static void disposed(const struct stream *stream) {
    const unsigned char *at = fields(stream, 0x15);
    uint32_t first, last;
    if (!at || at[0] != 0x41) return;
    int length = number(at + 1, &first);
    if (length == 0) return;
    if (!number(at + 1 + length, &last)) last = first;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    int64_t now = time.tv_sec * 1000000000LL + time.tv_nsec;
    while (first_waiting != next_waiting) {
        struct line line = waiting[first_waiting % WAITING];
        if ((int32_t)(line.delivery - last) > 0) return;
        first_waiting++;
        pairs[filled][0] = line.written;
        pairs[filled][1] = now;
        if (++filled == WRITTEN) flush_pairs();
    }
}

/* Looks for lines in what a delivery holds: nineteen digits, then " line ". */
static void find_lines(const char *bytes, size_t count) {
    static const char word[] = " line ";
    for (const char *at = bytes; (at = memmem(at, count - (at - bytes), word, 6)) != NULL; at += 6) {
        if (at - bytes < 19) continue;
        int64_t written = 0;
        int digits = 0;
        for (const char *digit = at - 19; digit < at && *digit >= '0' && *digit <= '9'; digit++, digits++)
            written = written * 10 + (*digit - '0');
        if (digits == 19 && next_waiting - first_waiting < WAITING)
            waiting[next_waiting++ % WAITING] = (struct line){delivery, written};
    }
}

static void pass_lines(const char *bytes, size_t count) {
    char seam[CARRY * 2];
    size_t front = count < CARRY - 7 ? count : CARRY - 7;
    /* What lies across two writes: a line that either of them has whole is not found here. */
    if (carried > 0) {
        memcpy(seam, carry, carried);
        memcpy(seam + carried, bytes, front);
        const char *found = memmem(seam, carried + front, " line ", 6);
        if (found && found - seam < carried + 19 && found + 6 > seam + carried) find_lines(seam, found + 6 - seam);
    }
    find_lines(bytes, count);
    carried = count < CARRY ? count : CARRY;
    memcpy(carry, bytes + count - carried, carried);
}

/* Takes the bytes of a stream; `whole` is called for each frame once its head is there. */
static void pass(struct stream *stream, const unsigned char *bytes, int count, void (*whole)(const struct stream *)) {
    while (count > 0) {
        int step = 1;
        if (stream->left == 0) {
            stream->head[stream->head_length++] = *bytes;
            if (stream->head_length == 8) {
                uint32_t size = big_endian(stream->head);
                int is_header = memcmp(stream->head, "AMQP", 4) == 0;
                stream->left = is_header || size < 8 ? 0 : size - 8;
                if (stream->left == 0) stream->head_length = 0;
            }
        } else {
            int room = HEAD - stream->head_length;
            step = count < (int)stream->left ? count : (int)stream->left;
            if (room > 0) {
                if (step > room) step = room;
                memcpy(stream->head + stream->head_length, bytes, step);
                stream->head_length += step;
                if (stream->head_length == HEAD || (uint32_t)step == stream->left) whole(stream);
            } else if (stream == &out) {
                pass_lines((const char *)bytes, step);
            }
            stream->left -= step;
            if (stream->left == 0) {
                memset(stream->head, 0, HEAD);
                stream->head_length = 0;
                carried = 0;
            }
        }
        bytes += step;
        count -= step;
    }
}

int SSL_write(void *ssl, const void *bytes, int count) {
    int result = real_write(ssl, bytes, count);
    if (times >= 0 && (connection == NULL || connection == ssl) && result > 0) {
        connection = ssl;
        pass(&out, bytes, result, transferred);
    }
    return result;
}

int SSL_read(void *ssl, void *bytes, int count) {
    int result = real_read(ssl, bytes, count);
    if (times >= 0 && connection == ssl && result > 0) pass(&in, bytes, result, disposed);
    return result;
}
