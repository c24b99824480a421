"""What is known of magics: which bodies are Python, what the others need."""

from __future__ import annotations

from .findings import words

# Cell magics whose body is Python that runs in this kernel or one like it.
PYTHON_BODIES = words(
    """
    time timeit capture prun dockerize incontainer memit mprun lprun snakeviz debug px px0
    scalene python python3 ipytest run_pytest skip wandb mypy flake8 pycodestyle black nb_black
    tracemalloc timeme notify run_if heat
    """
)
# Line magics that also work without their sign, as far as they say what is needed.
AUTOMAGICS = words(
    """
    pip conda mamba uv run load_ext matplotlib pylab time timeit cd ls ll pwd cat mkdir
    """
)
CODE_MAGICS = words("time timeit prun memit lprun mprun debug")
SHELL_BODIES = words("bash sh ! sx system zsh")
# Cell magics whose body is something else, and what they need.
OTHER_BODIES: dict[str, tuple[str, ...]] = {
    "html": (),
    "HTML": (),
    "svg": (),
    "SVG": (),
    "latex": (),
    "markdown": (),
    "javascript": (),
    "js": (),
    "perl": ("perl",),
    "ruby": ("ruby",),
    "julia": ("julia",),
    "octave": ("octave",),
    "matlab": (),
    "python2": ("python2",),
    "pypy": ("pypy",),
    "cmd": (),
    "R": ("R",),
    "sql": (),
    "bigquery": (),
    "cython": ("gcc",),
    "cython_inline": ("gcc",),
    "cython_pyximport": ("gcc",),
    "fortran": ("gfortran",),
    "writefile": (),
    "file": (),
    "dockerfile": (),
    "ai": (),
    "css": (),
    "mermaid": (),
    "dot": ("dot",),
    "spark": (),
    "local": (),
    "configure": (),
    "jsx": (),
    "macro": (),
}
# Extensions that IPython brings, or that were renamed since.
EXTENSIONS: dict[str, str | None] = {
    "autoreload": None,
    "storemagic": None,
    "ipydock": None,
    "cythonmagic": "Cython",
    "rmagic": "rpy2",
    "octavemagic": "oct2py",
    "sympyprinting": "sympy",
    "parallelmagic": "ipyparallel",
    "cython": "Cython",
}
# What a %matplotlib backend needs besides matplotlib; that of ``inline`` comes with every kernel.
BACKENDS = {
    "widget": "ipympl",
    "ipympl": "ipympl",
    "qt": "PyQt5",
    "qt5": "PyQt5",
    "qt6": "PyQt6",
    "wx": "wx",
    "gtk3": "gi",
    "gtk4": "gi",
}
