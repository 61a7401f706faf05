"""The process behind harness.Agent: obeys orders, one JSON object a line."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def main():
    connection = harness.UnixConnection(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "exec":
            os.execv(order["path"], order["arguments"])
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
        except OSError as error:
            answer = {"status": 0, "body": {"error": type(error).__name__}}
            connection.close()
            connection = harness.UnixConnection(sys.argv[1])
        print(json.dumps(answer), flush=True)


main()
