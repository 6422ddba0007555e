# syntax=docker/dockerfile:1
# The image of `tidegate`: one executable, no shell, no root. Build it with BuildKit:
#   docker build -t tidegate .
#   docker build --target debug --output symbols .    (the split debug information)

FROM rust:1.95-bookworm AS chef
RUN cargo install cargo-chef --locked --version 0.1.78
WORKDIR /src

# What the dependencies follow from: it changes only when a manifest or the lock file does.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /src/recipe.json .
# The layer that takes minutes, and is kept until the recipe changes.
RUN cargo chef cook --profile dist --locked --package ops --recipe-path recipe.json
COPY . .
# zlib is the one library that the base image below lacks.
RUN cargo build --profile dist --locked --package ops --bin tidegate \
    && mkdir -p /out/data /out/lib \
    && strip -o /out/tidegate target/dist/tidegate \
    && cp target/dist/tidegate.dwp /out/ \
    && cp -L /lib/*-linux-gnu/libz.so.1 /out/lib/

FROM scratch AS debug
COPY --from=build /out/tidegate.dwp /

FROM busybox:1.37-musl AS busybox

FROM gcr.io/distroless/cc-debian12:nonroot
# For health checks where nobody asks over the network (compose); by this name it is wget alone.
COPY --from=busybox /bin/busybox /bin/wget
COPY --from=build /out/lib/libz.so.1 /usr/lib/
COPY --from=build /out/tidegate /usr/bin/
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/data /keys
# The image's network namespace is its own, so both listeners are on all of it; publish only 8080.
ENV TIDEGATE_DATA=/data \
    TIDEGATE_LISTEN=0.0.0.0:8080 \
    TIDEGATE_ADMIN_LISTEN=0.0.0.0:8081 \
    TIDEGATE_ADMIN_LISTEN_EVERYWHERE=true
# Everything else may be read-only.
VOLUME /data
EXPOSE 8080 8081
USER 65532:65532
ENTRYPOINT ["/usr/bin/tidegate"]
CMD ["serve"]
