# One image for every role; the command says which:
#   python manage.py run_relay_listener | run_mwl_scp | run_web | migrate | …
# Needs nothing writable but /tmp, and no privilege. docker-compose.yml runs it; tools/check_image tests it.

FROM docker.io/library/python:3.11-slim AS builder
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
# Wheels only: what would have to be compiled fails here, and not for want of a compiler later.
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: \
      --require-hashes --requirement requirements.txt
COPY . /app
# Bytecode that is taken as it is, since sources in an image do not change: the same on every build, and no writing later.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM docker.io/library/python:3.11-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="screening-gateway" \
      org.opencontainers.image.description="Gateway between Azure Relay and the worklist of a mammography machine" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"
# /var/lib/gateway: for a volume, which takes over owner and mode from here.
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
 && install --directory --owner=gateway --group=gateway --mode=0700 /var/lib/gateway
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=gateway_project.settings.production \
    WEB_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
EXPOSE 11112 8000
# The role is that of process 1. The time-out is above DATABASE_WAIT_SECONDS.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 CMD ["python", "manage.py", "check_health"]
CMD ["python", "manage.py", "help"]
