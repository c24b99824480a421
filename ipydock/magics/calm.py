"""How a magic ends that cannot do what it was asked: in a paragraph, as on the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from IPython.core.error import UsageError

from ..errors import Cancelled, InputError, IpydockError


@contextlib.contextmanager
def calmly() -> Iterator[None]:
    """Show errors of ipydock's and an interrupt without a traceback; they stop "Run all" as ever.

    Raises:
        UsageError: in the place of an InputError.
        IpydockError: any other, as it is; Cancelled in the place of a KeyboardInterrupt.
    """
    try:
        yield
    except InputError as error:
        raise UsageError(error.paragraph()) from None
    except IpydockError as error:
        raise _calm(error) from None
    except KeyboardInterrupt:
        raise _calm(Cancelled("Interrupted; nothing was left running.")) from None


def _calm(error: IpydockError) -> IpydockError:
    # IPython asks an exception for this before it makes a traceback of its own. It is this one that
    # is shown so, not the class: who calls ipydock from Python wants to see where it failed.
    render = "_render_traceback_"
    setattr(error, render, lambda: [f"Error: {error.paragraph()}"])
    return error
