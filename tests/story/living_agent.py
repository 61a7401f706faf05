"""The agent of docs/examples/agent.py, kept alive: obeys one JSON order a line, answers one line.

usage: living_agent.py EXAMPLES-DIR SOCKET
"""
import json
import os
import sys
import urllib.parse

sys.path.insert(0, sys.argv[1])
import agent  # noqa: E402

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


def post(badged, target, fields):
    """(status, answer): what the example's own post() would turn into an exit."""
    form = target == "/v1/token"
    body = urllib.parse.urlencode(fields) if form else json.dumps(fields)
    badged.request("POST", target, body, {"Content-Type": FORM if form else JSON})
    response = badged.getresponse()
    return {"status": response.status, **json.loads(response.read())}


def in_tool(badged, target, fields):
    """A process that the agent starts, on a connection of its own."""
    return in_child(agent.Badged(badged.path), target, fields)


def in_heir(badged, target, fields):
    """A child that holds the agent's open connection, which badged has admitted as the parent's."""
    answer = in_child(badged, target, fields)
    badged.close()  # the answer was the child's: what is left of the connection is of no use
    return answer


def in_child(badged, target, fields):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps({"pid": os.getpid(), **post(badged, target, fields)}).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = json.load(answers)
    os.waitpid(child, 0)
    return answer


def main():
    badged = agent.Badged(sys.argv[2])
    print(json.dumps({"pid": os.getpid(), "uid": os.getuid()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        speak = {"itself": post, "tool": in_tool, "heir": in_heir}[order["as"]]
        print(json.dumps(speak(badged, order["target"], order["fields"])), flush=True)


main()
