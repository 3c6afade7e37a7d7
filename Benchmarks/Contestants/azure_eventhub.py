"""The official client, in one of its two ways of sending many events.

azure_eventhub.py buffered|batch CONNECTION_STRING CA ENDPOINT EVENTS SIZE

Prints "events=N seconds=S processor=S" for the time from the first event to the last answer, without the connecting.
"""

import os
import sys
import threading
import time

from azure.eventhub import EventData, EventHubProducerClient

mode, connection_string, ca, endpoint, count, size = sys.argv[1:]
count, size = int(count), int(size)
body = bytes(ord("a") + i % 26 for i in range(size))
options = {"connection_verify": ca, "custom_endpoint_address": endpoint}


def processor():
    times = os.times()
    return times.user + times.system


def report(sent, begin):
    print(f"events={sent} seconds={time.perf_counter() - begin[0]:.6f} processor={processor() - begin[1]:.6f}")
    sys.exit(0 if sent == count else 1)


def batches():
    client = EventHubProducerClient.from_connection_string(connection_string, **options)
    with client:
        batch = client.create_batch()  # connects
        begin = time.perf_counter(), processor()
        sent = 0
        for _ in range(count):
            event = EventData(body)
            try:
                batch.add(event)
            except ValueError:
                client.send_batch(batch)
                sent += len(batch)
                batch = client.create_batch()
                batch.add(event)
        if len(batch):
            client.send_batch(batch)
            sent += len(batch)
        report(sent, begin)


def buffered():
    lock = threading.Lock()
    sent = 0

    def on_success(events, partition_id):
        nonlocal sent
        with lock:
            sent += len(events)

    def on_error(events, partition_id, error):
        print(error, file=sys.stderr)

    client = EventHubProducerClient.from_connection_string(
        connection_string, buffered_mode=True, on_success=on_success, on_error=on_error, **options)
    with client:
        # Connects to every partition.
        for partition in client.get_partition_ids():
            client.send_event(EventData(body), partition_id=partition)
        client.flush()
        warm = sent
        begin = time.perf_counter(), processor()
        for _ in range(count):
            client.send_event(EventData(body))
        client.flush()
        report(sent - warm, begin)


{"batch": batches, "buffered": buffered}[mode]()
