"""What is mounted during the steps that download, build and install."""

from __future__ import annotations

# Where the host's certificate authorities go during a RUN that downloads. Where the build is not
# given the secret nothing is mounted, and the image's own file is used.
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
CA_SECRET = f"type=secret,id=ca,target={CA_FILE}"

# What outlives a build: what uv downloaded, and uv itself with the bytecode of what was compiled.
CACHE = "type=cache,target=/root/.cache/uv"
KEPT_FOLDER = "/root/.cache/ipydock"
KEPT = f"type=cache,target={KEPT_FOLDER}"

UV = "type=bind,from=uv,source=/opt/uv,target=/opt/uv"

# Where packages come from on the host, with the credentials: a uv.toml. It is mounted over an empty
# one beside uv, so that no file or folder is made for the mount, and is empty without the secret.
# Behind `UV`, and with `UV_CONFIG_FILE` for each uv that asks an index.
SETTINGS_FILE = "/opt/uv/uv.toml"
SETTINGS = f"type=secret,id=uv,target={SETTINGS_FILE}"

# The Python that uv installs into: the first on the search path, also where that is an environment.
SYSTEM = '--python "$(command -v python3)"'
