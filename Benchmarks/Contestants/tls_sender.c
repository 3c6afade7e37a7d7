// The yardstick of a sender over TLS: `tls_sender CERTIFICATE KEY FILE…` reads the files, writes their bytes to a process of its
// own that throws them away, over TLS 1.3 and loopback, and prints "seconds=S processor=S": how long it took until the other
// side had all, and the processor time of the sending side alone.
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, RECORD = 16384 };

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int sink(int listener, const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) return 1;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) return 1;
    SSL *peer = SSL_new(context);
    SSL_set_fd(peer, accept(listener, NULL, NULL));
    if (SSL_accept(peer) != 1) return 1;
    static char buffer[RECORD];
    while (SSL_read(peer, buffer, RECORD) > 0) {}
    // All is here.
    SSL_shutdown(peer);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    pid_t child = fork();
    if (child == 0) return sink(listener, argv[1], argv[2]);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(descriptor, (struct sockaddr *)&address, size) != 0) return 1;
    SSL *peer = SSL_new(SSL_CTX_new(TLS_client_method()));
    SSL_set_fd(peer, descriptor);
    if (SSL_connect(peer) != 1) return 1;
    double begin = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
    static char buffer[PIECE];
    for (int i = 3; i < argc; i++) {
        int file = open(argv[i], O_RDONLY);
        ssize_t got;
        while ((got = read(file, buffer, PIECE)) > 0) {
            for (ssize_t at = 0; at < got; at += RECORD) {
                if (SSL_write(peer, buffer + at, got - at < RECORD ? got - at : RECORD) <= 0) return 1;
            }
        }
        close(file);
    }
    // Its answer says that the other side has read all.
    SSL_shutdown(peer);
    SSL_read(peer, buffer, 1);
    printf("seconds=%.4f processor=%.4f\n", now(CLOCK_MONOTONIC) - begin, now(CLOCK_PROCESS_CPUTIME_ID) - processor);
    int status;
    waitpid(child, &status, 0);
    return status != 0;
}
