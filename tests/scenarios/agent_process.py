"""The process behind harness.Agent: obeys orders, one JSON object a line.

agent_process.py SOCKET [FD]: FD is a connection that an earlier program of this process opened.
"""
import json
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def adopt(connection, fd):
    connection.sock = socket.socket(fileno=fd)
    connection.sock.settimeout(connection.timeout)


def exec_keeping(connection, path, arguments):
    """Another program in this process, with the connection that this one opened."""
    if connection.sock is None:
        connection.connect()
    fd = connection.sock.fileno()
    os.set_inheritable(fd, True)
    os.execv(path, [argument.replace("{fd}", str(fd)) for argument in arguments])


def main():
    connection = harness.UnixConnection(sys.argv[1])
    if len(sys.argv) > 2:
        adopt(connection, int(sys.argv[2]))
        print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "exec":
            exec_keeping(connection, order["path"], order["arguments"])
        if order["do"] == "reconnect":
            connection.close()
            connection = harness.UnixConnection(sys.argv[1])
            print("{}", flush=True)
            continue
        try:
            status, headers, body = harness.exchange(
                connection, order["method"], order["target"], order.get("body"),
                order.get("headers"))
            answer = {"status": status, "headers": dict(headers), "body": body}
        except (OSError, harness.http.client.HTTPException) as error:
            answer = {"status": 0, "body": {"error": type(error).__name__}}
            connection.close()
            connection = harness.UnixConnection(sys.argv[1])
        print(json.dumps(answer), flush=True)


main()
