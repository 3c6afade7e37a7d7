// OpenSSL 3 as Swift sees it. Function-like macros and variadic functions are not imported, so each one that we need is
// a function here.
#ifndef TAILRACE_COPENSSL_SHIM_H
#define TAILRACE_COPENSSL_SHIM_H

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline long tailrace_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

static inline long tailrace_SSL_CTX_set_max_proto_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_max_proto_version(context, version);
}

static inline long tailrace_SSL_set_tlsext_host_name(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name);
}

// What every connection of ours wants: writes that end with their last record, no renegotiation (a peer's tool for
// burning CPU, and the only reason for which a write would have to wait for a read), no compression, no sessions to
// resume (connections live long).
static inline void tailrace_SSL_CTX_set_defaults(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET
                                     | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
}

// What the engine relies on, for sessions of a context that is not ours.
static inline void tailrace_SSL_set_defaults(SSL *ssl) {
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

// A key file with a pass phrase is an error, not a question on the terminal.
static inline int tailrace_no_pass_phrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1;
}

static inline void tailrace_SSL_CTX_refuse_pass_phrases(SSL_CTX *context) {
    SSL_CTX_set_default_passwd_cb(context, tailrace_no_pass_phrase);
}

static inline EVP_PKEY *tailrace_generate_p256(void) { return EVP_EC_gen("P-256"); }

static inline int tailrace_MBSTRING_UTF8(void) { return MBSTRING_UTF8; }

static inline long tailrace_BIO_get_mem_data(BIO *bio, char **bytes) { return BIO_get_mem_data(bio, bytes); }

// A BIO over memory that its user lends for the time of one call: ciphertext to read, and room for ciphertext to send.
// Nothing is allocated and nothing is copied twice, as a memory BIO would.
typedef struct tailrace_bio_memory {
    const unsigned char *input;
    size_t input_length;
    unsigned char *output;
    size_t output_length;
    size_t output_capacity;
} tailrace_bio_memory;

static inline int tailrace_bio_read(BIO *bio, char *bytes, int count) {
    tailrace_bio_memory *memory = (tailrace_bio_memory *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (memory->input_length == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (count <= 0) return 0;
    size_t length = (size_t)count < memory->input_length ? (size_t)count : memory->input_length;
    memcpy(bytes, memory->input, length);
    memory->input += length;
    memory->input_length -= length;
    return (int)length;
}

static inline int tailrace_bio_write(BIO *bio, const char *bytes, int count) {
    tailrace_bio_memory *memory = (tailrace_bio_memory *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    size_t room = memory->output_capacity - memory->output_length;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    size_t length = (size_t)count < room ? (size_t)count : room;
    memcpy(memory->output + memory->output_length, bytes, length);
    memory->output_length += length;
    return (int)length;
}

static inline long tailrace_bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

// Null when out of memory. Never freed: there is one for the process.
static inline BIO_METHOD *tailrace_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lent memory");
    if (method == NULL) return NULL;
    BIO_meth_set_read(method, tailrace_bio_read);
    BIO_meth_set_write(method, tailrace_bio_write);
    BIO_meth_set_ctrl(method, tailrace_bio_ctrl);
    return method;
}

// Gives `ssl` a BIO over `memory`, which must live as long as `ssl`; 0 when out of memory.
static inline int tailrace_SSL_set_memory(SSL *ssl, BIO_METHOD *method, tailrace_bio_memory *memory) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return 0;
    BIO_set_data(bio, memory);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return 1;
}

#endif
