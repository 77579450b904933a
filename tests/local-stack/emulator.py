"""Runs the emulator in the directory argv[1] until standard input is closed, then
stops it and deletes the directory.

Standard input is a pipe from the process that started this one. The kernel closes
it however that process ends, so the emulator never outlives it.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

directory = sys.argv[1]
with open(os.path.join(directory, "emulator.log"), "wb") as log:
    # A new session makes the emulator and the functions that it starts one process
    # group, so that they can be killed together.
    emulator = subprocess.Popen(
        [sys.executable, "-m", "ministack"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def exit_with_emulator():
    status = emulator.wait()
    if not stopping:
        os._exit(status or 1)


stopping = False
threading.Thread(target=exit_with_emulator, daemon=True).start()
sys.stdin.buffer.read()
stopping = True
try:
    os.killpg(emulator.pid, signal.SIGKILL)
except ProcessLookupError:
    pass
emulator.wait()
shutil.rmtree(directory, ignore_errors=True)
