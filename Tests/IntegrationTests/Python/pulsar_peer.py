"""The official client against our broker: sends in each way it has, and reads back what it sent.

pulsar_peer.py round-trips --service-url URL [--ca FILE] [--token TEXT] [--basic USER:PASSWORD]
pulsar_peer.py numbered --service-url URL --topic TOPIC --count N

`numbered` sends the numbers from 1, with themselves as sequence ids, in batches, and never gives up; every receipt is a
line of output.
"""

import argparse
import sys

import pulsar


class Number(pulsar.schema.Record):
    n = pulsar.schema.Integer()


def client(arguments):
    options = {"logger": pulsar.ConsoleLogger(pulsar.LoggerLevel.Error), "operation_timeout_seconds": 60}
    if arguments.ca:
        options["tls_trust_certs_file_path"] = arguments.ca
        options["tls_validate_hostname"] = True
    if arguments.token:
        options["authentication"] = pulsar.AuthenticationToken(arguments.token)
    if arguments.basic:
        options["authentication"] = pulsar.AuthenticationBasic(*arguments.basic.split(":", 1))
    return pulsar.Client(arguments.service_url, **options)


def round_trip(client, topic, count=30, **options):
    bodies = [b"message %d" % i for i in range(count)]
    producer = client.create_producer(topic, **options)
    failures = []

    def on_receipt(result, _):
        if result != pulsar.Result.Ok:
            failures.append(result)

    for i, body in enumerate(bodies):
        producer.send_async(body, on_receipt, partition_key="key-%d" % (i % 4), properties={"number": str(i)})
    producer.flush()
    producer.close()
    assert not failures, (topic, failures)
    consumer = client.subscribe(topic, "all", initial_position=pulsar.InitialPosition.Earliest)
    messages = []
    while len(messages) < count:
        message = consumer.receive()
        consumer.acknowledge(message)
        messages.append(message)
    consumer.close()
    assert sorted(m.data() for m in messages) == sorted(bodies), topic
    for message in messages:
        i = int(message.properties()["number"])
        assert message.data() == bodies[i] and message.partition_key() == "key-%d" % (i % 4), topic


def round_trips(arguments):
    connection = client(arguments)
    round_trip(connection, "one-by-one")
    round_trip(connection, "batches", batching_enabled=True, batching_max_messages=7)
    for compression in ("LZ4", "ZLib", "ZSTD", "SNAPPY"):
        round_trip(
            connection, compression, batching_enabled=True,
            compression_type=getattr(pulsar.CompressionType, compression))
    round_trip(connection, "by-key", batching_enabled=True, batching_type=pulsar.BatchingType.KeyBased)
    round_trip(connection, "partitioned", batching_enabled=True)

    big = bytes(range(256)) * 50_000
    producer = connection.create_producer("chunks", chunking_enabled=True)
    producer.send(big)
    producer.close()
    reader = connection.create_reader("chunks", pulsar.MessageId.earliest)
    assert reader.read_next().data() == big
    assert not reader.has_message_available()

    def stored(message_id):
        return message_id.ledger_id() != -1

    producer = connection.create_producer("numbers", producer_name="numberer")
    assert producer.last_sequence_id() == -1
    assert stored(producer.send(b"five", sequence_id=5))
    try:
        connection.create_producer("numbers", producer_name="numberer")
        raise AssertionError("two producers of one name")
    except pulsar.ProducerBusy:
        pass
    producer.close()
    producer = connection.create_producer("numbers", producer_name="numberer")
    assert producer.last_sequence_id() == 5
    assert not stored(producer.send(b"four", sequence_id=4))
    assert stored(producer.send(b"six", sequence_id=6))
    producer.close()

    schema = pulsar.schema.StringSchema()
    producer = connection.create_producer("texts", schema=schema)
    producer.send("text")
    producer.close()
    try:
        connection.create_producer("texts", schema=pulsar.schema.JsonSchema(Number))
        raise AssertionError("two schemas of different types")
    except pulsar.IncompatibleSchema:
        pass
    message = connection.create_reader("texts", pulsar.MessageId.earliest, schema=schema).read_next()
    assert message.value() == "text" and message.schema_version() == "\0" * 8, repr(message.schema_version())

    exclusive = pulsar.ProducerAccessMode.Exclusive
    producer = connection.create_producer("own", access_mode=exclusive)
    try:
        connection.create_producer("own", access_mode=exclusive)
        raise AssertionError("two owners of one topic")
    except pulsar.ProducerFenced:
        pass
    connection.close()


def numbered(arguments):
    connection = client(arguments)
    producer = connection.create_producer(
        arguments.topic, producer_name="numbered", send_timeout_millis=0, batching_enabled=True,
        batching_max_messages=10, block_if_queue_full=True, max_pending_messages=200)
    failures = []

    def receipt_of(number):
        def on_receipt(result, _):
            if result == pulsar.Result.Ok:
                print(number, flush=True)
            else:
                failures.append((number, result))
        return on_receipt

    for number in range(1, arguments.count + 1):
        producer.send_async(str(number).encode(), receipt_of(number), sequence_id=number)
    producer.flush()
    connection.close()
    assert not failures, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("round-trips", "numbered"))
    parser.add_argument("--service-url", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--token")
    parser.add_argument("--basic")
    parser.add_argument("--topic")
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    round_trips(arguments) if arguments.what == "round-trips" else numbered(arguments)
    sys.stdout.flush()


main()
