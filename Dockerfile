# The ledger's services. The build stage checks every package against the lock's hashes; the image
# has what running needs and no more.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN pip download --no-cache-dir --require-hashes --no-deps -d /wheels -r requirements.lock \
    && pip install --no-cache-dir --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY ledger ledger
COPY projections projections
COPY sql sql
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation -w /wheels .

FROM python:3.13-slim
# The release that it is built from: docker build --build-arg VERSION=$(git describe --tags)
ARG VERSION=unreleased
LABEL org.opencontainers.image.title="trading-ledger" org.opencontainers.image.version="$VERSION"
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'trading-ledger[alerts,server,top,venues,web]' \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin ledger \
    && install --directory --owner=ledger --mode=0700 /witness /web
USER ledger
ENTRYPOINT ["ledgerctl"]
CMD ["--help"]
