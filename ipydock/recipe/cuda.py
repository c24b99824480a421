"""``nvidia/cuda`` as the base, for wheels that look for the libraries of CUDA in the system.

Most wheels of today bring them (``nvidia-cublas-cu12`` and its like) and need the host's driver and
nothing more; then the base stays what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from ..models import Capture


@dataclass(frozen=True, slots=True)
class _Needs:
    """Wheels by their names, whose first group may be the major version of CUDA.

    ``flavor`` is ``runtime`` (libraries) or ``devel`` (also the compilers); with ``brought`` in the
    same environment nothing of the system is needed.
    """

    names: re.Pattern[str]
    brought: str
    flavor: str = "runtime"
    cudnn: bool = False


# Sources: the installation pages of CuPy (the wheels need the CUDA Toolkit unless they are
# installed with [ctk]), JAX ("cuda12_local"), ONNX Runtime (CUDA execution provider), PyCUDA.
_TABLE = (
    _Needs(re.compile(r"cupy-cuda(1[1-3])x"), "nvidia-cuda-nvrtc"),
    _Needs(re.compile(r"jax-cuda(1[1-3])-plugin"), "nvidia-cudnn", cudnn=True),
    _Needs(re.compile(r"onnxruntime-gpu"), "nvidia-cudnn", cudnn=True),
    _Needs(re.compile(r"pycuda"), "nvidia-cuda-nvcc", "devel"),
)
# The release of CUDA for a major version, and the Ubuntu that its images have.
# Source: the tags of nvidia/cuda.
_RELEASES = {"11": "11.8.0", "12": "12.8.1", "13": "13.0.1"}
_DEFAULT = "12"


def base(capture: Capture) -> tuple[str, str] | None:
    """The image that wheels of the notebook need and who needs it; None where none do."""
    there = {canonicalize_name(pin.distribution) for pin in capture.closure}
    for name in sorted(there):
        for row in _TABLE:
            match = row.names.fullmatch(name)
            if match and not any(other.startswith(row.brought) for other in there):
                major = match[1] if match.groups() else _DEFAULT
                image = _image(row, major, capture.python.series)
                reason = (
                    f"{name} looks for the libraries of CUDA {major} in the system, and no package "
                    "of the notebook brings them."
                )
                return image, reason
    return None


def _image(row: _Needs, major: str, series: str) -> str:
    # Ubuntu 22.04 where its own Python is the one, else the next, which the official one runs on.
    release = "22.04" if major == "11" or series == "3.10" else "24.04"
    cudnn = ("cudnn8-" if major == "11" else "cudnn-") if row.cudnn else ""
    return f"nvidia/cuda:{_RELEASES[major]}-{cudnn}{row.flavor}-ubuntu{release}"
