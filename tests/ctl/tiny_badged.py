"""A small HTTP server on Unix sockets: answers badgectl with what a test wrote into its table.

Only the shapes of badged's answers live here; everything else (sockets, HTTP, curl, processes) is
real. What the daemon itself does is tested against the daemon, in tests/scenarios and tests/interop.
"""

import http.server
import json
import os
import socketserver
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.seen.append({"method": self.command, "target": self.path, "body": body.decode(),
                                 "headers": {k.lower(): v for k, v in self.headers.items()}})
        path = self.path.split("?")[0]
        reply = self.server.table.get((self.command, path))
        if callable(reply):
            reply = reply(self.server.seen[-1])
        status, payload, headers = reply or (404, {"error": "not_found"}, {})
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Type" not in headers:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(data)
        except BrokenPipeError:  # a client that bounds what it reads
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


class HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def serve(server, table):
    server.table = table
    server.seen = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def unix(path, table):
    if os.path.exists(path):
        os.unlink(path)
    return serve(Server(path, Handler), table)


def loopback(table):
    """A resource server; its origin is in .origin."""
    server = serve(HttpServer(("127.0.0.1", 0), Handler), table)
    server.origin = "http://127.0.0.1:%d" % server.server_address[1]
    return server
