# The agent as a container: built in one stage, run in another that has neither pip's cache nor build tools.
#
#   docker build -t stagesync .
#   docker run --read-only --tmpfs /tmp -v stagesync:/data -v ./config:/etc/stagesync:ro --env-file secrets.env stagesync
#
# tests/container/follow.py follows these lines without Docker, so keep each RUN one plain shell line.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
WORKDIR /build
ENV VENV=/opt/stagesync PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /build/tools && python -m venv --without-pip ${VENV}
# Exact versions, each file checked against its hash, wheels only: nothing is compiled and nothing floats.
COPY requirements.lock requirements-build.lock ./
RUN tools/bin/python -m pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.lock
RUN tools/bin/python -m pip --python ${VENV}/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY src ./src
RUN tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .
RUN tools/bin/python -m pip --python ${VENV}/bin/python install --no-deps --no-index dist/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="StageSync" \
      org.opencontainers.image.description="Keeps a CRM's stages true" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/stagesync/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 STAGESYNC_DATA=/data
RUN groupadd --system --gid 10001 stagesync && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin stagesync && install -d -o 10001 -g 10001 -m 0750 /data
COPY --from=builder /opt/stagesync /opt/stagesync
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
# An empty proxy handler: HTTP_PROXY is for reaching the CRM, never for asking ourselves.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["stagesync"]
CMD ["daemon", "--config", "/etc/stagesync/stagesync.yaml"]
