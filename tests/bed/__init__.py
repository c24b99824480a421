"""The test bed: a container engine and base images, made from the distribution's own packages.

`python3 -m tests.bed up` finds a Docker or Podman that already answers, or starts a private Docker
daemon with a registry of its own as mirror. The mirror holds `debian:bookworm-slim` and
`python:X.Y-slim-bookworm`, so that pulls, digests and `FROM` lines behave as with the public hub on
machines that cannot reach one. Standard library only.

    state.py         where things live, the lock, what is remembered between runs
    process.py       commands, detached daemons, telling our daemons from others
    api.py           the few requests that are made to an engine
    engines.py       engines that are there already
    packages.py      what apt has to install
    network.py       the bridge, and taking back what a daemon changes in the host's network
    daemon.py        the private daemon and its registry: starting them
    newer.py         a current Docker beside it, with either image store
    podman.py        Podman with a store of its own
    ssh.py           a way to the newer Docker over SSH
    cleanup.py       ending and removing all that
    debian.py        a Debian root file system and what the official image adds to it
    interpreters.py  Python trees of this machine, put into such a root
    layers.py        file trees to image layers
    registry.py      images into the registry
    images.py        which images there are, and making them
"""
