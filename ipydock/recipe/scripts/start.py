"""What `docker run IMAGE` does: runs the notebook, or what is named behind the image.

docker run IMAGE                             the executed notebook on standard output
docker run -v "$PWD/out:/out" IMAGE          the executed notebook in ./out
docker run IMAGE script.py                   a script, on the notebook's Python
docker run -it IMAGE ipython                 a prompt
docker run -p 8888:8888 IMAGE lab            JupyterLab, if the image was built --with lab
docker run IMAGE PROGRAM ...                 any other program
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from typing import Any, NoReturn

OUT = "/out"
PASSED_ON = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
)


def say(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def be_init() -> None:
    """As the first process of a container, start another that does the work, and see to it.

    The kernel ignores signals for the first process where it has no handler of its own: `docker
    stop` would wait for ten seconds. It is also the parent of all whose own parent has gone. The
    worker gets a process group of its own, and the terminal if there is one, so that what is typed
    there reaches it once.
    """
    if os.getpid() != 1:
        return
    # Before there is a worker that they could be passed on to, they wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    worker = os.fork()
    if worker == 0:
        os.setpgid(0, 0)
        take_terminal()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        return

    def pass_on(number: int, _frame: Any) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(worker, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        process, status = os.wait()
        if process == worker:
            ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            os._exit(ended if ended >= 0 else 128 - ended)


def take_terminal() -> None:
    """Make this process's group the one that the terminal talks to, if there is a terminal."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # standard input is none
        os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, before)


def run_notebook(name: str) -> int:
    """Execute a notebook from top to bottom, hand it over, and return the exit code."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from traitlets.config import Config

    notebook = nbformat.read(name, as_version=4)
    cells = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]

    stopped: list[int] = []

    def stop(number: int, task: Any) -> None:
        stopped.append(number)
        task.cancel()

    def ready(**_more: Any) -> None:
        # Here and not before, as nbclient has handlers of its own, which keep waiting.
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number, task)

    def begun(cell_index: int, **_more: Any) -> None:
        if cell_index in cells:
            say(f"cell {cells.index(cell_index) + 1} of {len(cells)}")

    folder = os.path.dirname(os.path.abspath(name))
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources=resources,
        on_notebook_start=ready,
        on_cell_start=begun,
        shutdown_kernel="immediate",
        config=Config({"KernelManager": {"transport": "ipc"}}),
    )
    code = 0
    try:
        asyncio.run(client.async_execute())
    except CellExecutionError as error:
        say(f"A cell raised {error.ename}: {error.evalue}")
        code = 1
    except (asyncio.CancelledError, DeadKernelError):  # nbclient takes the one for the other
        if stopped:
            say("Stopped; what was executed by then is handed over.")
            code = 128 + stopped[0]
        else:
            say("The kernel died; `docker inspect` tells whether memory ran out (OOMKilled).")
            code = 1
    hand_over(notebook, os.path.basename(name))
    return code


def hand_over(notebook: Any, name: str) -> None:
    """Write the executed notebook to the mounted folder, or to standard output."""
    import nbformat

    if os.path.isdir(OUT):
        target = os.path.join(OUT, name)
        try:
            nbformat.write(notebook, target)
        except OSError as error:
            sys.exit(
                f"{target} cannot be written: {error.strerror}. Run with --user $(id -u), or let "
                f"everybody write to the folder that is mounted at {OUT}."
            )
        say(f"The executed notebook is {target}.")
    elif sys.stdout.isatty():
        show(notebook)
    else:
        sys.stdout.write(nbformat.writes(notebook) + "\n")


def show(notebook: Any) -> None:
    """Print the outputs as text, for a person at a terminal."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                print(output.text, end="")
            elif output.output_type == "error":
                print("\n".join(output.traceback))
            else:
                print(output.data.get("text/plain", f"[{', '.join(output.data)}]"))
    say('-v "$PWD/out:/out" keeps the executed notebook in ./out.')


def become(program: str, *words: str) -> NoReturn:
    """Replace this process by another one."""
    if shutil.which(program) is None:
        sys.exit(f"There is no program {program!r} in this image.")
    os.execvp(program, (program, *words))


def main(first: str, *rest: str) -> None:
    """Do what the words behind the image's name ask for."""
    be_init()
    if first.endswith(".ipynb"):
        sys.exit(run_notebook(first))
    if first.endswith(".py"):
        become(sys.executable, first, *rest)
    if first == "lab":
        if shutil.which("jupyter-lab") is None:
            sys.exit(
                "There is no JupyterLab in this image; `ipydock build NOTEBOOK --with lab` makes "
                "one that has it."
            )
        words = ["--ip=0.0.0.0", "--port=8888", "--no-browser", "-y"]  # y: Ctrl-C asks nothing
        if os.geteuid() == 0:
            words.append("--allow-root")
        become("jupyter-lab", *words, *rest)
    become(first, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
