# One image for every process of the gateway; the command says which:
#   python manage.py run_relay_listener | run_mwl_scp | run_web | migrate | …
# It writes to nothing but /tmp and needs no privilege. docker-compose.yml runs it; tools/check_image tests it.
#
# The target `nonprod` adds the emulators (docker build --target nonprod); the default target has neither their code nor
# the packages that only they use.

FROM docker.io/library/python:3.11-slim AS builder
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
# Wheels only: a package that would have to be compiled fails here. --no-deps: requirements.txt is complete.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: \
      --require-hashes --no-deps --requirement requirements.txt
COPY LICENSE manage.py pyproject.toml /app/
COPY core /app/core
COPY dashboard /app/dashboard
COPY dicom /app/dicom
COPY gateway_project /app/gateway_project
COPY images /app/images
COPY relay /app/relay
COPY worklist /app/worklist
# Unchecked bytecode, as sources in an image do not change: every build gives the same files, and nothing is written later.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM builder AS builder-nonprod
COPY requirements-nonprod.txt .
RUN pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: \
      --require-hashes --requirement requirements-nonprod.txt
COPY nonprod /app/nonprod
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app/nonprod

FROM docker.io/library/python:3.11-slim AS base
ARG REVISION=unknown
LABEL org.opencontainers.image.title="screening-gateway" \
      org.opencontainers.image.description="Gateway between Azure Relay and the worklist of a mammography machine" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"
# A volume mounted at one of these two takes over its owner and mode.
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
 && install --directory --owner=gateway --group=gateway --mode=0700 /var/lib/gateway /var/spool/gateway
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=gateway_project.settings.production \
    WEB_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
EXPOSE 11112 11113 8000
# Checks the process that was started as process 1. The time-out is longer than DATABASE_WAIT_SECONDS.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 CMD ["python", "manage.py", "check_health"]
CMD ["python", "manage.py", "help"]

FROM base AS nonprod
COPY --from=builder-nonprod /opt/venv /opt/venv
COPY --from=builder-nonprod /app /app

FROM base AS gateway
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
