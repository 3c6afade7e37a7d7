"""Qpid Proton as a client of the local hub: sends to a partition or to the hub, or reads a partition.

client.py send|receive --url URL [--ca FILE] --user NAME --password TEXT --address ADDRESS [--count N] [--sizes N,N]
Prints one line per thing that happens.
"""

import argparse
import hashlib

from proton import Message, SSLDomain, symbol
from proton.handlers import MessagingHandler
from proton.reactor import AtMostOnce, Container, LinkOption, Selector


def say(*words):
    print(*words, flush=True)


def body(size):
    return bytes(i * 31 & 255 for i in range(size))


class Client(MessagingHandler):
    def __init__(self, options, **settings):
        super().__init__(auto_accept=True, peer_close_is_error=True, **settings)
        self.options = options
        self.done = 0

    def on_start(self, event):
        domain = None
        if self.options.ca:
            domain = SSLDomain(SSLDomain.MODE_CLIENT)
            domain.set_trusted_ca_db(self.options.ca)
            domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        self.connection = event.container.connect(
            self.options.url, user=self.options.user, password=self.options.password, allowed_mechs="PLAIN",
            allow_insecure_mechs=True, sasl_enabled=True, ssl_domain=domain, virtual_host="localhost", reconnect=False)
        self.start(event.container)

    def on_transport_error(self, event):
        say("transport", event.transport.condition.name)
        super().on_transport_error(event)

    def on_link_error(self, event):
        say("link", event.link.remote_condition.name)
        event.connection.close()

    def on_connection_error(self, event):
        say("connection", event.connection.remote_condition.name)


class Sending(Client):
    def start(self, container):
        sizes = [int(size) for size in self.options.sizes.split(",")] if self.options.sizes else []
        self.bodies = [body(size) for size in sizes] + [b"event %d" % i for i in range(self.options.count)]
        self.next = 0
        self.sender = container.create_sender(self.connection, self.options.address)

    def on_sendable(self, event):
        while self.sender.credit and self.next < len(self.bodies):
            message = Message(inferred=True, body=self.bodies[self.next])
            message.properties = {"number": self.next}
            message.annotations = {symbol("x-opt-partition-key"): "a key"}
            self.sender.send(message)
            self.next += 1

    def on_accepted(self, event):
        self.done += 1
        if self.done == len(self.bodies):
            say("accepted", self.done)
            event.connection.close()

    def on_rejected(self, event):
        say("rejected", event.delivery.remote.condition)
        event.connection.close()


class Receiving(Client):
    def start(self, container):
        self.digest = hashlib.sha256()
        container.create_receiver(
            self.connection, self.options.address, options=Selector("amqp.annotation.x-opt-offset > '-1'"))

    def on_message(self, event):
        message = event.message
        annotations = message.annotations
        self.digest.update(bytes(message.body))
        if annotations[symbol("x-opt-sequence-number")] != self.done or message.properties["number"] != self.done:
            say("out of order", annotations, message.properties)
        if annotations[symbol("x-opt-partition-key")] != "a key":
            say("wrong key", annotations)
        self.done += 1
        if self.done == self.options.count:
            say("received", self.done, self.digest.hexdigest())
            event.connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["send", "receive"])
    for name in ("url", "user", "password", "address"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--sizes", default="")
    options = parser.parse_args()
    if options.role == "send":
        client = Sending(options)
    else:
        client = Receiving(options, prefetch=500)
    Container(client).run()
