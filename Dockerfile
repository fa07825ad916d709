# One instance of Quartet. All instances share this image; docker-compose.yml gives each its own key set.

# What is needed to install the packages stays in this stage.
FROM docker.io/library/python:3.13-slim AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /srv/quartet
COPY pyproject.toml uv.lock ./
# uvicorn's "standard" set brings a reloader and WebSockets; an instance has no use for either.
RUN uv sync --frozen --no-dev --no-install-package watchfiles --no-install-package websockets
COPY app app
COPY scripts scripts
# The file system is read-only later, so what Python would write at each start is written now.
RUN python -m compileall -q --invalidation-mode unchecked-hash app scripts

# With the operator's tool besides, for the tools service of docker-compose.yml: `doctor` from within, and on Windows.
FROM build AS build-tools
RUN uv sync --frozen --no-dev --extra ops --no-install-package watchfiles --no-install-package websockets
COPY ops ops

FROM docker.io/library/python:3.13-slim AS base
RUN useradd --system --uid 10001 --no-create-home quartet \
 && install -d -o quartet -g quartet -m 700 /data \
 && rm -rf "$(python -c 'import os, pip; print(os.path.dirname(pip.__file__))')" /usr/local/bin/pip* /usr/bin/pip*
WORKDIR /srv/quartet

FROM base AS tools
COPY --from=build-tools /srv/quartet .
ENV PATH=/srv/quartet/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER quartet
ENTRYPOINT ["python", "-m", "ops"]

FROM base
COPY --from=build /srv/quartet/.venv .venv
COPY --from=build /srv/quartet/app app
COPY --from=build /srv/quartet/scripts scripts
ENV PATH=/srv/quartet/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000 DATA_DIR=/data
USER quartet
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-S", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=2)"]
CMD ["python", "-m", "app"]
