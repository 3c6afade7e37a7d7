/* Qpid Proton as it is used: one event, one message, as many in flight as the hub gives credit for.
 *
 *     proton_sender HOST PORT USER PASSWORD CA ADDRESS EVENTS SIZE
 *
 * Prints "events=N seconds=S processor=S" for the time from the first credit to the last answer.
 */
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/message.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/ssl.h>
#include <proton/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static long events, size, sent, accepted;
static char *body;
static struct timespec begin_time;
static struct rusage begin_usage;
static pn_rwbytes_t encoded;
static pn_message_t *message;

static double seconds_of(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

static _Noreturn void fail(const char *what, pn_condition_t *condition) {
    fprintf(stderr, "proton_sender: %s: %s %s\n", what, condition ? pn_condition_get_name(condition) : "",
            condition ? pn_condition_get_description(condition) : "");
    exit(1);
}

static void send_more(pn_link_t *link) {
    if (begin_time.tv_sec == 0 && pn_link_credit(link) > 0) {
        clock_gettime(CLOCK_MONOTONIC, &begin_time);
        getrusage(RUSAGE_SELF, &begin_usage);
    }
    while (pn_link_credit(link) > 0 && sent < events) {
        sent++;
        pn_delivery(link, pn_dtag((const char *)&sent, sizeof sent));
        /* A message of its own for every event, as an application has it. */
        pn_message_clear(message);
        pn_data_put_binary(pn_message_body(message), pn_bytes(size, body));
        pn_message_set_inferred(message, true);
        if (pn_message_send(message, link, &encoded) < 0) fail("cannot encode", NULL);
    }
}

static void finish(pn_link_t *link) {
    struct timespec end_time;
    struct rusage end_usage;
    clock_gettime(CLOCK_MONOTONIC, &end_time);
    getrusage(RUSAGE_SELF, &end_usage);
    printf("events=%ld seconds=%.6f processor=%.6f\n", accepted,
           end_time.tv_sec - begin_time.tv_sec + (end_time.tv_nsec - begin_time.tv_nsec) / 1e9,
           seconds_of(end_usage.ru_utime) + seconds_of(end_usage.ru_stime) - seconds_of(begin_usage.ru_utime) -
               seconds_of(begin_usage.ru_stime));
    fflush(stdout);
    pn_connection_close(pn_session_connection(pn_link_session(link)));
}

static bool handle(pn_event_t *event, const char *address) {
    switch (pn_event_type(event)) {
    case PN_CONNECTION_INIT: {
        pn_connection_t *connection = pn_event_connection(event);
        pn_connection_open(connection);
        pn_session_t *session = pn_session(connection);
        pn_session_open(session);
        pn_link_t *link = pn_sender(session, "sender");
        pn_terminus_set_address(pn_link_target(link), address);
        pn_link_set_snd_settle_mode(link, PN_SND_UNSETTLED);
        pn_link_open(link);
        break;
    }
    case PN_LINK_FLOW: send_more(pn_event_link(event)); break;
    case PN_DELIVERY: {
        pn_delivery_t *delivery = pn_event_delivery(event);
        if (pn_delivery_remote_state(delivery) != PN_ACCEPTED) {
            if (pn_delivery_updated(delivery)) fail("an event was not accepted", NULL);
            break;
        }
        pn_link_t *link = pn_delivery_link(delivery);
        pn_delivery_settle(delivery);
        if (++accepted == events) finish(link);
        break;
    }
    case PN_TRANSPORT_ERROR: fail("transport", pn_transport_condition(pn_event_transport(event)));
    case PN_CONNECTION_REMOTE_CLOSE:
        if (pn_condition_is_set(pn_connection_remote_condition(pn_event_connection(event))))
            fail("connection", pn_connection_remote_condition(pn_event_connection(event)));
        break;
    case PN_LINK_REMOTE_CLOSE:
    case PN_LINK_REMOTE_DETACH:
        if (accepted < events) fail("link", pn_link_remote_condition(pn_event_link(event)));
        break;
    case PN_PROACTOR_INACTIVE: return false;
    default: break;
    }
    return true;
}

int main(int count, char **arguments) {
    if (count != 9) {
        fprintf(stderr, "usage: proton_sender HOST PORT USER PASSWORD CA ADDRESS EVENTS SIZE\n");
        return 2;
    }
    events = atol(arguments[7]);
    size = atol(arguments[8]);
    body = malloc(size);
    for (long i = 0; i < size; i++) body[i] = 'a' + i % 26;
    message = pn_message();

    pn_proactor_t *proactor = pn_proactor();
    pn_connection_t *connection = pn_connection();
    pn_connection_set_container(connection, "proton-sender");
    pn_connection_set_hostname(connection, "localhost");
    pn_connection_set_user(connection, arguments[3]);
    pn_connection_set_password(connection, arguments[4]);
    pn_transport_t *transport = pn_transport();
    pn_sasl_allowed_mechs(pn_sasl(transport), "PLAIN");
    pn_ssl_domain_t *domain = pn_ssl_domain(PN_SSL_MODE_CLIENT);
    if (pn_ssl_domain_set_trusted_ca_db(domain, arguments[5]) ||
        pn_ssl_domain_set_peer_authentication(domain, PN_SSL_VERIFY_PEER_NAME, NULL) ||
        pn_ssl_init(pn_ssl(transport), domain, NULL))
        fail("TLS", NULL);
    char target[300];
    pn_proactor_addr(target, sizeof target, arguments[1], arguments[2]);
    pn_proactor_connect2(proactor, connection, transport, target);
    bool more = true;
    while (more) {
        pn_event_batch_t *batch = pn_proactor_wait(proactor);
        pn_event_t *event;
        while (more && (event = pn_event_batch_next(batch))) more = handle(event, arguments[6]);
        pn_proactor_done(proactor, batch);
    }
    return accepted == events ? 0 : 1;
}
