"""Receives events with the official client and writes each as lines of text: what its own classes say of every part.

Lines of an event: "event <partition> <sequence>", then one per part: its name, and the value as "<type> <value>", where
bytes are hexadecimal. Ends when --count events have come, or 20 seconds have passed without any; exit 1 if events are missing.
"""

import sys
import threading
import time
import uuid

import hub_arguments
from azure.eventhub import EventHubConsumerClient


def plain(value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool %s" % value
    if isinstance(value, (bytes, bytearray)):
        return "bytes %s" % bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return "uuid %s" % value
    if isinstance(value, str):
        return "str %s" % value.encode().hex()
    if isinstance(value, (list, tuple)):
        return "list [%s]" % ", ".join(plain(v) for v in value)
    if isinstance(value, dict):
        return "map {%s}" % ", ".join("%s: %s" % (plain(k), plain(v)) for k, v in value.items())
    return "%s %s" % (type(value).__name__, value)


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def describe(event):
    message = event.raw_amqp_message
    kind = event.body_type.name.lower()
    body = message.body
    parts = [("kind", kind)]
    parts.append(("body", plain(list(body)) if kind in ("data", "sequence") else plain(body)))
    parts.append(("key", plain(text(event.partition_key))))
    parts.append(("message-id", plain(event.message_id)))
    parts.append(("correlation-id", plain(event.correlation_id)))
    parts.append(("content-type", plain(text(event.content_type))))
    for key, value in sorted((text(k), v) for k, v in (event.properties or {}).items()):
        parts.append(("property " + key, plain(value)))
    if message.header is not None:
        parts.append(("priority", plain(message.header.priority)))
        parts.append(("ttl", plain(message.header.time_to_live)))
    if message.properties is not None:
        parts.append(("subject", plain(text(message.properties.subject))))
        parts.append(("group-id", plain(text(message.properties.group_id))))
        parts.append(("user-id", plain(message.properties.user_id)))
    for key, value in sorted((text(k), v) for k, v in (message.annotations or {}).items()):
        if not key.startswith("x-opt-"):
            parts.append(("annotation " + key, plain(value)))
    for key, value in sorted((text(k), v) for k, v in (message.footer or {}).items()):
        parts.append(("footer " + key, plain(value)))
    return parts


def main():
    parser = hub_arguments.parser(__doc__)
    parser.add_argument("--count", type=int, required=True)
    arguments = parser.parse_args()
    client = EventHubConsumerClient.from_connection_string(
        arguments.connection_string, consumer_group="$Default", **hub_arguments.client_options(arguments))
    lock = threading.Lock()
    received = []
    state = {"last": time.monotonic(), "error": None}

    def on_event(context, event):
        if event is None:
            return
        with lock:
            received.append((int(context.partition_id), event.sequence_number, describe(event)))
            state["last"] = time.monotonic()

    def on_error(context, error):
        with lock:
            state["error"] = repr(error)

    thread = threading.Thread(
        target=client.receive, args=(on_event,), daemon=True,
        kwargs={"on_error": on_error, "starting_position": "-1", "max_wait_time": 0.1})
    thread.start()
    while True:
        with lock:
            if len(received) >= arguments.count or time.monotonic() - state["last"] > 20:
                break
        time.sleep(0.02)
    client.close()
    thread.join(1)
    for partition, sequence, parts in sorted(received, key=lambda one: one[:2]):
        print("event %d %d" % (partition, sequence))
        for name, value in parts:
            print("%s: %s" % (name, value))
    if len(received) < arguments.count:
        print("received %d of %d events; last error: %s" % (len(received), arguments.count, state["error"]),
              file=sys.stderr)
        sys.exit(1)


main()
