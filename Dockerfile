# Builds `crossfade` and leaves the compiler behind.
FROM rust:1-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libclang-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package crossfade --bin crossfade --no-default-features

FROM debian:bookworm-slim
# pg_isready asks a proxy what it would ask a server: whether new sessions are let in.
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home crossfade
COPY --from=build /src/target/release/crossfade /usr/local/bin/crossfade
COPY rewrite-rules/rules /etc/crossfade/rules
USER crossfade
ENV CROSSFADE_LISTEN=0.0.0.0:6432 \
    CROSSFADE_RULES=/etc/crossfade/rules
EXPOSE 6432
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=3 \
    CMD pg_isready --quiet --host=127.0.0.1 --port=6432
ENTRYPOINT ["crossfade"]
CMD ["serve"]
