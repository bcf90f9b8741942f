# syntax=docker/dockerfile:1
#
# The image of Ringback: the one binary, the libraries it is linked with, certificates, and nothing else. No shell, no
# package manager; `ringback health` is what a health check runs.
#
#   docker build --tag ringback .
#
# All paths of the stage `build` are relative: `cargo xtask image-steps` runs its steps on a machine without Docker.

ARG RUST=1.95.0

FROM rust:${RUST}-slim-bookworm AS build
WORKDIR /build
# `dev` builds sooner, for trying the image out.
ARG PROFILE=release
COPY . .
# Two caches stand in for a layer of dependencies: what was downloaded, and what was built. Sources are touched, for
# cargo goes by the time of a file: in a cache that a newer checkout has used, older sources would pass for built.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    find Cargo.toml Cargo.lock crates -type f -exec touch {} + \
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
