# The gateway as an image.
#
#   docker build -t tocsin .
#   docker run --rm --init -p 8080:8080 -v ./tocsin.yaml:/etc/tocsin.yaml:ro tocsin gateway --config /etc/tocsin.yaml
#
# --init: as process 1 the gateway would not hear the second SIGTERM, the one that ends a drain at once.
# Both stages must be of the same Debian release: the program is linked to that one's libc, libhiredis and zlib.
ARG SWIFT_IMAGE=swift:6.3-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${SWIFT_IMAGE} AS build
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends ca-certificates libhiredis-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Dependencies first: this is done again only when they change. What is fetched and what is compiled is kept in a cache
# that belongs to the builder and is in no layer.
COPY Package.swift Package.resolved* ./
RUN --mount=type=cache,id=tocsin-build,target=/src/.build,sharing=locked \
    swift package resolve
COPY redis/tocsin.lua redis/
COPY Sources Sources
# Exclusive access is checked when the tests run; here the checks would be a fifth of what a message costs. The flags are
# those of `make bench`, too.
# Function names and debug information are most of what the compiler writes. STRIP=--strip-debug keeps the names, for
# perf and core dumps: 22 MB more.
ARG STRIP=--strip-all
RUN --mount=type=cache,id=tocsin-build,target=/src/.build,sharing=locked \
    swift build -c release --product tocsin --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked \
 && strip ${STRIP} -o /tocsin .build/release/tocsin

FROM ${RUN_IMAGE}
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends libhiredis0.14 libstdc++6 zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
# Whom https:// callbacks and rediss:// may trust: the list alone, without the openssl that its package brings along.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY deploy/healthcheck /usr/local/bin/
COPY --from=build /tocsin /usr/local/bin/
# A number: Kubernetes' runAsNonRoot does not believe names. The gateway writes no file and needs no home.
USER 10001:10001
EXPOSE 8080
# Drains. To be given gateway.drain_seconds and some more before it is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["tocsin"]
CMD ["gateway"]
