# The MLflow tracking server with its Postgres driver, from the lock that the local stack uses too, and our plugin.
# Build from the top of the repository: docker build -f deploy/docker/mlflow.Dockerfile .

FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
COPY local/mlflow-requirements.txt /src/
RUN python -m venv --without-pip /opt/mlflow \
    && pip --python /opt/mlflow/bin/python install --require-hashes --requirement /src/mlflow-requirements.txt
COPY mlflow_batch /src/mlflow_batch
RUN pip --python /opt/mlflow/bin/python install --no-deps --no-build-isolation /src/mlflow_batch

FROM python:3.13-slim-trixie
# A new named volume takes over the owner of the folder that it is mounted on.
RUN groupadd --system --gid 10002 mlflow \
    && useradd --system --uid 10002 --gid mlflow --no-create-home --home-dir /nonexistent mlflow \
    && install --directory --owner mlflow --group mlflow --mode 0750 /var/lib/mlflow/artifacts
COPY --from=build /opt/mlflow /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
USER 10002:10002
WORKDIR /tmp
EXPOSE 5000
CMD ["mlflow", "server", "--help"]
