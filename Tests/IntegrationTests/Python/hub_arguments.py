"""What produce.py and consume.py have in common: how they reach the hub."""

import argparse

from azure.eventhub import TransportType


def parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--connection-string", required=True, help="with EntityPath")
    parser.add_argument("--ca", help="PEM file with the authority to trust; TLS only")
    parser.add_argument("--endpoint", help="sb://host:port to connect to; TLS only, for the port")
    parser.add_argument("--retries", type=int, help="of the client, for each operation; its own default if absent")
    parser.add_argument("--websocket", action="store_true", help="AMQP over WebSocket")
    return parser


def client_options(arguments):
    options = {}
    if arguments.ca:
        options["connection_verify"] = arguments.ca
    if arguments.endpoint:
        options["custom_endpoint_address"] = arguments.endpoint
    if arguments.retries is not None:
        options["retry_total"] = arguments.retries
    if arguments.websocket:
        options["transport_type"] = TransportType.AmqpOverWebsocket
    return options
