# The image of every pod: web server, daemon, code location, runs, steps and model servers.
#   docker build -t registry.east.example/sinet:0.1.0 .      (podman and buildah read it, too)
# A inventory.yaml beside this file goes into it, so that all pods have the same rows.
FROM python:3.11-slim-bookworm

# LightGBM's OpenMP; nothing else is compiled or linked here
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/sinet \
    SINET_PROJECT=/opt/sinet \
    DAGSTER_HOME=/opt/dagster/dagster_home \
    HOME=/home/sinet \
    USER=sinet

WORKDIR /opt/sinet

# PyTorch's index of CPU builds, given by `--build-arg TORCH_INDEX=...`: its 2.13.0+cpu is preferred by pip to the default
# index's build, which is four times the size.
ARG TORCH_INDEX=
COPY constraints.txt pyproject.toml README.md ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
# the dependencies alone, in a layer that a change of the code leaves as it is
RUN mkdir sinet_pipelines \
    && touch sinet_pipelines/__init__.py \
    && pip install -c constraints.txt ".[walk,clusters,pulsar]" \
    && pip uninstall --yes sinet-pipelines

COPY workspace.yaml dagster.yaml inventory.yam[l] ./
COPY deploy deploy
COPY sinet_pipelines sinet_pipelines
COPY resources resources
COPY schedules schedules
COPY assets assets
RUN pip install --no-deps -c constraints.txt -e . \
    && python -m compileall -q assets resources schedules sinet_pipelines \
    && groupadd --gid 10001 sinet \
    && useradd --uid 10001 --gid 10001 --home-dir /home/sinet --create-home sinet \
    && mkdir -p /opt/dagster/dagster_home /mnt/sinet \
    && chown 10001:10001 /opt/dagster/dagster_home /mnt/sinet

# a number, by which a cluster sees that it is not root
USER 10001:10001
CMD ["sinet", "--help"]
