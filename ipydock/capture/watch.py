"""What code uses while it runs, from the interpreter's audit events: standard library only.

An audit hook sees files opened, folders listed, programs started and hosts asked for by Python code
and by compiled modules that go through Python; what C libraries and child processes do by
themselves it does not see. Names of environment variables that the notebook's own code reads are
seen too (`ipydock.capture.environ`).

An audit hook cannot be taken out again and is called for each of several dozen events, so it only
keeps what it is given; `report` resolves and filters. Python 3.8 and later; forks and threads need
nothing, since no lock is held.
"""
# Paths are compared as text here, links unresolved:
# ruff: noqa: PTH100, PTH109, PTH110, PTH112, PTH113, PTH118

from __future__ import annotations

import contextlib
import os
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

from . import arguments, environ, surroundings
from .ignored import Ignored

NAME = "_ipydock_watch"  # in sys.modules: the module that watches this interpreter
PROTOCOL = 1
LIMIT = 100_000  # events kept until they are resolved: about 30 MB
KEPT = 20_000  # distinct findings: about 2 MB of JSON
_OWN = ("ipydock.", "_ipydock")  # modules whose reading of the environment is not the notebook's

_watching = False
_since = 0  # execution count when it began
_until = -1  # execution count when it was stopped last
_cell = 0  # execution count of the cell that runs, or ran last; 0 without IPython
_lost = 0  # events, not distinct ones, that were over a limit or could not be kept
# Events of "open" as they came, (path, mode, flags); in the same order (path, "list", None) for
# folders and (path, "read" or "write", None) for what was told otherwise. A dict, being ordered and
# without repetitions.
_seen: dict[Any, None] = {}
_room = 0  # how many more may come into it
# What was seen before: execution count, folder that relative paths start from, events.
_past: list[tuple[int, str | None, dict[Any, None]]] = []
_found: dict[tuple[str, str, int], None] = {}  # resolved: path, use, execution count
_programs: dict[tuple[str, int], None] = {}
_hosts: dict[tuple[str, int], None] = {}
_names: dict[tuple[str, int], None] = {}  # of environment variables
_imports: dict[tuple[str, str, int], None] = {}  # module, the one that asked for it, count
_written: set[str] = set()
_hooked = False
_shell: Any = None
_ignored: Ignored | None = None


# --- the hook ---------------------------------------------------------------------------------


def _hook(event: str, args: Any) -> None:
    """Keep what is of use; the first lines run for each file that anything opens."""
    if event == "open":
        try:
            if args not in _seen:
                _opened(args)
        except Exception:  # noqa: BLE001 - a path of a type that cannot be hashed, or at exit
            _lose()
    elif _watching:
        handler = _HANDLERS.get(event)
        if handler is not None:
            try:
                handler(args)
            except Exception:  # noqa: BLE001 - whatever it is, the user's code must go on
                _lose()


def _opened(args: Any) -> None:
    if len(_seen) < _room:
        _seen[args] = None
    else:
        _lose()


def _lose() -> None:
    global _lost  # noqa: PLW0603
    if _watching:  # at the interpreter's end this module's globals are None
        _lost += 1


def _keep(path: Any, use: str) -> None:
    if len(_seen) < _room:
        _seen[path, use, None] = None
    else:
        _lose()


def _listed(args: Any) -> None:
    # What imports modules and reads metadata lists the folders of sys.path.
    if not _LISTERS(sys._getframe(2).f_code.co_filename):
        _keep(os.curdir if args[0] is None else args[0], "list")


def _changed_folder(_args: Any) -> None:
    # The event comes before the change: what was seen so far started from the folder of now.
    _turn()


def _renamed(args: Any) -> None:
    _keep(args[1], "write")


def _database(args: Any) -> None:
    path = arguments.database(args[0])
    if path is not None:
        _keep(path, "read" if os.path.exists(path) else "write")


def _popen(args: Any) -> None:
    executable, _, cwd, env = args
    _program(executable, cwd, env)


def _shell_line(_args: Any) -> None:
    _program("/bin/sh", None, None)


def _executed(args: Any) -> None:
    _program(args[0], None, args[2])


def _spawned_terminal(args: Any) -> None:
    words = args[0]
    _program(words if isinstance(words, str) else words[0], None, None)


def _program(name: Any, cwd: Any, env: Any) -> None:
    path = arguments.program(name, cwd, env)
    if path is not None:
        _programs[path, _cell] = None


def _looked_up(args: Any) -> None:
    _host(args[0])


def _connected(args: Any) -> None:
    address = args[1]
    if isinstance(address, tuple) and len(address) >= 2:  # else a socket of this machine
        _host(address[0])


def _opened_connection(args: Any) -> None:
    _host(args[1])


def _requested(args: Any) -> None:
    from urllib.parse import urlsplit

    _host(urlsplit(str(args[0])).hostname)


def _host(host: Any) -> None:
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if host and len(_hosts) < KEPT:
        _hosts[str(host).lower().rstrip("."), _cell] = None


def _imported(args: Any) -> None:
    """Keep who asks for a module while a cell runs, be it the cell or a function that it calls.

    What a library imports when it is imported itself is none of that.
    """
    name = args[0]
    parent = sys.modules.get(name.rpartition(".")[0])
    if parent is not None and vars(parent).get("__file__"):
        return
    user = _namespace()
    by = None
    frame: Any = sys._getframe(2)
    while frame is not None:
        asker = frame.f_globals.get("__name__")
        if not _IMPORTERS(str(asker)):
            by = by or asker
            if frame.f_globals is user:
                if len(_imports) < KEPT:
                    _imports[str(name), str(by), _cell] = None
                return
            if frame.f_code.co_name == "<module>":
                return
        frame = frame.f_back


_LISTERS = re.compile(r"<frozen importlib|.*[/\\](importlib|pkgutil|pkg_resources)\b").match
_IMPORTERS = re.compile(r"importlib($|\.)|_frozen_importlib").match


def _namespace() -> dict[str, Any]:
    """What the globals of the notebook's own code are."""
    user = getattr(_shell, "user_global_ns", None)
    return user if isinstance(user, dict) else vars(sys.modules["__main__"])


_HANDLERS = {
    "import": _imported,
    "os.listdir": _listed,
    "os.scandir": _listed,  # glob and os.walk too
    "os.chdir": _changed_folder,
    "os.rename": _renamed,
    "os.link": _renamed,
    "os.symlink": _renamed,
    "sqlite3.connect": _database,
    "subprocess.Popen": _popen,
    "os.system": _shell_line,
    "os.exec": _executed,
    "os.posix_spawn": _executed,
    "pty.spawn": _spawned_terminal,
    "socket.getaddrinfo": _looked_up,
    "socket.gethostbyname": _looked_up,
    "socket.connect": _connected,
    "http.client.connect": _opened_connection,
    "urllib.Request": _requested,
}


def _turn(cell: int | None = None) -> None:
    """Lay what was seen so far aside; what comes now is another cell's or another folder's."""
    global _seen, _room, _cell  # noqa: PLW0603
    before, _seen = _seen, {}
    if before:
        try:
            folder: str | None = os.getcwd()
        except OSError:
            folder = None
        _past.append((_cell, folder, before))
    _room = LIMIT - sum(len(events) for _, _, events in _past) if _watching else 0
    if cell is not None:
        _cell = cell


def _before_cell(info: Any = None) -> None:
    # The shell's own count is one ahead from IPython 9 on; a cell is stored after this event.
    _turn(_stored() + int(bool(getattr(info, "store_history", True))))


def _stored() -> int:
    """How many cells are in IPython's history, the one that runs now among them."""
    manager = getattr(_shell, "history_manager", None)
    return max(0, len(getattr(manager, "input_hist_raw", ())) - 1)


def _read(name: str, frame: Any) -> None:
    """Keep the name of an environment variable that the notebook's own code reads."""
    if not _watching or len(_names) >= KEPT:
        return
    if frame.f_globals is not _namespace():
        file = frame.f_code.co_filename
        module = str(frame.f_globals.get("__name__"))
        own = file.endswith(".py") and not module.startswith(_OWN)
        if not own or _ignored is None or _ignored(os.path.abspath(file)):
            return
    _names[name, _cell] = None


# --- from outside -----------------------------------------------------------------------------


def current() -> Any:
    """The module that watches this interpreter, None if there is none.

    Another copy of this file may have come in before, by an import or by injection.
    """
    found = sys.modules.get(NAME)
    return found if getattr(found, "PROTOCOL", None) == PROTOCOL else None


def start(shell: Any = None, *, first: bool = False) -> int:
    """Watch from now on, unless this interpreter is being watched; gives the count since when.

    Args:
        shell: IPython's shell, whose cells what is seen is told apart by; None without IPython.
        first: a cell runs, and nothing of it but this has run so far.
    """
    there = current()
    if there is not None and there._watching:
        return int(there._since)
    if there is not None and there is not _this():
        return int(there.start(shell, first=first))
    return _start(shell, first)


def _start(shell: Any, first: bool) -> int:
    global _watching, _since, _cell, _shell, _ignored, _hooked, _room  # noqa: PLW0603
    module = _this()
    if module is not None:
        sys.modules[NAME] = module
    _shell = shell
    _ignored = Ignored.here()
    _cell = _stored()
    if _until != _cell:  # else it was reloaded in one cell, and nothing was missed
        _since = _cell - int(first)
    if shell is not None:
        shell.events.register("pre_run_cell", _before_cell)
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    environ.watch(_read)
    _watching = True
    _room = LIMIT
    return _since


def _this() -> types.ModuleType | None:
    """The module that this code is in, which may not be in sys.modules."""
    found = sys.modules.get(__name__)
    return found if found is not None and vars(found) is globals() else None


def stop() -> None:
    """See nothing more: the hook goes dormant, ``os.environ`` is what it was."""
    there = current()
    if there is not None and there._watching:
        there._stop()


def _stop() -> None:
    global _watching, _shell, _until  # noqa: PLW0603
    _watching = False
    _until = -1 if _shell is None else _stored()
    _turn()
    environ.restore()
    if _shell is not None:
        _shell.events.unregister("pre_run_cell", _before_cell)
        _shell = None


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """See nothing within the block: what ipydock itself opens is none of the notebook's."""
    there = current()
    if there is None or not there._watching:
        yield
        return
    there._pause(True)
    try:
        yield
    finally:
        there._pause(False)


def _pause(pause: bool) -> None:
    global _watching  # noqa: PLW0603
    _watching = not pause
    _turn()


def cell() -> int:
    """The execution count of the cell that runs, or ran last; 0 if none has or nothing watches."""
    there = current()
    return 0 if there is None else int(there._cell)


def ignored() -> dict[str, Any]:
    """What is left out of the report, as JSON (`ipydock.capture.ignored.Ignored`)."""
    there = current()
    rules = None if there is None else there._ignored
    return (rules or Ignored.here()).to_json()


def report() -> dict[str, Any] | None:
    """What was seen so far; None if this interpreter was never watched.

    ``since`` is the count of the last cell of which something may have been missed. ``opened`` has
    [absolute path, "read", "write" or "list", execution count] in order of first use; a file that
    was read is there only if it exists, or was written by the notebook before. ``programs`` has
    [full path, count], ``hosts`` [name or address, count], ``env_names`` [name, count]; ``imports``
    has [module, the module that asked for it, count] of what was imported while a cell ran, not
    while another library was imported, with ``__main__`` for the notebook. ``lost`` counts what was
    over the limits. Files of the interpreter, of distributions and of the system are left out, see
    `ipydock.capture.ignored`.
    """
    there = current()
    return None if there is None else there._report()


def _report() -> dict[str, Any]:
    _turn()
    code = {
        os.path.abspath(str(file))
        for module in list(sys.modules.values())
        if surroundings.is_module(module)
        for file in [surroundings.contents(module).get("__file__")]
        if file
    }
    past, _past[:] = _past[:], []
    for cell, folder, events in past:
        _resolve(cell, folder, list(events), code)
    _turn()  # there is room again
    return {
        "since": _since,
        "opened": [list(key) for key in _found],
        "programs": [list(key) for key in _programs],
        "hosts": [list(key) for key in arguments.remote(list(_hosts))],
        "env_names": [list(key) for key in _names],
        "imports": [list(key) for key in _imports],
        "lost": _lost,
    }


# What was there and is gone is nobody's data.
_TEMPORARY = tuple(
    os.path.join(os.path.abspath(folder), "")
    for folder in (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp")  # noqa: S108
    if folder
)


def _resolve(cell: int, folder: str | None, events: list[Any], code: set[str]) -> None:
    """Take what was seen in one cell into what was found."""
    for name, mode, flags in events:
        path = arguments.absolute(name, folder)
        if path is None or _ignored is None or _ignored(path):
            continue
        fleeting = path.startswith(_TEMPORARY) and not path.startswith(_ignored.kept)
        if fleeting and not os.path.lexists(path):
            continue
        for use in (mode,) if flags is None else arguments.uses(flags):
            if use == "write":
                _written.add(path)
            elif use == "list":
                if not os.path.isdir(path):
                    continue
            elif path in code or (path not in _written and not os.path.isfile(path)):
                continue
            if len(_found) < KEPT:
                _found[path, use, cell] = None
            else:
                _lose()
