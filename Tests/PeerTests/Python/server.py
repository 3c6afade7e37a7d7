"""An AMQP peer made of Qpid Proton. The address of a link says how its end behaves here; what happens is printed.

server.py [--certificate CHAIN KEY] [--frame BYTES] [--window BYTES] [--idle SECONDS] [--open-for SECONDS]
"""

import argparse
import hashlib

from proton import Condition, Delivery, Disposition, Endpoint, Message, SSLDomain, Terminus, symbol
from proton.handlers import MessagingHandler
from proton.reactor import Container

import values


def say(*words):
    print(*words, flush=True)


class After:
    """Runs a function when its time comes."""

    def __init__(self, action):
        self.action = action

    def on_timer_task(self, event):
        self.action()


class Incoming:
    """The receiving end of a link: accepts everything, with room for 100 messages."""

    CREDIT = 100

    def __init__(self, server, link, argument):
        self.server = server
        self.link = link
        self.argument = argument
        self.count = 0
        self.digest = hashlib.sha256()

    def opened(self):
        self.link.flow(self.CREDIT)

    def message(self, message, delivery):
        self.count += 1
        self.answer(message, delivery)
        if self.link.credit <= self.CREDIT // 2 and self.link.state & Endpoint.LOCAL_ACTIVE:
            self.link.flow(self.CREDIT - self.link.credit)

    def answer(self, message, delivery):
        self.settle(delivery, Delivery.ACCEPTED)

    def settle(self, delivery, state):
        if not delivery.settled:
            delivery.update(state)
        delivery.settle()

    def drained(self):
        pass

    def updated(self, delivery):
        pass


class Store(Incoming):
    """Keeps the bodies for the source "stored"."""

    def answer(self, message, delivery):
        self.server.stored.append(message.body)
        self.digest.update(bytes(message.body))
        say("stored", self.count, len(message.body), self.digest.hexdigest()[:16])
        self.settle(delivery, Delivery.ACCEPTED)


class Count(Incoming):
    """Counts, and tells every thousandth with how many came settled."""

    CREDIT = 2000

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.settled = 0
        self.next = 0

    def answer(self, message, delivery):
        self.settled += 1 if delivery.settled else 0
        if int(message.body) != self.next:
            say("out of order: got", message.body, "instead of", self.next)
        self.next += 1
        if self.count % 1000 == 0:
            say("counted", self.count, "settled", self.settled)
        self.settle(delivery, Delivery.ACCEPTED)


class Few(Incoming):
    """Grants three at a time, the next three a while after the last three came."""

    def opened(self):
        self.granted = 0
        self.grant()

    def grant(self):
        self.granted += 3
        say("granted", self.granted, "received", self.count)
        self.link.flow(3)

    def message(self, message, delivery):
        self.count += 1
        if self.count > self.granted:
            say("exceeded", self.count)
        self.settle(delivery, Delivery.ACCEPTED)
        if self.count == self.granted:
            self.server.container.schedule(0.02, After(self.grant))


class Drain(Incoming):
    """Grants 100, takes them back after ten messages, and grants five more."""

    def opened(self):
        self.drains = 0
        self.link.flow(100)

    def message(self, message, delivery):
        self.count += 1
        self.settle(delivery, Delivery.ACCEPTED)
        if self.count == 10:
            self.link.drain(0)

    def drained(self):
        self.drains += 1
        say("drained", "credit", self.link.credit, "received", self.count)
        if self.drains == 1:
            self.link.flow(5)


class Dispose(Incoming):
    """Does with each message what its subject says."""

    def answer(self, message, delivery):
        local = delivery.local
        if message.subject == "reject":
            local.condition = Condition("test:rejected", "for the test", {symbol("detail"): "more"})
            self.settle(delivery, Delivery.REJECTED)
        elif message.subject == "reject without error":
            self.settle(delivery, Delivery.REJECTED)
        elif message.subject == "release":
            self.settle(delivery, Delivery.RELEASED)
        elif message.subject == "modify":
            local.failed = True
            local.undeliverable = True
            local.annotations = {symbol("why"): "for the test"}
            self.settle(delivery, Delivery.MODIFIED)
        elif message.subject == "settle":
            delivery.settle()
        else:
            self.settle(delivery, Delivery.ACCEPTED)


class Second(Incoming):
    """Names the outcome, and settles when the sender has settled."""

    def answer(self, message, delivery):
        delivery.update(Delivery.ACCEPTED)

    def updated(self, delivery):
        if delivery.settled:
            say("settled by the sender")
            delivery.settle()


class Late(Incoming):
    """Answers all that it has, in one go, whenever it has as many as its argument says."""

    CREDIT = 10000

    def opened(self):
        self.waiting = []
        self.link.flow(self.CREDIT)

    def answer(self, message, delivery):
        self.waiting.append(delivery)
        if len(self.waiting) == int(self.argument):
            for waiting in self.waiting:
                self.settle(waiting, Delivery.ACCEPTED)
            say("answered", len(self.waiting))
            self.waiting = []


class Values(Incoming):
    """Compares with the message of all types."""

    def answer(self, message, delivery):
        found = values.message_difference(message, values.message())
        if found:
            delivery.local.condition = Condition("test:different", found)
        self.settle(delivery, Delivery.REJECTED if found else Delivery.ACCEPTED)


class Ending(Incoming):
    """Ends something after as many messages as its argument says, which stay unanswered."""

    def answer(self, message, delivery):
        if self.count < int(self.argument):
            return
        condition = Condition("test:the-end", f"after {self.count}", {symbol("count"): self.count})
        thing = self.thing()
        thing.condition = condition
        thing.close()

    def opened(self):
        super().opened()
        if self.argument == "0":
            thing = self.thing()
            thing.condition = Condition("test:the-end", "at once")
            thing.close()


class Detach(Ending):
    def thing(self):
        return self.link


class End(Ending):
    def thing(self):
        return self.link.session


class Close(Ending):
    def thing(self):
        return self.link.connection


INCOMING = {
    "store": Store, "count": Count, "few": Few, "drain": Drain, "dispose": Dispose, "second": Second, "late": Late,
    "values": Values, "detach": Detach, "end": End, "close": Close}


class Outgoing:
    """The sending end of a link."""

    def __init__(self, server, link, kind, argument):
        self.server = server
        self.link = link
        self.sent = 0
        self.settled = kind == "settled"
        if kind == "stored":
            self.messages = [Message(inferred=True, body=body) for body in server.stored]
        elif kind == "values":
            self.messages = [values.message()]
        else:
            self.messages = [Message(body=i) for i in range(int(argument))]

    def opened(self):
        pass

    def send(self):
        while self.link.credit > 0 and self.sent < len(self.messages):
            # Proton's own tags have eight bytes and more; these are as short as they can be.
            delivery = self.link.delivery(str(self.sent))
            self.link.send(self.messages[self.sent].encode())
            self.link.advance()
            if self.settled:
                delivery.settle()
            self.sent += 1
        if self.link.drain_mode:
            self.link.drained()
            say("gave back", "sent", self.sent)

    def outcome(self, delivery):
        remote = delivery.remote
        details = ""
        if delivery.remote_state == Disposition.REJECTED and remote.condition:
            details = f"{remote.condition.name} {remote.condition.description}"
        if delivery.remote_state == Disposition.MODIFIED:
            annotations = {str(k): v for k, v in (remote.annotations or {}).items()}
            details = f"{remote.failed} {remote.undeliverable} {annotations}"
        say("outcome", delivery.tag, delivery.remote_state, details)
        delivery.settle()


class Server(MessagingHandler):
    def __init__(self, options):
        super().__init__(prefetch=0, auto_accept=False, auto_settle=False, peer_close_is_error=False)
        self.options = options
        self.stored = []

    def on_start(self, event):
        self.container = event.container
        domain = None
        if self.options.certificate:
            domain = SSLDomain(SSLDomain.MODE_SERVER)
            if domain.set_credentials(*self.options.certificate, None) != 0:
                raise RuntimeError("the certificate cannot be read")
        acceptor = event.container.listen("127.0.0.1:0", domain)
        say("port", acceptor._selectable._delegate.getsockname()[1])

    def on_connection_bound(self, event):
        if self.options.frame:
            event.transport.max_frame_size = self.options.frame
        if self.options.idle:
            event.transport.idle_timeout = self.options.idle

    def on_connection_opening(self, event):
        if self.options.open_for:
            self.container.schedule(self.options.open_for, After(event.connection.close))

    def on_session_opening(self, event):
        if self.options.window:
            event.session.incoming_capacity = self.options.window

    def on_link_opening(self, event):
        link = event.link
        terminus = link.remote_target if link.is_receiver else link.remote_source
        kind, _, argument = (terminus.address or "").partition(":")
        if kind == "unknown":
            # No terminus at this end: that is how a refusal begins.
            link.source.type = link.target.type = Terminus.UNSPECIFIED
            link.condition = Condition("amqp:not-found", f"no node {argument}")
            return
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        if link.is_receiver:
            link.end = INCOMING[kind](self, link, argument)
        else:
            link.end = Outgoing(self, link, kind, argument)

    def on_link_opened(self, event):
        end = getattr(event.link, "end", None)
        if end is None:
            event.link.close()
        else:
            end.opened()

    def on_delivery(self, event):
        # Before the base class forgets what it hands out.
        delivery, link = event.delivery, event.link
        end = getattr(link, "end", None)
        if end is None:
            return
        if link.is_sender:
            if delivery.updated and (delivery.remote_state or delivery.settled):
                end.outcome(delivery)
            return
        if delivery.aborted:
            say("aborted")
            delivery.settle()
        elif delivery.readable and not delivery.partial:
            encoded = link.recv(delivery.pending)
            link.advance()
            message = Message()
            message.decode(encoded)
            end.message(message, delivery)
        elif delivery.updated:
            end.updated(delivery)

    def on_link_flow(self, event):
        end = getattr(event.link, "end", None)
        if end is None:
            return
        if event.link.is_sender:
            end.send()
        elif event.link.draining() is False and event.link.drain_mode and event.link.credit == 0:
            end.drained()

    def on_transport_error(self, event):
        say("transport", event.transport.condition.name, event.transport.condition.description)

    def on_link_error(self, event):
        say("link", event.link.remote_condition.name)

    def on_connection_error(self, event):
        say("connection", event.connection.remote_condition.name)

    def on_connection_closing(self, event):
        say("closing")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", nargs=2)
    parser.add_argument("--frame", type=int)
    parser.add_argument("--window", type=int)
    parser.add_argument("--idle", type=float)
    parser.add_argument("--open-for", type=float)
    Container(Server(parser.parse_args())).run()
