"""Gets a token with the official client: proves that issuers.py is like the issuers that it plays.

Prints what came of it: {"token": ..., "expires_on": ...} or {"error": the class, "message": ...}.
"""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("kind", choices=["managed", "secret", "workload"])
parser.add_argument("--client-id")
parser.add_argument("--tenant")
parser.add_argument("--secret")
parser.add_argument("--authority")
parser.add_argument("--ca")
parser.add_argument("--token-file")
parser.add_argument("--arc-folder")
arguments = parser.parse_args()

import azure.identity
import msal.managed_identity

if arguments.arc_folder:
    msal.managed_identity._supported_arc_platforms_and_their_prefixes["linux"] = arguments.arc_folder
    from azure.identity._credentials import azure_arc

    azure_arc._get_key_file_path = lambda: arguments.arc_folder

https = {"authority": arguments.authority, "connection_verify": arguments.ca, "disable_instance_discovery": True}
if arguments.kind == "managed":
    credential = azure.identity.ManagedIdentityCredential(client_id=arguments.client_id)
elif arguments.kind == "secret":
    credential = azure.identity.ClientSecretCredential(
        arguments.tenant, arguments.client_id, arguments.secret, **https
    )
else:
    credential = azure.identity.WorkloadIdentityCredential(
        tenant_id=arguments.tenant, client_id=arguments.client_id, token_file_path=arguments.token_file, **https
    )
try:
    token = credential.get_token("https://eventhubs.azure.net/.default")
    print(json.dumps({"token": token.token, "expires_on": token.expires_on}))
except Exception as error:  # what it says is the result
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
