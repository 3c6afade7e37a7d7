"""Prints every public name of the reference's producer side, one a line: what docs/pulsar-parity.md must have a row for.

A method's parameter is written Producer.send(name), an argument of creation create_producer(name).
"""

import inspect

import pulsar


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


for name, member in inspect.getmembers(pulsar.Producer, inspect.isfunction):
    # What send and send_async share.
    if name.startswith("__"):
        continue
    print(f"Producer.{name}")
    if not name.startswith("_"):
        for parameter in parameters(member):
            print(f"Producer.{name}({parameter})")
for name in parameters(pulsar.Client.create_producer):
    print(f"create_producer({name})")
for enumeration in (
    pulsar.CompressionType,
    pulsar.PartitionsRoutingMode,
    pulsar.BatchingType,
    pulsar.ProducerAccessMode,
    pulsar.Result,
):
    for name in enumeration.__members__:
        print(f"{enumeration.__name__}.{name}")
