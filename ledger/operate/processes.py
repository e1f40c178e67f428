"""Child processes that never outlive us, whatever ends us.

An orderly end stops them by their handles. For the other ends (SIGKILL, a crash) the kernel
sends them a signal when we die: PR_SET_PDEATHSIG, which Linux has. It is bound to the thread
that started the child, not to the process, so one thread that lives as long as the process
starts them all. It is set by a small launcher that then becomes the program: code between fork
and exec in our own process could deadlock on a lock that another thread holds.

Children get a session of their own: Ctrl-C reaches us alone, and we stop them in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple

STOP_TIMEOUT_SECONDS = 30.0
"""After this a child that was asked to end is killed. A database writes what it has first."""

_LAUNCHER = """
import ctypes, os, sys
uid, gid, death_signal, parent = (int(number) for number in sys.argv[1:5])
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, death_signal, 0, 0, 0)  # after setuid, which would clear it
    if os.getppid() != parent:
        sys.exit(1)
os.execv(sys.argv[5], sys.argv[5:])
"""

_Task = tuple[Callable[[], "subprocess.Popen[bytes]"], SimpleQueue[object]]
_tasks: SimpleQueue[_Task] = SimpleQueue()
_starter: tuple[int, threading.Thread] | None = None
_starter_lock = threading.Lock()


class SystemUser(NamedTuple):
    """The user and group a child runs as."""

    uid: int
    gid: int


def start(
    arguments: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    account: SystemUser | None = None,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    keep_open: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Starts a program, given by its full path, that gets `death_signal` when this process
    ends. `output` takes stdout and stderr, which are ours otherwise."""
    uid, gid = account or (-1, -1)
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, uid, gid, int(death_signal)]
    command = [str(part) for part in (*launcher, os.getpid(), *arguments)]

    def launch() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=tuple(keep_open),
            start_new_session=True,
            cwd="/" if account is not None else None,  # ours may be closed to that account
        )

    answer: SimpleQueue[object] = SimpleQueue()
    _ensure_starter()
    _tasks.put((launch, answer))
    result = answer.get()
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, subprocess.Popen)
    return result


def stop(
    process: "subprocess.Popen[bytes]",
    how: signal.Signals = signal.SIGTERM,
    timeout: float = STOP_TIMEOUT_SECONDS,
) -> int:
    """Asks the process to end, waits, kills it if it does not; its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(how)
    return await_end(process, timeout)


def await_end(process: "subprocess.Popen[bytes]", timeout: float = STOP_TIMEOUT_SECONDS) -> int:
    """Waits for a process that was asked to end, kills it if it does not; its exit code."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def alive(pid: int) -> bool:
    """Whether a process with this id exists, ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _ensure_starter() -> None:
    global _starter, _tasks
    with _starter_lock:
        if _starter is None or _starter[0] != os.getpid():  # threads do not survive a fork
            _tasks = SimpleQueue()
            thread = threading.Thread(target=_run, args=(_tasks,), name="starter", daemon=True)
            thread.start()
            _starter = (os.getpid(), thread)


def _run(tasks: SimpleQueue[_Task]) -> None:
    while True:
        launch, answer = tasks.get()
        try:
            answer.put(launch())
        except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
            answer.put(error)
