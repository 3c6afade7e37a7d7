"""Prints every public name of the reference's producer side, one a line: what docs/eventhubs-parity.md must have a row for.

A constructor's parameter is written Class(name), a method's Class.method(name). What a factory takes and the constructor
takes too is told once.
"""

import inspect
import re

from azure.eventhub import EventData, EventDataBatch, EventHubConnectionStringProperties, EventHubProducerClient
from azure.eventhub import EventHubSharedKeyCredential, TransportType, exceptions
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageHeader, AmqpMessageProperties

# Of consumers, or of dictionaries and enumerations.
NOT_OURS = {"OwnershipLostError", "has_key", "items", "keys", "update", "values", "get", "name", "value"}
# One parameter that is all there is to the method.
PLAIN = {"add", "body_as_str", "body_as_json", "from_bytes", "from_message_content", "get_token"}


def parameters(function):
    """Those of the signature, and those that only the documentation names."""
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    return list(dict.fromkeys(names + re.findall(r":keyword[^:]*?(\w+):", inspect.getdoc(function) or "")))


def names(cls):
    constructor = []
    if not issubclass(cls, EventHubConnectionStringProperties) and cls is not TransportType:
        constructor = parameters(cls.__init__) + re.findall(r":keyword[^:]*?(\w+):", inspect.getdoc(cls) or "")
    for name in dict.fromkeys(constructor):
        yield f"{cls.__name__}({name})"
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or name in NOT_OURS:
            continue
        yield f"{cls.__name__}.{name}"
        if callable(member) and name not in PLAIN and cls is not TransportType:
            for parameter in parameters(member):
                if parameter not in constructor or name != "from_connection_string":
                    yield f"{cls.__name__}.{name}({parameter})"


for cls in (
    EventHubProducerClient,
    EventDataBatch,
    EventData,
    AmqpAnnotatedMessage,
    AmqpMessageHeader,
    AmqpMessageProperties,
    EventHubConnectionStringProperties,
    EventHubSharedKeyCredential,
    TransportType,
):
    print("\n".join(names(cls)))
for name, value in inspect.getmembers(exceptions, inspect.isclass):
    if issubclass(value, Exception) and name not in NOT_OURS:
        print(name)
