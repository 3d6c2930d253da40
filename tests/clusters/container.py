"""The first process of a pod on this machine: it makes the pod's own mounts, process ids and host name, and its worker.

Run as a file of its own by `python -I -S container.py SPEC`, where SPEC is JSON on a file descriptor. The worker is
process 1 of its own process namespace, as in a container: what it leaves running ends with it, whatever session it is
in, and a signal that it does not handle does not end it. Where the tests end, so that nobody waits for the pod, the pod
ends as well.
"""

# pathlib is not imported: each container of each test would start later
# ruff: noqa: PTH102, PTH112, PTH113, PTH114, PTH115, PTH118, PTH208, PTH211
import ctypes
import json
import os
import select
import signal
import socket
import sys

NEW_MOUNTS, NEW_HOSTNAME, NEW_USERS, NEW_PIDS = 0x20000, 0x4000000, 0x10000000, 0x20000000
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
DIES_WITH_PARENT = 1
libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    """Fails with the words of the system where a call did."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}; the test clusters need Linux namespaces (unshare)")


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    """Mounts."""
    checked(libc.mount(source.encode(), target.encode(), kind.encode(), flags, None), f"mount {source} on {target}")


def own_namespaces() -> None:
    """Own mounts, host name and, for the next child, process ids; an own user namespace where this is not root."""
    user, group = os.getuid(), os.getgid()
    flags = NEW_MOUNTS | NEW_HOSTNAME | NEW_PIDS
    checked(libc.unshare(flags | (NEW_USERS if user else 0)), "unshare")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is not imported: a start costs less
                file.write(text)
    mount("none", "/", flags=RECURSIVE | PRIVATE)


def make_root(new: str, mounts: list[dict[str, object]]) -> None:
    """Makes a root folder of this machine's folders, with the pod's volumes over them."""
    mount("tmpfs", new, "tmpfs")
    opened: set[str] = {"/"}
    fill("/", new)
    for one in mounts:
        place, source = str(one["path"]).rstrip("/"), str(one["source"])
        target = make_place(os.path.realpath(place), new, opened, is_folder=os.path.isdir(source))
        mount(source, target, flags=BIND | RECURSIVE)
        if one["is_read_only"]:
            mount("none", target, flags=BIND | REMOUNT | READ_ONLY)


def fill(folder: str, new: str) -> None:
    """Shows what is in a folder of this machine in a folder that is empty."""
    for name in os.listdir(folder or "/"):
        source = os.path.join(folder, name)
        target = new + source
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.mkdir(target)
            mount(source, target, flags=BIND | RECURSIVE)
        elif os.path.isfile(source):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            mount(source, target, flags=BIND)


def make_place(place: str, new: str, opened: set[str], *, is_folder: bool) -> str:
    """Makes a mount point and returns it; folders of this machine above it are shown again in the pod's own."""
    parts = place.split("/")[1:]
    for depth in range(1, len(parts)):
        folder = "/" + "/".join(parts[:depth])
        is_there = os.path.lexists(new + folder)
        if not is_there:
            os.mkdir(new + folder)
            opened.add(folder)
        elif folder not in opened and not os.path.lexists(new + place):
            mount("tmpfs", new + folder, "tmpfs")
            opened.add(folder)
            fill(folder, new)
    target = new + place
    if not os.path.lexists(target):
        if is_folder:
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    return target


def become(spec: dict[str, object], ready: int) -> None:
    """Becomes the worker: process 1 of the pod."""
    checked(libc.prctl(DIES_WITH_PARENT, signal.SIGKILL, 0, 0, 0), "prctl")
    new = str(spec["root"])
    make_root(new, spec["mounts"])  # type: ignore[arg-type]
    mount("proc", f"{new}/proc", "proc")
    os.chroot(new)
    os.chdir(str(spec["folder"]))
    socket.sethostname(str(spec["name"]))
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setsid()
    os.set_inheritable(ready, False)
    command, env = spec["command"], spec["env"]
    os.execvpe(command[0], command, env)  # type: ignore[index,arg-type]  # noqa: S606


def main() -> None:
    """Starts the worker, says its process id, and ends as it ends."""
    source, ready, alive = map(int, sys.argv[1:4])
    with os.fdopen(source) as file:
        spec = json.load(file)
    own_namespaces()
    pid = os.fork()
    if not pid:
        os.close(alive)
        try:
            become(spec, ready)
        except OSError as error:
            print(f"{' '.join(spec['command'])}: {error}", file=sys.stderr, flush=True)
            os._exit(127)
    os.write(ready, f"{pid}\n".encode())
    os.close(ready)
    worker = os.pidfd_open(pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch = select.poll()
    watch.register(worker, select.POLLIN)
    watch.register(alive, select.POLLHUP)
    while not any(found == worker for found, _ in watch.poll()):
        os.kill(pid, signal.SIGKILL)  # nobody holds the other end: the tests have ended
        watch.unregister(alive)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(128 - code if code < 0 else code)


if __name__ == "__main__":
    main()
