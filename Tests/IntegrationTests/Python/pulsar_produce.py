"""Sends messages with the official client, for comparison with what ours sends.

The input has one JSON object per line: {"payload" (base64) or "is_null", "key", "ordering_key", "properties",
"event_time"}; all but the payload may be absent.
"""

import argparse
import base64
import json
import sys

import pulsar

COMPRESSIONS = {
    "none": pulsar.CompressionType.NONE, "lz4": pulsar.CompressionType.LZ4, "zlib": pulsar.CompressionType.ZLib,
    "zstd": pulsar.CompressionType.ZSTD, "snappy": pulsar.CompressionType.SNAPPY,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--batching", action="store_true")
    parser.add_argument("--compression", choices=COMPRESSIONS, default="none")
    arguments = parser.parse_args()
    client = pulsar.Client(arguments.service_url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    producer = client.create_producer(
        arguments.topic, batching_enabled=arguments.batching, compression_type=COMPRESSIONS[arguments.compression],
        block_if_queue_full=True)
    failures = []

    def on_receipt(result, message_id):
        if result != pulsar.Result.Ok:
            failures.append(str(result))

    with open(arguments.input) as lines:
        for line in lines:
            message = json.loads(line)
            content = None if message.get("is_null") else base64.b64decode(message["payload"])
            producer.send_async(
                content, on_receipt, partition_key=message.get("key"), ordering_key=message.get("ordering_key"),
                properties=message.get("properties"), event_timestamp=message.get("event_time"))
    producer.flush()
    client.close()
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


main()
