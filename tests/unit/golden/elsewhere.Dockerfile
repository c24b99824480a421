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

# Python packages; requirements.lock pins these and all that they need:
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --system --system-certs \
      --break-system-packages --compile-bytecode \
      --require-hashes -r /tmp/requirements.lock

# Runs as any user: every uid may write to the home and the work folder.
RUN useradd --uid 1000 --no-log-init --create-home --home-dir /home/user user && \
    install -d -o 1000 -m 0777 /home/user /work '/work/my project' '/work/my project/nb'
ENV HOME="/home/user" \
    PYTHONPATH="/work/my project/nb/src:/work/my project/nb/lib"
WORKDIR /work/my project/nb
USER 1000

# Local modules and data files that the notebook uses:
#   ../../data/x.csv
#   /srv/data/y.csv
#   out/
#   a.py
COPY --chown=1000:0 project/ ../../
COPY --chown=1000:0 root/ /

LABEL org.opencontainers.image.title="sample.ipynb"

# The notebook, without outputs; it changes most often.
COPY --chown=1000:0 notebook/ ./
CMD ["ipython", "--colors=NoColor", "./sample.ipynb"]
