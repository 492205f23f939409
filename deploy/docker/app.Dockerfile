# The consumers, the operators' commands and the sample chat service: one image, the command chooses.
# Build from the top of the repository: docker build -f deploy/docker/app.Dockerfile .

FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The locks come first, so that a change of our code alone finds these layers in the cache.
COPY requirements/app.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/feedback \
    && pip --python /opt/feedback/bin/python install --require-hashes --requirement requirements/app.txt \
    && pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY docs docs
COPY contracts contracts
COPY pipeline pipeline
COPY consumers consumers
COPY ops ops
COPY local local
COPY apps apps
COPY mlflow_batch mlflow_batch
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/feedback/bin/python install --no-deps /dist/*.whl

FROM python:3.13-slim-trixie
RUN groupadd --system --gid 10001 feedback \
    && useradd --system --uid 10001 --gid feedback --no-create-home --home-dir /nonexistent feedback
COPY --from=build /opt/feedback /opt/feedback
# HOME: MLflow's client wants one, also where the user has another number and is in no list.
# PYTHONSAFEPATH: nothing is imported from the working directory.
ENV PATH=/opt/feedback/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1
# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
CMD ["feedback", "--help"]
