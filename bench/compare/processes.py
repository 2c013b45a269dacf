"""Starting, measuring and ending processes, each by its pid."""

import os
import signal
import socket
import subprocess
import time

STOP_SECONDS = 5.0
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something could not be started, died, or does not answer as it must."""


def pinned(command, cpu):
    """The command on one CPU. It gets SIGTERM should the bench die before it."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cpu), *command]


def end(process):
    """Ends a process and all its descendants; nothing happens where it is gone already."""
    tree = {}
    if process.poll() is None:  # not reaped, so the pid is still its own
        tree = process_tree(process.pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
    for pid, started in tree.items():
        if start_time(pid) == started:  # the number may belong to another by now
            _kill(pid)
    process.wait()
    if process.stdout:
        process.stdout.close()


class Child:
    """A pinned process with a log file."""

    def __init__(self, command, cpu, log_path, stdout=None):
        self.log_path = log_path
        with open(log_path, "ab") as log:
            # A session of its own: Ctrl-C on the terminal is the bench's to handle.
            self.process = subprocess.Popen(
                pinned(command, cpu), stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def ended(self):
        return self.process.poll() is not None

    def log_tail(self, lines=15):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def stop(self):
        end(self.process)


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _stat(pid):
    """Fields of /proc/PID/stat from the third on (state is 0), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid):
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def process_tree(root):
    """{pid: start time} of a process and all its living descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        fields = _stat(name) if name.isdigit() else None
        if fields:
            parents[int(name)] = int(fields[1])
    tree = [root]
    for pid in tree:  # grows while it is walked
        tree.extend(child for child, parent in parents.items() if parent == pid)
    return {pid: started for pid in tree if (started := start_time(pid)) is not None}


def cpu_ns(root):
    """CPU time, user and system, that a process and its descendants have used.

    Of the living: the process CPU clock, exact to the nanosecond, ended threads included.
    Of the dead: what their parents have reaped, exact to a tick.
    """
    total = 0
    for pid in process_tree(root):
        fields = _stat(pid)
        try:
            total += time.clock_gettime_ns(~pid << 3 | 2)  # CPUCLOCK_SCHED of that process
        except OSError:
            continue
        total += (int(fields[13]) + int(fields[14])) * TICK_NS
    return total


def busy_ns(cpu):
    """Time that one CPU has not been idle, exact to a tick."""
    with open("/proc/stat", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(f"cpu{cpu} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_NS


def client_ports(server_port):
    """The client side's ports of all established loopback connections to a port."""
    ports = set()
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in list(file)[1:]:
            _, local, remote, state = line.split()[:4]
            if state == "01" and int(remote.rpartition(":")[2], 16) == server_port:
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
