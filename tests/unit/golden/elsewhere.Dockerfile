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

FROM python:3.11-slim-bookworm@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

# Runs as any user: every uid may write to the home and the work folder.
RUN useradd --uid 1000 --no-log-init --create-home --home-dir /home/user user && \
    install -d -o 1000 -m 0777 /home/user /work

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

RUN install -d -o 1000 -m 0777 '/work/my project' '/work/my project/nb'
ENV HOME="/home/user" \
    PYTHONPATH="/work/my project/nb/src:/work/my project/nb/lib"
WORKDIR /work/my project/nb
COPY scripts/start.py /opt/notebook/start.py

# Data files that the notebook names by their whole path:
#   /srv/data/y.csv
COPY --chown=1000:0 root/ /
# Data files that the notebook reads:
#   ../../data/x.csv
#   out/
#   a.py
COPY --chown=1000:0 data/ ../../

LABEL org.opencontainers.image.title="sample.ipynb"

# The notebook, without outputs; it changes most often.
COPY --chown=1000:0 notebook/ ./

# Runs the notebook, or what is named behind the image in `docker run`.
USER 1000
ENTRYPOINT ["python3", "/opt/notebook/start.py"]
CMD ["/work/my project/nb/sample.ipynb"]
