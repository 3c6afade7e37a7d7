"""Plays the issuers of tokens that no test can reach: the instance metadata service, App Service and Azure Arc over
http, Microsoft Entra ID over https. Whether it is like them is for the official client to say: see identity.py.

A run of its own is asked for by the first part of the path (for Entra that is the tenant): parts between dots, such as
run7.status-500.status-429.life-4.ahead-300. Each status is answered once, before anything else; life is that of a token
in seconds; ahead and behind are how wrong the client's clock shall look. Every request is a line in the log.
"""

import argparse
import base64
import email.utils
import json
import os
import secrets
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CLIENT = "11111111-1111-1111-1111-111111111111"
SECRET = "c4nary s3cret+/&=%"
HEADER = "c4nary-identity-header"
ASSERTION = "c4nary-assertion"
RESOURCE = "https://eventhubs.azure.net"

lock = threading.Lock()
answered = {}
counter = 0


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def mint(life, claims):
    global counter
    with lock:
        counter += 1
        number = counter
    now = int(time.time())
    claims = {"aud": RESOURCE, "iat": now, "nbf": now, "exp": now + life, "number": number, **claims}
    return ".".join([encode({"alg": "none", "typ": "JWT"}), encode(claims), "c4nary-signature"])


class Run:
    """What the first part of a path asks for."""

    def __init__(self, name):
        self.name = name
        self.life = 86400
        self.skew = 0
        self.statuses = []
        for part in name.split(".")[1:]:
            key, _, value = part.partition("-")
            if key == "status":
                self.statuses.append(int(value))
            elif key == "life":
                self.life = int(value)
            elif key == "ahead":
                self.skew = -int(value)
            elif key == "behind":
                self.skew = int(value)

    def next_status(self):
        with lock:
            number = answered.get(self.name, 0)
            answered[self.name] = number + 1
        return self.statuses[number] if number < len(self.statuses) else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + self.run.skew, usegmt=True)

    def answer(self, status, body, headers=()):
        with lock:
            self.server.log.write(json.dumps({"path": self.path, "status": status}) + "\n")
            self.server.log.flush()
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        for name, value in headers:
            self.send_header(name, value)
        if status == 200 and self.command == "GET":
            # As the metadata service does.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(data), 500):
                piece = data[start : start + 500]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def begin(self):
        parsed = urllib.parse.urlsplit(self.path)
        _, first, rest = parsed.path.split("/", 2) if parsed.path.count("/") > 1 else ("", "", parsed.path)
        self.run = Run(first)
        self.query = dict(urllib.parse.parse_qsl(parsed.query, strict_parsing=bool(parsed.query)))
        return rest

    def scripted(self):
        status = self.run.next_status()
        if status is None:
            return False
        self.answer(status, {"error": "scripted", "error_description": f"scripted status {status}"})
        return True

    # Metadata, App Service, Arc

    def do_GET(self):
        place = self.begin()
        if place.endswith(".well-known/openid-configuration"):
            base = f"https://{self.headers['Host']}/{self.run.name}"
            return self.answer(
                200,
                {
                    "issuer": f"{base}/v2.0",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                },
            )
        names = {
            "metadata/identity/oauth2/token": self.metadata,
            "msi/token": self.app_service,
            "arc/token": self.arc,
        }
        if place not in names:
            return self.answer(404, {"error": "not_found", "error_description": "no such path"})
        names[place]()

    def identity(self):
        given = {key: value for key, value in self.query.items() if key not in ("api-version", "resource")}
        if not given:
            return {"client_id": "system"}
        if given == {"client_id": CLIENT}:
            return given
        return None

    def metadata(self):
        if self.headers.get("Metadata") != "true":
            return self.answer(
                400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
            )
        if self.query.get("api-version") != "2018-02-01" or self.query.get("resource") != RESOURCE:
            return self.answer(400, {"error": "bad_request_102", "error_description": "wrong api-version or resource"})
        if self.scripted():
            return
        identity = self.identity()
        if identity is None:
            return self.answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        now = int(time.time())
        body = {
            "access_token": mint(self.run.life, identity),
            "client_id": identity["client_id"],
            "expires_in": str(self.run.life),
            "expires_on": str(now + self.run.life),
            "ext_expires_in": str(self.run.life),
            "not_before": str(now),
            "resource": RESOURCE,
            "token_type": "Bearer",
        }
        if self.run.life >= 7200:
            body["refresh_in"] = str(self.run.life // 2)
        self.answer(200, body)

    def app_service(self):
        if self.headers.get("X-IDENTITY-HEADER") != HEADER:
            return self.answer(403, {"statusCode": 403, "message": "the identity header is wrong"})
        if self.query.get("api-version") != "2019-08-01" or self.query.get("resource") != RESOURCE:
            return self.answer(400, {"statusCode": 400, "message": "wrong api-version or resource"})
        if self.scripted():
            return
        identity = self.identity()
        if identity is None:
            return self.answer(
                400, {"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found"}
            )
        self.answer(
            200,
            {
                "access_token": mint(self.run.life, identity),
                "expires_on": str(int(time.time()) + self.run.life),
                "resource": RESOURCE,
                "token_type": "Bearer",
                "client_id": identity["client_id"],
            },
        )

    def arc(self):
        if self.headers.get("Metadata") != "true":
            return self.answer(400, {"error": {"code": "400", "message": "the Metadata header is missing"}})
        if self.query.get("api-version") != "2020-06-01" or self.query.get("resource") != RESOURCE:
            return self.answer(400, {"error": {"code": "400", "message": "wrong api-version or resource"}})
        proof = self.headers.get("Authorization")
        if proof is None:
            if self.scripted():
                return
            path = os.path.join(self.server.arc_folder, secrets.token_hex(8) + ".key")
            with open(path, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            return self.answer(401, {}, [("WWW-Authenticate", f"Basic realm={path}")])
        for name in os.listdir(self.server.arc_folder):
            path = os.path.join(self.server.arc_folder, name)
            with open(path, encoding="ascii") as file:
                if proof == "Basic " + file.read():
                    break
        else:
            return self.answer(403, {"error": {"code": "403", "message": "the challenge is not met"}})
        os.remove(path)
        now = int(time.time())
        # An agent of today that confirms nothing: whoever asks for another identity must notice.
        self.answer(
            200,
            {
                "access_token": mint(self.run.life, {"client_id": "system"}),
                "expires_in": str(self.run.life),
                "expires_on": str(now + self.run.life),
                "resource": RESOURCE,
                "token_type": "Bearer",
            },
        )

    # Entra

    def refuse(self, status, error, code, text):
        trace = "Trace ID: 0d6f7b1c-0000 Correlation ID: 6c2d-0000 Timestamp: " + time.strftime("%Y-%m-%d %H:%M:%SZ")
        self.answer(
            status,
            {
                "error": error,
                "error_description": f"AADSTS{code}: {text}\r\n{trace}",
                "error_codes": [code],
                "error_uri": f"https://login.microsoftonline.com/error?code={code}",
            },
        )

    def do_POST(self):
        place = self.begin()
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if place != "oauth2/v2.0/token":
            return self.answer(404, {"error": "not_found", "error_description": "no such path"})
        if self.run.name.startswith("nosuch"):
            return self.refuse(400, "invalid_request", 90002, f"Tenant '{self.run.name}' not found.")
        if self.headers.get("Content-Type", "").split(";")[0] != "application/x-www-form-urlencoded":
            return self.refuse(400, "invalid_request", 900144, "The request body must be form-encoded.")
        if self.scripted():
            return
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        if form.get("grant_type") != "client_credentials":
            return self.refuse(400, "invalid_request", 900144, "The request body must contain 'grant_type'.")
        if f"{RESOURCE}/.default" not in form.get("scope", "").split():
            return self.refuse(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        if form.get("client_id") != CLIENT:
            return self.refuse(
                400, "unauthorized_client", 700016, f"Application with identifier '{form.get('client_id')}' not found."
            )
        if "client_assertion" in form:
            if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
                return self.refuse(400, "invalid_request", 900144, "client_assertion_type is wrong.")
            if not form["client_assertion"].startswith(ASSERTION):
                return self.refuse(
                    401, "invalid_client", 700213, "No matching federated identity record found for presented assertion."
                )
        elif self.run.name.startswith("expired"):
            return self.refuse(401, "invalid_client", 7000222, "The provided client secret keys are expired.")
        elif form.get("client_secret") != SECRET:
            return self.refuse(401, "invalid_client", 7000215, "Invalid client secret provided.")
        self.answer(
            200,
            {
                "token_type": "Bearer",
                "expires_in": self.run.life,
                "ext_expires_in": self.run.life,
                "access_token": mint(self.run.life, {"appid": CLIENT}),
            },
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--arc-folder", required=True)
    parser.add_argument("--log", required=True)
    arguments = parser.parse_args()
    log = open(arguments.log, "a", encoding="utf-8")
    servers = []
    for secure in (False, True):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.log = log
        server.arc_folder = arguments.arc_folder
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(arguments.certificate, arguments.key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    print(json.dumps({"http": servers[0].server_port, "https": servers[1].server_port}), flush=True)
    threading.Event().wait()


main()
