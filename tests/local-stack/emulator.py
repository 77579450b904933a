"""Runs the emulator in the directory argv[1] for as long as somebody holds the
other end of standard input, so that it dies with whoever started it, however
that ends: the kernel closes the pipe in every case. Then the directory goes too.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

directory = sys.argv[1]
with open(os.path.join(directory, "emulator.log"), "wb") as log:
    # In a session of its own, so that the functions it starts can be ended with it.
    emulator = subprocess.Popen(
        [sys.executable, "-m", "ministack"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_with_the_emulator():
    status = emulator.wait()
    if not stopping:
        os._exit(status or 1)


stopping = False
threading.Thread(target=end_with_the_emulator, daemon=True).start()
sys.stdin.buffer.read()
stopping = True
try:
    os.killpg(emulator.pid, signal.SIGKILL)
except ProcessLookupError:
    pass
emulator.wait()
shutil.rmtree(directory, ignore_errors=True)
