# What the notebook sample.ipynb needs, as captured by ipydock.
# Build it with:
#   docker build -t NAME .
# Behind a network that intercepts TLS add the file of its authorities:
#   --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
# Where packages come from an index of your own, add the settings of uv:
#   --secret id=uv,src="$HOME/.config/uv/uv.toml"

# uv installs the packages below; it does not stay in the image.
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS uv
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/ipydock \
    --mount=type=secret,id=uv,target=/tmp/uv.toml \
    --mount=type=bind,source=scripts/get_uv.py,target=/tmp/get_uv.py \
    python3 /tmp/get_uv.py /opt/uv 0.13.9 /tmp/uv.toml /root/.cache/ipydock

# The index has no wheel of these for this Python, so they are built here; the
# compilers stay here:
#   psycopg2==2.9.9
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS wheels

# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update -o APT::Update::Error-Mode=any && \
    apt-get install -y --no-install-recommends \
      build-essential \
      libpq-dev \
      pkg-config && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \
      /var/cache/ldconfig/aux-cache

# uv keeps each wheel that it builds in its cache.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=secret,id=uv,target=/opt/uv/uv.toml \
    --mount=type=bind,source=sdists.lock,target=/tmp/sdists.lock \
    UV_CONFIG_FILE=/opt/uv/uv.toml SOURCE_DATE_EPOCH=315532800 \
      /opt/uv/uv pip install --cache-dir /tmp/uv --system-certs \
      --target /tmp/built --no-deps --require-hashes -r /tmp/sdists.lock && \
    install -d /wheels && \
    find /tmp/uv -name '*.whl' -exec mv -t /wheels {} +

# Packages that came from no index are built here, from their source; what it takes to
# build them stays here.
FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS packages

# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update -o APT::Update::Error-Mode=any && \
    apt-get install -y --no-install-recommends \
      build-essential \
      gcc \
      git \
      libc6-dev \
      pkg-config && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \
      /var/cache/ldconfig/aux-cache

# my-fast 1.2.dev3+g1, from ../my fast
COPY packages/my-fast/ /src/my-fast/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=secret,id=uv,target=/opt/uv/uv.toml \
    --mount=type=bind,source=packages/my-fast.lock,target=/tmp/build.lock \
    UV_CONFIG_FILE=/opt/uv/uv.toml \
      SOURCE_DATE_EPOCH=315532800 \
      SETUPTOOLS_SCM_PRETEND_VERSION=1.2.dev3+g1 \
      /opt/uv/uv build --wheel --no-sources --python python3 \
      --system-certs \
      --build-constraints /tmp/build.lock \
      --out-dir /wheels /src/my-fast/

# my-repo 2.0, from https://example.org/my/repo.git
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=secret,id=uv,target=/opt/uv/uv.toml \
    export GIT_TERMINAL_PROMPT=0 && \
    git init -q /src/my-repo && \
    git -C /src/my-repo fetch -q --depth 1 https://example.org/my/repo.git cccccccccccccccccccccccccccccccccccccccc && \
    git -C /src/my-repo checkout -q FETCH_HEAD && \
    git -C /src/my-repo submodule -q update --init --recursive --depth 1 && \
    UV_CONFIG_FILE=/opt/uv/uv.toml \
      SOURCE_DATE_EPOCH=315532800 \
      SETUPTOOLS_SCM_PRETEND_VERSION=2.0 \
      /opt/uv/uv build --wheel --no-sources --python python3 \
      --system-certs \
      --out-dir /wheels /src/my-repo/py

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
    apt-get update -o APT::Update::Error-Mode=any && \
    apt-get install -y --no-install-recommends \
      graphviz && \
    rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \
      /var/cache/ldconfig/aux-cache

# Python packages; requirements.lock pins these and all that they need:
# What the notebook imports (modules.txt) is compiled to bytecode.
RUN --mount=type=cache,target=/root/.cache/ipydock \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=secret,id=uv,target=/opt/uv/uv.toml \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    --mount=type=bind,source=modules.txt,target=/tmp/modules.txt \
    --mount=type=bind,source=scripts/bytecode.py,target=/tmp/bytecode.py \
    UV_CONFIG_FILE=/opt/uv/uv.toml UV_LINK_MODE=copy \
      /opt/uv/uv pip install --python "$(command -v python3)" --system-certs \
      --break-system-packages --no-deps --require-hashes -r /tmp/requirements.lock && \
    python3 /tmp/bytecode.py /root/.cache/ipydock < /tmp/modules.txt

# The packages that were built above:
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=wheels,source=/wheels,target=/tmp/wheels \
    --mount=type=bind,source=modules.txt,target=/tmp/modules.txt \
    --mount=type=bind,source=scripts/bytecode.py,target=/tmp/bytecode.py \
    UV_LINK_MODE=copy /opt/uv/uv pip install \
      --python "$(command -v python3)" --break-system-packages \
      --no-deps --no-index --no-cache --find-links /tmp/wheels psycopg2==2.9.9 && \
    python3 /tmp/bytecode.py < /tmp/modules.txt

# What was built above and is on no index:
#   my-fast 1.2.dev3+g1, my-repo 2.0, my-wheel 3.0
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
