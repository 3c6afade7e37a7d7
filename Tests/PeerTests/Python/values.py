"""One message with every type of AMQP 1.0, as Qpid Proton builds it; AllTypes.swift builds the same."""

import uuid

from proton import (
    UNDESCRIBED, Array, Data, Described, Message, byte, char, decimal32, decimal64, decimal128, float32, int32, short,
    symbol, timestamp, ubyte, uint, ulong, ushort)

# Proton's name for AMQP's long is Python's int.
long = int

# By the name that each has as an application property.
SIMPLE = {
    "null": None,
    "true": True,
    "false": False,
    "ubyte": ubyte(255),
    "ushort": ushort(65535),
    "uint0": uint(0),
    "uint-small": uint(255),
    "uint": uint(2**32 - 1),
    "ulong0": ulong(0),
    "ulong-small": ulong(255),
    "ulong": ulong(2**64 - 1),
    "byte": byte(-128),
    "short": short(-32768),
    "int-small": int32(-128),
    "int": int32(-(2**31)),
    "long-small": long(127),
    "long": long(-(2**63)),
    "float": float32(0.5),
    "double": 1e300,
    "char": char("\U0001f986"),
    "timestamp": timestamp(-62135596800000),
    "uuid": uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
    "binary": bytes(range(256)),
    "binary-empty": b"",
    "string": "ünïcödé \U0001f986",
    "string-long": "x" * 300,
    "symbol": symbol("a-symbol"),
}

BODY = list(SIMPLE.values()) + [
    decimal32(0x12345678),
    decimal64(0x123456789ABCDEF0),
    decimal128(bytes(range(16))),
    [],
    [int32(1), ["nested", [None]]],
    {symbol("key"): "value", "list": [ubyte(1)], long(5): {}},
    Array(UNDESCRIBED, Data.INT, int32(-1), int32(100000)),
    Array(UNDESCRIBED, Data.STRING, "a", "b" * 300),
    Array(UNDESCRIBED, Data.SYMBOL, symbol("one")),
    Described(symbol("a:descriptor"), "described"),
    Described(ulong(2**40), [int32(1)]),
]


def message():
    properties = dict(SIMPLE)
    for i in range(300):
        properties[f"property-{i}"] = int32(i)
    message = Message(body=BODY, properties=properties)
    message.id = ulong(7)
    message.correlation_id = "correlation"
    message.user_id = b"user"
    message.address = "to"
    message.subject = "subject"
    message.reply_to = "reply-to"
    message.content_type = symbol("text/plain")
    message.content_encoding = symbol("identity")
    message.expiry_time = 1000.5
    message.creation_time = 999.25
    message.group_id = "group"
    message.group_sequence = 4000000000
    message.reply_to_group_id = "reply-group"
    message.durable = True
    message.priority = 9
    message.ttl = 60.5
    message.annotations = {symbol("x-opt-annotation"): long(1), symbol("x-opt-text"): "text"}
    message.instructions = {symbol("instruction"): True}
    return message


def difference(a, b, path="body"):
    """Where the two differ in type or value; None: nowhere."""
    if type(a) is not type(b):
        return f"{path}: {type(a).__name__} {a!r} instead of {type(b).__name__} {b!r}"
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return f"{path}: {len(a)} elements instead of {len(b)}"
        found = (difference(x, y, f"{path}[{i}]") for i, (x, y) in enumerate(zip(a, b)))
        return next((d for d in found if d), None)
    if isinstance(a, dict):
        if list(a.keys()) != list(b.keys()) or [type(k) for k in a] != [type(k) for k in b]:
            return f"{path}: keys {list(a)[:5]}... instead of {list(b)[:5]}..."
        found = (difference(a[k], b[k], f"{path}[{k!r}]") for k in a)
        return next((d for d in found if d), None)
    if isinstance(a, Array):
        if a.type != b.type:
            return f"{path}: array of {a.type} instead of {b.type}"
        return difference(list(a.elements), list(b.elements), path)
    if isinstance(a, Described):
        return difference([a.descriptor, a.value], [b.descriptor, b.value], path)
    return None if a == b else f"{path}: {a!r} instead of {b!r}"


FIELDS = (
    "id correlation_id user_id address subject reply_to content_type content_encoding expiry_time creation_time group_id"
    " group_sequence reply_to_group_id durable priority ttl first_acquirer delivery_count").split()


def message_difference(got, wanted):
    for field in FIELDS:
        found = difference(getattr(got, field), getattr(wanted, field), field)
        if found:
            return found
    for section in ("annotations", "instructions", "properties"):
        found = difference(dict(getattr(got, section) or {}), dict(getattr(wanted, section) or {}), section)
        if found:
            return found
    return difference(got.body, wanted.body)
