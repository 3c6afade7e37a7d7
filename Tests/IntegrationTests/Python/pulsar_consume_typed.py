"""Reads topics with the official client, each with a schema, and prints what it makes of each message.

pulsar_consume_typed.py --service-url URL KIND=TOPIC...

Each line: the kind, and the value as JSON.
"""

import argparse
import json
import struct

import _pulsar
import pulsar
from pulsar.schema import AvroSchema, BytesSchema, Double, JsonSchema, Record, Schema, String, StringSchema


class Reading(Record):
    name = String()
    t = Double()


class Plain(Schema):
    """A value of fixed size, which this client has no schema class for."""

    def __init__(self, name, form):
        # BOOLEAN is a type that this client does not know.
        kind = getattr(_pulsar.SchemaType, name, _pulsar.SchemaType.BYTES)
        super().__init__(object, kind, None, name)
        self.form = form

    def encode(self, value):
        return struct.pack(self.form, value)

    def decode(self, data):
        return struct.unpack(self.form, data)[0]


SCHEMAS = {
    "bytes": BytesSchema,
    "string": StringSchema,
    "json": lambda: JsonSchema(Reading),
    "avro": lambda: AvroSchema(Reading),
    "boolean": lambda: Plain("BOOLEAN", ">?"),
    "int8": lambda: Plain("INT8", ">b"),
    "int16": lambda: Plain("INT16", ">h"),
    "int32": lambda: Plain("INT32", ">i"),
    "int64": lambda: Plain("INT64", ">q"),
    "float": lambda: Plain("FLOAT", ">f"),
    "double": lambda: Plain("DOUBLE", ">d"),
}


def plain(value):
    if isinstance(value, Record):
        return {"name": value.name, "t": value.t}
    return value.decode() if isinstance(value, bytes) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-url", required=True)
    parser.add_argument("topics", nargs="+")
    arguments = parser.parse_args()
    # For Avro it asks for the schema that a message was written with, which the broker does not answer; then it takes its own.
    client = pulsar.Client(
        arguments.service_url, operation_timeout_seconds=2, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    for item in arguments.topics:
        kind, topic = item.split("=", 1)
        reader = client.create_reader(topic, pulsar.MessageId.earliest, schema=SCHEMAS[kind]())
        while reader.has_message_available():
            print(kind, json.dumps(plain(reader.read_next().value())))
        reader.close()
    client.close()


main()
