"""Becomes the broker of the pulsar-lite package: the same process, so that what kills this kills it.

pulsar_broker.py ARGUMENTS-OF-PULSAR-LITE
"""

import os
import sys

import pulsar_lite

program = os.path.join(os.path.dirname(pulsar_lite.__file__), "bin", "pulsar-lite")
os.execv(program, [program] + sys.argv[1:])
