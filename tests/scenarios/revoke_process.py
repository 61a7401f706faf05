"""Asks for new tokens and revokes each, until its standard input ends; writes `index exp epoch` of
each whose revocation was acknowledged.

revoke_process.py SOCKET FILE: lives through restarts of badged, reconnecting by itself.
"""
import os
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def told_to_end(wait):
    return bool(select.select([sys.stdin], [], [], wait)[0])


def revoke_one(connection):
    """Its line, or nothing where badged refused."""
    status, _, body = harness.exchange(connection, "POST", "/v1/token",
                                       {"grant_type": "client_credentials"},
                                       {"Cache-Control": "no-cache"})
    if status != 200:
        return ""
    token = body["access_token"]
    status, _, _ = harness.exchange(connection, "POST", "/v1/revoke", {"token": token})
    if status != 200:
        return ""
    claims = harness.claims(token)
    return f'{claims["status"]["status_list"]["idx"]} {claims["exp"]} {claims["badged"]["epoch"]}\n'


def main():
    with open(sys.argv[2], "a", buffering=1) as revoked:
        connection = harness.UnixConnection(sys.argv[1])
        while not told_to_end(0):
            try:
                revoked.write(revoke_one(connection))
            except (OSError, harness.http.client.HTTPException):
                connection.close()
                connection = harness.UnixConnection(sys.argv[1])
                told_to_end(0.005)  # between two attempts to connect


main()
