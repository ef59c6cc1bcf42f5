# The gateway as an image.
#
#   docker build -t tocsin .
#   docker run --rm --init -p 8080:8080 -v ./tocsin.yaml:/etc/tocsin.yaml:ro tocsin gateway --config /etc/tocsin.yaml
#
# --init: as process 1 the gateway would not receive the second SIGTERM, which ends a drain immediately.
# Both stages must be of the same Debian release: the program is linked against its libc, libhiredis and zlib.
ARG SWIFT_IMAGE=swift:6.3-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${SWIFT_IMAGE} AS build
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends ca-certificates libhiredis-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Dependencies come first, so that this step is repeated only when they change. Downloads and build products are kept in
# the builder's cache and end up in no layer.
COPY Package.swift Package.resolved* ./
RUN --mount=type=cache,id=tocsin-build,target=/src/.build,sharing=locked \
    swift package resolve
COPY redis/tocsin.lua redis/
COPY Sources Sources
# Exclusivity is checked when the tests run; here the checks would be a fifth of the cost of a message. `make bench` uses
# the same flags.
# Function names and debug information are most of the compiler's output. STRIP=--strip-debug keeps the names, for
# perf and core dumps: 22 MB more.
ARG STRIP=--strip-all
RUN --mount=type=cache,id=tocsin-build,target=/src/.build,sharing=locked \
    swift build -c release --product tocsin --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked \
 && strip ${STRIP} -o /tocsin .build/release/tocsin

FROM ${RUN_IMAGE}
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends libhiredis0.14 libstdc++6 zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
# Certificate authorities for https:// callbacks and rediss://: only the list, without openssl, which its package depends on.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY deploy/healthcheck /usr/local/bin/
COPY --from=build /tocsin /usr/local/bin/
# A number, because Kubernetes' runAsNonRoot does not accept names. The gateway writes no files and needs no home directory.
USER 10001:10001
EXPOSE 8080
# Starts a drain. Allow gateway.drain_seconds and a little more before killing it.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["tocsin"]
CMD ["gateway"]
