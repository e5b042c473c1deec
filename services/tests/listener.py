"""The smallest real server for the launcher's own tests: it counts its starts in a file and says so to who connects."""

import signal
import socket
import sys
from pathlib import Path

port, counter = int(sys.argv[1]), Path(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
starts = int(counter.read_text("ascii")) + 1 if counter.exists() else 1
counter.write_text(str(starts), "ascii")
print("listening", flush=True)
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"%d\n" % starts)
