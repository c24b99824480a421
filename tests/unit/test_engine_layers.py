"""Layers told apart, and sizes and times as engines write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ipydock.engine.docker_objects import _layer_sizes, parse_time
from ipydock.engine.labels import MANAGED, RECIPE
from ipydock.engine.layers import chains, derived, in_order, layers_of

OURS = {MANAGED: "image", RECIPE: "1"}


def test_a_layer_counts_with_all_below_it() -> None:
    one, two = list(chains(["sha256:x", "sha256:y"])), list(chains(["sha256:z", "sha256:y"]))
    assert one[0] == "sha256:x"
    assert one[1] != two[1]


def test_what_is_made_from_an_image_inherits_its_labels_and_is_told_apart() -> None:
    found = derived(
        {
            "ours": (OURS, ["a", "b"]),
            "from ours": (OURS, ["a", "b", "c"]),
            "built again": (OURS, ["a", "x", "y"]),
            "committed": ({**OURS, MANAGED: "kernel"}, ["a", "b", "d"]),
            "another recipe": ({MANAGED: "image", RECIPE: "2"}, ["a", "b", "c", "d"]),
        }
    )
    assert found == {"from ours", "committed"}


def test_sizes_of_layers_come_from_the_instructions_that_make_some() -> None:
    newest_first = [
        {"CreatedBy": 'CMD ["ipython"]', "Size": 0},
        {"CreatedBy": "COPY notebook/ ./ # buildkit", "Size": 7},
        {"CreatedBy": "WORKDIR /work", "Size": 0},
        {"CreatedBy": "ENV A=1", "Size": 0},
        {"CreatedBy": "/bin/sh -c #(nop) ADD file:1 in / ", "Size": 100},
    ]
    assert _layer_sizes(newest_first) == [100, 0, 7]
    assert [x.size_bytes for x in layers_of(["a", "b", "c"], [100, 0, 7], ())] == [100, 0, 7]
    assert [x.size_bytes for x in layers_of(["a", "b"], [100, 0, 7], ())] == [0, 0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-06-01T12:00:00.123456789Z", 1780315200),
        ("2026-06-01T14:00:00+02:00", 1780315200),
        ("2026-06-01T14:00:00.5+02:00", 1780315200),
        ("0001-01-01T00:00:00Z", 0),
        ("", 0),
        ("yesterday", 0),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_time(text) == datetime.fromtimestamp(seconds, timezone.utc)


def test_names_that_are_ipydocks_come_first() -> None:
    assert in_order(["ghcr.io/me/x:1", "ipydock/x:1", "b:1"]) == (
        *("b:1", "ipydock/x:1", "ghcr.io/me/x:1"),
    )
