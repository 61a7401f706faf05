"""The main process of an agent's unit: obeys one JSON order per connection on RUNTIME_DIRECTORY/control.

agent_unit.py --tool does one such order from standard input on a connection of its own: a tool that
the agent starts.
"""
import json
import os
import socket
import subprocess
import sys

import harness

AGENT_SOCKET = "/run/badged/agent.sock"
PYTHON = "/usr/bin/python3"


def do(badged, order):
    """One call on `badged`; a closed connection is opened anew, once."""
    arguments = (order["method"], order["target"], order.get("body"), order.get("headers"))
    try:
        status, _, body = harness.exchange(badged, *arguments)
    except OSError:
        badged.close()
        status, _, body = harness.exchange(badged, *arguments)
    return {"status": status, "body": body, "pid": os.getpid()}


def in_tool(order):
    done = subprocess.run([PYTHON, "-B", os.path.abspath(__file__), "--tool"], input=json.dumps(order),
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def in_forked_child(badged, order):
    """On the connection that badged has admitted as the parent's."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(do(badged, order)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        answer = json.load(said)
    os.waitpid(child, 0)
    badged.close()  # what is left of the connection is of no use
    return answer


def main():
    badged = harness.UnixConnection(AGENT_SOCKET)
    if sys.argv[1:] == ["--tool"]:
        print(json.dumps(do(badged, json.load(sys.stdin))))
        return
    control = socket.socket(socket.AF_UNIX)
    control.bind(os.path.join(os.environ["RUNTIME_DIRECTORY"], "control"))
    control.listen()
    while True:
        connection, _ = control.accept()
        with connection, connection.makefile("rw") as line:
            text = line.readline()
            if not text:  # somebody only looked whether we listen
                continue
            order = json.loads(text)
            who = order.pop("who")
            answer = (in_tool(order) if who == "tool" else
                      in_forked_child(badged, order) if who == "child" else do(badged, order))
            print(json.dumps(answer), file=line, flush=True)


main()
