"""Asks until there is a first token: a process of its own, as an agent is."""
import pathlib
import select
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenarios"))
import harness  # noqa: E402


def first():
    try:
        status, _, _ = harness.call(sys.argv[1], "POST", "/v1/token",
                                    {"grant_type": "client_credentials"})
        return status == 200
    except OSError:
        return False


while not first():
    select.select([], [], [], 0.001)
