"""Receives events with the official client and writes one JSON object per line.

Each line: {"partition", "sequence", "offset", "key", "time" (milliseconds), "body" (base64), "properties"}.
Ends when --count events have come, or --timeout seconds have passed without any; exit 1 if events are missing.
"""

import base64
import json
import sys
import threading
import time

import hub_arguments
from azure.eventhub import EventHubConsumerClient, LoadBalancingStrategy


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def main():
    parser = hub_arguments.parser(__doc__)
    parser.add_argument("--group", default="$Default")
    parser.add_argument("--partition", help="only this one")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--sequence", type=int, help="begin behind this sequence number")
    parser.add_argument("--position", default="-1", help="begin behind this offset; @latest")
    parser.add_argument("--owner-level", type=int)
    parser.add_argument("--output", default="-")
    parser.add_argument("--describe", action="store_true", help="first a line with the hub's and partitions' properties")
    arguments = parser.parse_args()
    output = sys.stdout if arguments.output == "-" else open(arguments.output, "w", buffering=1 << 20)
    client = EventHubConsumerClient.from_connection_string(
        arguments.connection_string, consumer_group=arguments.group,
        load_balancing_strategy=LoadBalancingStrategy.GREEDY, **hub_arguments.client_options(arguments))
    if arguments.describe:
        hub = client.get_eventhub_properties()
        partitions = [client.get_partition_properties(id) for id in hub["partition_ids"]]
        json.dump({"hub": hub, "partitions": partitions}, output, default=str)
        output.write("\n")

    lock = threading.Lock()
    state = {"count": 0, "last": time.monotonic(), "error": None}

    def on_event_batch(context, events):
        lines = []
        for event in events:
            lines.append(json.dumps({
                "partition": context.partition_id,
                "sequence": event.sequence_number,
                "offset": event.offset,
                "key": text(event.partition_key),
                "time": int(event.enqueued_time.timestamp() * 1000),
                "body": base64.b64encode(b"".join(event.body)).decode(),
                "properties": {text(k): text(v) for k, v in (event.properties or {}).items()},
            }))
        with lock:
            if lines:
                output.write("\n".join(lines) + "\n")
                state["count"] += len(lines)
                state["last"] = time.monotonic()

    def on_error(context, error):
        with lock:
            state["error"] = str(error)

    position = arguments.position if arguments.sequence is None else arguments.sequence
    options = {"starting_position": position, "max_wait_time": 0.1, "max_batch_size": 5000, "prefetch": 20000}
    if arguments.partition is not None:
        options["partition_id"] = arguments.partition
    if arguments.owner_level is not None:
        options["owner_level"] = arguments.owner_level
    thread = threading.Thread(
        target=client.receive_batch, args=(on_event_batch,), kwargs=dict(on_error=on_error, **options), daemon=True)
    thread.start()
    while True:
        with lock:
            if state["count"] >= arguments.count or time.monotonic() - state["last"] > arguments.timeout:
                break
        time.sleep(0.02)
    client.close()
    thread.join(1)
    output.flush()
    if state["count"] < arguments.count:
        print("received %d of %d events; last error: %s" % (state["count"], arguments.count, state["error"]),
              file=sys.stderr)
        sys.exit(1)


main()
