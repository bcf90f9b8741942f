# syntax=docker/dockerfile:1
#
# The image of Ringback: the one binary, the libraries it is linked with, certificates, and nothing else. No shell, no
# package manager; `ringback health` is what a health check runs.
#
#   docker build --tag ringback .
#
# All paths of the first two stages are relative, or below /build: `cargo xtask image-steps` runs their steps on a machine without
# Docker.

ARG RUST=1.95.0

# Manifests, and empty sources in place of ours. This is done anew after each change, and takes a second; as it comes out the
# same, what the next stage makes of it is taken from the cache.
FROM rust:${RUST}-slim-bookworm AS manifests
WORKDIR /build
COPY . .
RUN sh deploy/docker/stubs stubs

FROM rust:${RUST}-slim-bookworm AS build
WORKDIR /build
# `dev` builds sooner, for trying the image out.
ARG PROFILE=release
# The layer of dependencies, downloaded and built: a layer and no cache mount, for builders keep and pass on layers alone.
COPY --from=manifests /build/stubs/ .
RUN cargo build --locked --profile "$PROFILE" --package ringback
COPY . .
# Sources are touched, for cargo goes by the time of a file: those of a checkout may be older than the empty ones, and would
# pass for built.
RUN find Cargo.toml Cargo.lock crates -type f -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" --package ringback \
    && sh deploy/docker/assemble "target/$(echo "$PROFILE" | sed 's/^dev$/debug/')/ringback" image \
    && mkdir -p data

FROM scratch
LABEL org.opencontainers.image.title="Ringback" \
      org.opencontainers.image.description="Delivers event callbacks (webhooks), and loses none" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /build/image/ /
# What `serve` keeps, if it keeps it here: an empty directory of its own, whose owner a volume takes over.
COPY --from=build --chown=65532:65532 /build/data/ /var/lib/ringback/
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/ringback
# A container's own addresses: who reaches them is decided outside. Every role answers checks at the second one.
ENV RINGBACK_DATA_DIR=/var/lib/ringback \
    RINGBACK_LISTEN=0.0.0.0:8080 \
    RINGBACK_METRICS_LISTEN=0.0.0.0:9464 \
    RINGBACK_LOG_FORMAT=json
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/bin/ringback", "health"]
ENTRYPOINT ["/usr/bin/ringback"]
CMD ["serve"]
