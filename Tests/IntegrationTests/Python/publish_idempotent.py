"""Publishes with the idempotent producer of azure-eventhub 5.4.0b1, the only Python version that has one.

One line per batch: "A 5 6" (client, first number, last number), or "A error CONDITION".
"""

import argparse

from azure.eventhub import EventData, EventHubProducerClient, PartitionPublishingConfiguration
from azure.eventhub.exceptions import EventHubError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--connection-string", required=True, help="with EntityPath, without port")
parser.add_argument("--ca", required=True)
parser.add_argument("--port", type=int, required=True)
arguments = parser.parse_args()


def client(owner_level, starting_sequence_number):
    configuration = PartitionPublishingConfiguration(
        producer_group_id=77, owner_level=owner_level, starting_sequence_number=starting_sequence_number)
    made = EventHubProducerClient.from_connection_string(
        arguments.connection_string, enable_idempotent_partitions=True, partition_config={"0": configuration},
        connection_verify=arguments.ca, retry_total=0)
    # A custom endpoint with a port would mean WebSocket here.
    made._config.connection_port = arguments.port
    return made


def send(name, producer, texts):
    try:
        batch = producer.create_batch(partition_id="0")
        for text in texts:
            batch.add(EventData(text))
        producer.send_batch(batch)
        properties = producer.get_partition_publishing_properties("0")
        assert properties["producer_group_id"] == 77
        print(name, batch.starting_published_sequence_number, properties["last_published_sequence_number"], flush=True)
    except EventHubError as error:
        print(name, "error", error.error, flush=True)


a = client(1, 5)
send("A", a, ["a", "b"])
send("A", a, ["c"])
b = client(2, 100)
send("B", b, ["d", "e"])
send("A", a, ["never"])
send("B", b, ["f"])
a.close()
b.close()
