"""Sends events with the official client.

The input has one JSON object per line: {"body": base64, "key": text or absent, "properties": object or absent}.
Events of one key stay in order. Prints how many were acknowledged; exit 1 if that is not all of them.
"""

import base64
import json
import sys
import threading

import hub_arguments
from azure.eventhub import EventData, EventHubProducerClient


def read_events(path):
    with open(path) as lines:
        for line in lines:
            record = json.loads(line)
            event = EventData(base64.b64decode(record["body"]))
            event.properties = record.get("properties", {})
            yield record.get("key"), event


def send_batches(client, events, partition_id):
    sent = 0
    batches = {}
    for key, event in events:
        target = {"partition_id": partition_id} if partition_id is not None else {"partition_key": key}
        batch = batches.get(key)
        if batch is None:
            batch = batches[key] = client.create_batch(**target)
        try:
            batch.add(event)
        except ValueError:
            client.send_batch(batch)
            sent += len(batch)
            batch = batches[key] = client.create_batch(**target)
            batch.add(event)
    for batch in batches.values():
        if len(batch):
            client.send_batch(batch)
            sent += len(batch)
    return sent


def send_events(client, events, partition_id):
    sent = 0
    for key, event in events:
        client.send_event(event, partition_id=partition_id, partition_key=key)
        sent += 1
    return sent


def send_buffered(arguments, options, events):
    lock = threading.Lock()
    counts = {"sent": 0}
    errors = []

    def on_success(sent, partition_id):
        with lock:
            counts["sent"] += len(sent)

    def on_error(failed, partition_id, error):
        with lock:
            errors.append(str(error))

    client = EventHubProducerClient.from_connection_string(
        arguments.connection_string, buffered_mode=True, on_success=on_success, on_error=on_error,
        max_wait_time=0.2, **options)
    with client:
        for key, event in events:
            client.send_event(event, partition_id=arguments.partition_id, partition_key=key)
        client.flush()
    for error in errors:
        print(error, file=sys.stderr)
    return counts["sent"]


def main():
    parser = hub_arguments.parser(__doc__)
    parser.add_argument("--mode", choices=["buffered", "batch", "event"], default="batch")
    parser.add_argument("--partition-id")
    parser.add_argument("--input", required=True)
    arguments = parser.parse_args()
    options = hub_arguments.client_options(arguments)
    events = list(read_events(arguments.input))
    if arguments.mode == "buffered":
        sent = send_buffered(arguments, options, events)
    else:
        client = EventHubProducerClient.from_connection_string(arguments.connection_string, **options)
        with client:
            send = send_batches if arguments.mode == "batch" else send_events
            sent = send(client, events, arguments.partition_id)
    print(json.dumps({"sent": sent}))
    sys.exit(0 if sent == len(events) else 1)


main()
