"""A client that takes no refusal: what it runs is a program of its own, so that it can run as another user too."""

from __future__ import annotations

STEADY = """
import json, socket, sys
for number in range(int(sys.argv[2])):
    line = {"jsonrpc": "2.0", "id": number, "method": "memory.set", "params": {"key": f"k{number}", "value": number}}
    answer = None
    while answer is None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(sys.argv[1])
            try:
                connection.sendall(json.dumps(line).encode() + b"\\n")
                with connection.makefile() as replies:
                    answer = next((each for each in map(json.loads, replies) if "id" in each), None)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert answer.get("result", {}).get("value") == number, answer
    if number == 20:
        print("under load", flush=True)
print("done", flush=True)
"""
"""`python -c STEADY SOCKET COUNT` connects anew for each of so many writes. A connection that is refused, or a request,
ends it with a traceback. One that is ended before an answer is not: it was told, and connects again."""
