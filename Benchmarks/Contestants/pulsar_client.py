"""The official client: its C++ core through its Python binding, sending many messages in batches.

pulsar_client.py SERVICE_URL TOPIC EVENTS SIZE [BATCH_MESSAGES BATCH_BYTES PENDING]

Prints "events=N seconds=S processor=S" for the time from the first message to the last receipt, without the connecting.
"""

import os
import sys
import time

import pulsar

url, topic, count, size = sys.argv[1:5]
count, size = int(count), int(size)
messages, octets, pending = (int(word) for word in sys.argv[5:8]) if len(sys.argv) > 5 else (5000, 256 << 10, 100_000)
body = bytes(ord("a") + i % 26 for i in range(size))
received = 0
failed = None


def processor():
    times = os.times()
    return times.user + times.system


def on_receipt(result, message_id):
    global received, failed
    if result == pulsar.Result.Ok:
        received += 1
    else:
        failed = result


client = pulsar.Client(url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
producer = client.create_producer(
    topic, batching_enabled=True, batching_max_messages=messages, batching_max_allowed_size_in_bytes=octets,
    batching_max_publish_delay_ms=10, block_if_queue_full=True, max_pending_messages=pending,
    max_pending_messages_across_partitions=pending)
producer.send(body)  # connects, and is one more than EVENTS
begin = time.perf_counter(), processor()
send = producer.send_async
for _ in range(count):
    send(body, on_receipt)
producer.flush()
while received < count and failed is None:
    time.sleep(0.001)
print(f"events={received} seconds={time.perf_counter() - begin[0]:.6f} processor={processor() - begin[1]:.6f}")
if failed is not None:
    print(failed, file=sys.stderr)
client.close()
sys.exit(0 if received == count else 1)
