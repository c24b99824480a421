# What the notebook sample.ipynb needs, as captured by ipydock.
# Build it with:
#   docker build -t NAME .
# Behind a network that intercepts TLS add the file of its authorities:
#   --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt

# uv installs the packages below; it does not stay in the image.
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS uv
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt pip install --no-cache-dir --no-compile \
      --target=/opt/uv uv==0.13.9

FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

# System packages:
#   graphviz  cell 2: !dot -V
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update && \
    apt-get install -y --no-install-recommends \
      graphviz && \
    rm -rf /var/lib/apt/lists/*

# Python packages; requirements.lock pins these and all that they need:
#   ipykernel==6.30.1             added with --add-pip
#   nbformat==5.10.4              added with --add-pip
#   python-dateutil==2.9.0.post0  cell 1: import dateutil
#   six==1.17.0                   cell 1: import six
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --system --system-certs \
      --break-system-packages --compile-bytecode \
      --require-hashes -r /tmp/requirements.lock

# Runs as any user: every uid may write to the home and the work folder.
RUN useradd --uid 1000 --no-log-init --create-home --home-dir /home/user user && \
    install -d -o 1000 -m 0777 /home/user /work
ENV HOME="/home/user"
WORKDIR /work
USER 1000

# Local modules and data files that the notebook uses:
#   data/a.csv
#   helper.py
COPY --chown=1000:0 project/ ./

LABEL org.opencontainers.image.title="sample.ipynb" \
      org.opencontainers.image.authors="Ada Lovelace"

# The notebook, without outputs; it changes most often.
COPY --chown=1000:0 notebook/ ./
CMD ["ipython", "--colors=NoColor", "./sample.ipynb"]
