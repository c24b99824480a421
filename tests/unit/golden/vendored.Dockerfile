# What the notebook sample.ipynb needs, as captured by ipydock.
# Build it with:
#   docker build -t NAME .
# Behind a network that intercepts TLS add the file of its authorities:
#   --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
# Where packages come from an index of your own, add the settings of uv:
#   --secret id=uv,src="$HOME/.config/uv/uv.toml"

# uv installs the packages below; it does not stay in the image.
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS uv
RUN --mount=type=bind,source=wheels,target=/tmp/wheels \
    sha256sum --check /tmp/wheels/SHA256SUMS && \
    python3 -m zipfile -e /tmp/wheels/uv-0.13.9-py3-none-any.whl /tmp/uv && \
    install -D -t /opt/uv /tmp/uv/uv-0.13.9.data/scripts/uv

# Packages that came from no index are built here, from their source; what it takes to
# build them stays here.
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS packages

# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    dpkg -s gcc libc6-dev > /dev/null 2>&1 || \
    apt-get update -o APT::Update::Error-Mode=any && \
    dpkg -s gcc libc6-dev > /dev/null 2>&1 || \
    apt-get install -y --no-install-recommends \
      gcc \
      libc6-dev && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \
      /var/cache/ldconfig/aux-cache

# my-fast 1.2.dev3+g1, from ../my fast
COPY packages/my-fast/ /src/my-fast/
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=wheels,target=/tmp/wheels \
    --mount=type=bind,source=packages/my-fast.lock,target=/tmp/build.lock \
    SOURCE_DATE_EPOCH=315532800 \
      SETUPTOOLS_SCM_PRETEND_VERSION=1.2.dev3+g1 \
      /opt/uv/uv build --wheel --no-sources --python python3 \
      --no-index --find-links /tmp/wheels --no-cache \
      --build-constraints /tmp/build.lock \
      --out-dir /wheels /src/my-fast/

# my-wheel 3.0, a wheel
RUN --mount=type=bind,source=packages/my-wheel,target=/tmp/packages/my-wheel \
    install -D -t /wheels /tmp/packages/my-wheel/my_wheel-3.0-py3-none-any.whl

FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

# Runs as any user: every uid may write to the home and the work folder.
RUN useradd --uid 1000 --no-log-init --create-home --home-dir /home/user user && \
    install -d -o 1000 -m 0777 /home/user /work

# System packages:
#   graphviz  cell 2: !dot -V
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    dpkg -s graphviz > /dev/null 2>&1 || \
    apt-get update -o APT::Update::Error-Mode=any && \
    dpkg -s graphviz > /dev/null 2>&1 || \
    apt-get install -y --no-install-recommends \
      graphviz && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \
      /var/cache/ldconfig/aux-cache

# Python packages; requirements.lock pins these and all that they need:
# What the notebook imports (modules.txt) is compiled to bytecode.
RUN --mount=type=cache,target=/root/.cache/ipydock \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=wheels,target=/tmp/wheels \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    --mount=type=bind,source=modules.txt,target=/tmp/modules.txt \
    --mount=type=bind,source=scripts/bytecode.py,target=/tmp/bytecode.py \
    UV_LINK_MODE=copy \
      /opt/uv/uv pip install --python "$(command -v python3)" --no-index --find-links /tmp/wheels --no-cache \
      --break-system-packages --no-deps --require-hashes -r /tmp/requirements.lock && \
    python3 /tmp/bytecode.py /root/.cache/ipydock < /tmp/modules.txt

# What was built above and is on no index:
#   my-fast 1.2.dev3+g1, my-wheel 3.0
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=packages,source=/wheels,target=/tmp/wheels \
    --mount=type=bind,source=packages/modules.txt,target=/tmp/modules.txt \
    --mount=type=bind,source=scripts/bytecode.py,target=/tmp/bytecode.py \
    UV_LINK_MODE=copy /opt/uv/uv pip install \
      --python "$(command -v python3)" --break-system-packages \
      --no-deps --no-index --no-cache /tmp/wheels/*.whl && \
    python3 /tmp/bytecode.py < /tmp/modules.txt

ENV HOME="/home/user"
WORKDIR /work
COPY scripts/start.py /opt/notebook/start.py

LABEL org.opencontainers.image.title="sample.ipynb"

# The notebook, without outputs; it changes most often.
COPY --chown=1000:0 notebook/ ./

# Runs the notebook, or what is named behind the image in `docker run`.
USER 1000
ENTRYPOINT ["python3", "/opt/notebook/start.py"]
CMD ["/work/sample.ipynb"]
