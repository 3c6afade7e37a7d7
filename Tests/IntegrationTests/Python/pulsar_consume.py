"""Reads all messages of a topic with the official client and writes one JSON object per line.

Each line: {"partition", "ledger", "entry", "batch_index", "producer", "key", "ordering_key", "properties",
"event_time" (milliseconds), "publish_time" (milliseconds), "is_null", "payload" (base64)}; in the order of each
partition. Ends when the broker has no more; with --count, when nothing comes after as many. Sequence ids are not among it: this client does not show them.
With --private-key, what is encrypted is decrypted; else it is given as it is.
"""

import argparse
import base64
import json

import pulsar


def write(output, message):
    place = message.message_id()
    output.write(json.dumps({
        "partition": place.partition(),
        "ledger": place.ledger_id(),
        "entry": place.entry_id(),
        "batch_index": place.batch_index(),
        "producer": message.producer_name(),
        "key": message.partition_key(),
        "ordering_key": message.ordering_key(),
        "properties": message.properties(),
        "event_time": message.event_timestamp(),
        "publish_time": message.publish_timestamp(),
        "is_null": message.has_null_value(),
        "payload": base64.b64encode(message.data()).decode(),
    }))
    output.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--count", type=int, help="of a topic with partitions: as many as there must be")
    parser.add_argument("--private-key", help="PEM file")
    arguments = parser.parse_args()
    if arguments.private_key:
        keys = {"crypto_key_reader": pulsar.CryptoKeyReader("", arguments.private_key)}
    else:
        keys = {"crypto_failure_action": pulsar.ConsumerCryptoFailureAction.CONSUME}
    client = pulsar.Client(arguments.service_url, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    with open(arguments.output, "w", buffering=1 << 20) as output:
        if arguments.count is None:
            reader = client.create_reader(
                arguments.topic, pulsar.MessageId.earliest, receiver_queue_size=5000, **keys)
            while reader.has_message_available():
                write(output, reader.read_next())
        else:
            # This client's reader of several partitions waits for ever at times, tells a message twice, or aborts.
            consumer = client.subscribe(
                arguments.topic, "all", initial_position=pulsar.InitialPosition.Earliest, receiver_queue_size=5000,
                **keys)
            for _ in range(arguments.count):
                write(output, consumer.receive())
            try:
                while True:
                    write(output, consumer.receive(500))
            except pulsar.Timeout:
                pass
    client.close()


main()
