"""Steps of a Podman build name what they mount."""

from __future__ import annotations

from pathlib import Path

from ipydock.engine.podman_keys import keyed

TEXT = """\
FROM base AS tools
RUN echo 1

FROM base
RUN --mount=type=secret,id=ca,target=/x \\
    --mount=type=cache,target=/y \\
    echo 2
RUN --mount=type=bind,source=a.txt,target=/a.txt \\
    --mount=type=bind,from=tools,source=/t,target=/t \\
    cat /a.txt && \\
    cat /t
RUN --mount=type=bind,source=d,target=/d ["ls", "/d"]
RUN --mount=source=d,target=/d ls /d
"""


def test_only_steps_that_mount_files_or_stages_change(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.txt").write_text("two")
    first = keyed(TEXT, tmp_path, {"tools": "1" * 64})
    changed = [a != b for a, b in zip(TEXT.splitlines(), first.splitlines(), strict=True)]
    assert [n for n, yes in enumerate(changed, 1) if yes] == [11, 13]
    assert keyed(TEXT, tmp_path, {"tools": "1" * 64}) == first
    assert keyed(TEXT, tmp_path, {"tools": "2" * 64}) != first
    (tmp_path / "d" / "b.txt").write_text("three")
    last = keyed(TEXT, tmp_path, {"tools": "1" * 64}).splitlines()
    assert last[:12] == first.splitlines()[:12]
    assert last[12] != first.splitlines()[12]
