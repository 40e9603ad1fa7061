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
RUN useradd --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin cloudnotes
COPY --from=wheels /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    DATA_DIR=/data
WORKDIR /app
COPY . .
RUN python manage.py collectstatic --no-input \
    && mkdir /data && chown cloudnotes /data
USER cloudnotes
EXPOSE 8000
# The Procfile's web line is the one place that says how the service starts.
CMD ["/bin/sh", "-c", "eval \"$(sed -n 's/^web: //p' Procfile)\""]
