"""Kills the agent with SIGKILL at random moments and says where each duplicate comes from.

    .build/venv/bin/python Tests/IntegrationTests/Python/duplicates.py .build/release/tailrace [KILLS]

With one partition the ledger's floor is the number of acknowledged records, so what the hub has stored beyond it when the
agent is dead are the batches in flight at that kill. Exit 1 when the numbers of both differ, as they would also when a
line is lost, or when a recovery of the spool has skipped ids (the agent's log says so).
"""

import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

from azure.eventhub import EventHubConsumerClient

SLOT = 64 << 10


def ledger_floor(state):
    """The floor in the newest slot of the one ledger below `state` (Sources/TailraceSpool/LedgerFormat.swift)."""
    newest = (0, 0)
    for root, _, names in os.walk(state):
        for name in names:
            if name.endswith(".ledger"):
                data = open(os.path.join(root, name), "rb").read()
                slots = [data[i:i + SLOT] for i in range(0, len(data), SLOT)]
                newest = max([newest] + [struct.unpack("<QQ", s[24:40]) for s in slots if s[:8] == b"TRLEDGER"])
    return newest[1]


class Writer(threading.Thread):
    def __init__(self, path):
        super().__init__()
        self.path, self.lines, self.ends = path, 0, False

    def run(self):
        with open(self.path, "w") as log:
            while not self.ends:
                log.write("".join(f"line {self.lines + i} {'x' * 180}\n" for i in range(2000)))
                log.flush()
                self.lines += 2000
                time.sleep(0.02)


def main():
    tailrace, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(f"{directory}/logs")
        hub = subprocess.Popen(
            [tailrace, "hub", "--listen", "127.0.0.1:0", "--hub", "h", "--partitions", "1", "--plain",
             "--store", f"{directory}/store"], stdout=subprocess.PIPE, text=True)
        try:
            connection = next(line[line.index("Endpoint="):].strip() for line in hub.stdout if "Endpoint=" in line)
            with open(f"{directory}/tailrace.toml", "w") as file:
                file.write(
                    f'[agent]\nstate_directory = "{directory}/state"\n'
                    f'[input.app]\ntype = "file"\ninclude = ["{directory}/logs/*.log"]\n'
                    f'[output.hub]\ntype = "eventhubs"\nconnection_string = "{connection}"\n')
            if "UseDevelopmentEmulator" not in connection:
                connection += ";UseDevelopmentEmulator=true"
            client = EventHubConsumerClient.from_connection_string(connection, "$Default")

            def stored():
                return client.get_partition_properties("0")["last_enqueued_sequence_number"] + 1

            def start():
                return subprocess.Popen(
                    [tailrace, "run", "--config", f"{directory}/tailrace.toml"], stderr=subprocess.DEVNULL)

            writer = Writer(f"{directory}/logs/app.log")
            writer.start()
            in_flight = 0
            for number in range(kills):
                agent = start()
                time.sleep(random.uniform(0.5, 1.5))
                agent.kill()
                agent.wait()
                time.sleep(0.3)
                at_kill = stored() - in_flight - ledger_floor(f"{directory}/state")
                in_flight += at_kill
                print(f"kill {number + 1}: {at_kill} records in flight had been stored", flush=True)
            writer.ends = True
            writer.join()
            agent = start()
            deadline = time.monotonic() + 60
            while ledger_floor(f"{directory}/state") < writer.lines and time.monotonic() < deadline:
                time.sleep(0.1)
            duplicates = stored() - writer.lines
            agent.terminate()
            agent.wait()
            print(f"{writer.lines} lines, {kills} kills: {duplicates} duplicates, {in_flight} in flight at the kills")
            return 0 if duplicates == in_flight else 1
        finally:
            hub.terminate()
            hub.wait()


if __name__ == "__main__":
    sys.exit(main())
