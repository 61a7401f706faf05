#!/usr/bin/env python3
"""An agent: asks badged for a token and a proof, and calls a resource. Standard library only.

usage: agent.py AUDIENCE URL [SOCKET]
"""
import http.client
import json
import os
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request


class Badged(http.client.HTTPConnection):
    """HTTP over badged's Unix socket. The kernel tells badged who we are: there is no password."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def post(self, target, body, content_type):
        self.request("POST", target, body, {"Content-Type": content_type})
        response = self.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"badged says {answer.get('error')}: {answer.get('error_description')}. {answer.get('hint', '')}")
        return answer


def main(audience, url, path="/run/badged/agent.sock"):
    badged = Badged(os.environ.get("BADGED_SOCKET", path))
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "audience": audience})
    token = badged.post("/v1/token", form, "application/x-www-form-urlencoded")
    print(f"agent {os.getpid()} (uid {os.getuid()}): a {token['token_type']} token for {audience}, "
          f"good for {token['expires_in']} s, scope {token.get('scope', '-')}")

    # The proof is for this method and this URL, now. The key that signs it never leaves badged.
    proof = badged.post("/v1/proof", json.dumps({"method": "GET", "url": url,
                                                 "access_token": token["access_token"]}), "application/json")
    request = urllib.request.Request(url, headers={"Authorization": f"DPoP {token['access_token']}",
                                                   "DPoP": proof["dpop"]})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            print(f"agent {os.getpid()}: the resource answers {response.status} {response.read().decode()}")
    except urllib.error.HTTPError as error:
        sys.exit(f"the resource refuses: {error.code} {error.headers.get('WWW-Authenticate')}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
