# One image for `tidestone serve`, `tidestone worker` and every other command. Stages: dependencies, project, model, the image itself.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
COPY requirements-build.lock requirements.lock /src/
# The build tools (pip itself, cmake, ninja) live in a venv of their own and never reach the image.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r /src/requirements-build.lock \
 && python -m venv --without-pip /opt/venv
# Every x86-64-v3 CPU (2013 and later) runs this. --build-arg LLAMA_CMAKE_ARGS=-DGGML_NATIVE=ON compiles for the building
# machine instead; where that has BF16 in hardware, run it with TIDESTONE_EMBEDDING__WEIGHTS=bf16. Without OpenMP the image
# needs no libgomp; Tidestone's embedders are single-threaded processes. pip's cache does not look at these flags, hence a
# cache folder for each set of them.
ARG LLAMA_CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_OPENMP=OFF"
RUN --mount=type=cache,target=/root/.cache/pip \
    PATH=/opt/build/bin:$PATH CMAKE_ARGS="${LLAMA_CMAKE_ARGS}" \
    pip wheel --require-hashes --no-build-isolation -r /src/requirements.lock --wheel-dir /wheels \
      --cache-dir "/root/.cache/pip/$(printf %s "${LLAMA_CMAKE_ARGS}" | cksum | cut -d' ' -f1)" \
 && /opt/build/bin/pip --python /opt/venv install --no-index --no-deps /wheels/*.whl \
 && rm -rf /wheels /opt/venv/lib/python3*/site-packages/lib /opt/venv/lib/python3*/site-packages/include

FROM dependencies AS project
COPY pyproject.toml README.md /src/
COPY service /src/service
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation /src --wheel-dir /wheels \
 && /opt/build/bin/pip --python /opt/venv install --no-index --no-deps --prefix /opt/project /wheels/*.whl

FROM dependencies AS model
COPY service /src/service
WORKDIR /src
# Fetching it needs pip, which is only in the build tools' environment.
RUN --mount=type=cache,target=/root/.cache/pip \
    PYTHONPATH=$(echo /opt/build/lib/python3*/site-packages) PYTHONDONTWRITEBYTECODE=1 \
    /opt/venv/bin/python -m service model build --into /opt/tidestone/models

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin tidestone \
 && install -d -o 10001 -g 10001 /data /library
COPY --from=dependencies /opt/venv /opt/venv
# Outside /data: a volume mounted there would hide the model.
COPY --from=model /opt/tidestone/models /opt/tidestone/models
COPY --from=project /opt/project /opt/venv
COPY config.toml /opt/tidestone/config.toml
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/tmp \
    TIDESTONE_SERVICE__DATA_DIR=/data \
    TIDESTONE_SERVICE__HOST=0.0.0.0 \
    TIDESTONE_SERVICE__PORT=8080 \
    TIDESTONE_EMBEDDING__WEIGHTS=f16
WORKDIR /opt/tidestone
USER 10001:10001
VOLUME /data
EXPOSE 8080
# A stop is a checkpoint and exit 0; give it the time of a micro-batch and a commit (docker-compose.yml: 30 s).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["tidestone"]
CMD ["serve"]
