"""What `docker run IMAGE` does: runs the notebook, or what is named behind the image.

docker run IMAGE                             the executed notebook on standard output
docker run -v "$PWD/out:/out" IMAGE          the executed notebook in ./out
docker run IMAGE script.py                   a script, on the notebook's Python
docker run -it IMAGE ipython                 a prompt
docker run -p 8888:8888 IMAGE lab            JupyterLab, if the image was built --with lab
docker run IMAGE PROGRAM ...                 any other program
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, NoReturn

OUT = "/out"


def say(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run_notebook(name: str) -> int:
    """Execute a notebook from top to bottom, hand it over, and return the exit code."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from traitlets.config import Config

    notebook = nbformat.read(name, as_version=4)
    cells = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]

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
        on_cell_start=begun,
        config=Config({"KernelManager": {"transport": "ipc"}}),
    )
    code = 0
    try:
        client.execute()
    except CellExecutionError as error:
        say(f"A cell raised {error.ename}: {error.evalue}")
        code = 1
    except DeadKernelError:
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
        become("jupyter-lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", *rest)
    become(first, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
