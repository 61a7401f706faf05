"""Asks for new tokens until its standard input ends; writes `jti,index,iat,exp` of each that it
received.

load_process.py SOCKET FILE: lives through restarts of badged, reconnecting by itself. A line of
FILE is written only after the whole answer was read.
"""
import os
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def told_to_end(wait):
    return bool(select.select([sys.stdin], [], [], wait)[0])


def main():
    with open(sys.argv[2], "a", buffering=1) as received:
        connection = harness.UnixConnection(sys.argv[1])
        while not told_to_end(0):
            try:
                status, _, body = harness.exchange(
                    connection, "POST", "/v1/token", {"grant_type": "client_credentials"},
                    {"Cache-Control": "no-cache"})
            except (OSError, harness.http.client.HTTPException):
                connection.close()
                connection = harness.UnixConnection(sys.argv[1])
                told_to_end(0.005)  # between two attempts to connect
                continue
            if status == 200:
                claims = harness.claims(body["access_token"])
                index = claims["status"]["status_list"]["idx"]
                received.write(f'{claims["jti"]},{index},{claims["iat"]},{claims["exp"]}\n')


main()
