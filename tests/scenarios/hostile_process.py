"""What a process of some uid may do to badged's socket: hostile_process.py SOCKET MODE ARGUMENT.

Prints one line of JSON when it has done its worst; idle and garbage then go on until stdin ends.
"""
import json
import os
import random
import resource
import select
import socket
import sys

TOKEN = ("POST /v1/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
         "Content-Length: {}\r\n\r\n{}")


def connect(path):
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def say(**what):
    print(json.dumps(what), flush=True)


def told_to_end(wait):
    return bool(select.select([sys.stdin], [], [], wait)[0])


def form(text):
    return TOKEN.format(len(text), text).encode()


def answers(connection, count):
    """Reads until `count` answers of a known shape have come; their statuses."""
    data, seen = b"", []
    while len(seen) < count:
        more = connection.recv(1 << 16)
        if not more:
            break
        data += more
        while b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            length = int(next(l for l in head.split(b"\r\n")
                              if l.lower().startswith(b"content-length:")).split(b":")[1])
            if len(rest) < length:
                break
            seen.append(int(head[9:12]))
            data = rest[length:]
    return seen


def idle(path, count):
    """Connections that say nothing. Reports how many were turned away, and with what."""
    held = [connect(path) for _ in range(count)]
    # They are taken in their order: once a later one is answered, so are these.
    probe = connect(path)
    try:
        probe.sendall(b"GET /v1/jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    except BrokenPipeError:
        pass
    answers(probe, 1)
    probe.close()
    poll = select.poll()
    for one in held:
        poll.register(one, select.POLLIN)
    answered = {fd for fd, _ in poll.poll(0)}
    refused = [one for one in held if one.fileno() in answered]
    statuses = {one.recv(4096)[9:12].decode() for one in refused}
    say(held=len(held) - len(refused), statuses=sorted(statuses))
    told_to_end(None)


def garbage(path, count):
    """`count` connections at a time that send nonsense, halves of requests and floods."""
    chosen = random.Random(1)
    shapes = [lambda: chosen.randbytes(chosen.randrange(1, 20000)), lambda: b"GET /v1/jwks HTT",
              lambda: form("grant_type=client_credentials")[:-5], lambda: b"\r\n" * 5000,
              lambda: b"GET /v1/jwks HTTP/1.1\r\nHost: x\r\n\r\n" * 200, lambda: b"\0" * 9000,
              lambda: form("audience=" + "a" * 60000)]
    held, sent = [], 0
    say()
    while not told_to_end(0):
        try:
            one = connect(path)
            one.setblocking(False)
            held.append(one)
            one.send(chosen.choice(shapes)())
            sent += 1
        except OSError:
            pass
        if len(held) > count:
            held.pop(chosen.randrange(len(held))).close()
    say(sent=sent)


def audiences(path, count):
    """`count` requests with an audience of their own each, a hundred at a time."""
    connection, seen = connect(path), {}
    for begin in range(0, count, 100):
        connection.sendall(b"".join(
            form(f"grant_type=client_credentials&audience=https%3A%2F%2Fa{i}.example%2F")
            for i in range(begin, begin + 100)))
        for status in answers(connection, 100):
            seen[status] = seen.get(status, 0) + 1
    say(**{str(k): v for k, v in seen.items()})


def scopes(path, count):
    """`count` good requests, each another one of all that the grant allows, none from the cache."""
    connection, seen = connect(path), {}
    asks = ["", "&scope=invoices.read", "&scope=invoices.write"]
    for begin in range(0, count, 10):
        connection.sendall(b"".join(
            form("grant_type=client_credentials" + asks[i % 3]).replace(
                b"Host: x", b"Host: x\r\nCache-Control: no-cache") for i in range(begin, begin + 10)))
        for status in answers(connection, 10):
            seen[status] = seen.get(status, 0) + 1
    say(**{str(k): v for k, v in seen.items()})


def large(path, count):
    """Bodies as large as can be, and larger."""
    seen = {}
    for i in range(count):
        connection = connect(path)
        try:
            connection.sendall(form("grant_type=client_credentials&x=" + "y" * (65000 + 100 * (i % 10))))
            for status in answers(connection, 1):
                seen[status] = seen.get(status, 0) + 1
        except OSError:
            seen["reset"] = seen.get("reset", 0) + 1
        connection.close()
    say(**{str(k): v for k, v in seen.items()})


def named(path, name):
    """A request from a socket whose own name is chosen by the caller."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(bytes.fromhex(name))
    made.connect(path)
    made.sendall(form("grant_type=client_credentials"))
    say(status=answers(made, 1)[0])


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    path, mode, argument = sys.argv[1:4]
    if mode == "named":
        named(path, argument)
    else:
        {"idle": idle, "garbage": garbage, "audiences": audiences, "large": large,
         "scopes": scopes}[mode](path, int(argument))


main()
