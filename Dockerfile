# CloudNotes in a container: wheels are made and installed in one stage; the environment they make
# and the code are all that reaches the other.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS wheels
COPY requirements.txt /build/
RUN python3 -m venv /venv \
    && /venv/bin/pip wheel --no-cache-dir --wheel-dir /build/wheels -r /build/requirements.txt \
    && /venv/bin/pip install --no-cache-dir --no-index --find-links /build/wheels \
        -r /build/requirements.txt

FROM ${BASE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin cloudnotes
COPY --from=wheels /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    DATA_DIR=/data
WORKDIR /app
COPY . .
RUN python manage.py collectstatic --no-input \
    && mkdir /data && chown cloudnotes:cloudnotes /data
# Mount a volume at /data. There is no VOLUME line: Railway builds no image that has one.
# A number, by which Kubernetes sees that it is not root.
USER 10001
EXPOSE 8000
# Past any proxy of the environment. Switch it off for a worker, which serves nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ.get(\"PORT\") or 8000}/health/ready', timeout=4)"]
# The Procfile's web line is the one place that says how the service starts.
CMD ["/bin/sh", "-c", "eval \"$(sed -n 's/^web: //p' Procfile)\""]
