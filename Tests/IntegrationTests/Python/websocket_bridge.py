"""A WebSocket server that we did not write, in front of a TCP server: carries AMQP both ways.

Prints the port that it listens on. Each WebSocket message goes on as bytes; bytes come back as messages in fragments of
random size with pings in between, so that the client meets everything that the protocol allows.
"""

import argparse
import asyncio
import http
import random
import ssl

import websockets.asyncio.server as websockets

PATH = "/$servicebus/websocket"


def pieces(data):
    """At least two, so that the message is fragmented."""
    cut = random.randint(0, len(data))
    return [data[:cut], data[cut:]]


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, help="host:port")
    parser.add_argument("--certificate", help="PEM; with --key: TLS")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    host, port = arguments.to.rsplit(":", 1)

    async def bridge(socket):
        reader, writer = await asyncio.open_connection(host, int(port))

        async def outward():
            async for message in socket:
                assert isinstance(message, bytes), "AMQP is carried in binary messages"
                writer.write(message)
                await writer.drain()
            writer.close()

        async def inward():
            while data := await reader.read(random.randint(1, 65536)):
                await socket.send(pieces(data))
                await socket.ping()
            await socket.close()

        await asyncio.gather(outward(), inward(), return_exceptions=True)
        writer.close()

    def check(connection, request):
        if request.path != PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such path\n")

    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
    server = await websockets.serve(
        bridge, "127.0.0.1", 0, ssl=context, subprotocols=["AMQPWSB10"], process_request=check, max_size=None)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
