# Build: everything from the lock file, nothing of the toolchain in the final image.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin magpie \
    && install -D target/release/magpie /out/magpie

# Run: the program, certificates to trust, a user without rights.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin magpie \
    && install -d -o magpie -g magpie /app /app/data
COPY --from=build /out/magpie /usr/local/bin/magpie
WORKDIR /app
USER 10001
# Configuration: mount a file at /app/config/magpie.toml, or set MAGPIE_… variables. SQLite lives in /app/data.
VOLUME /app/data
EXPOSE 18789 8080
# The program asks itself, so the image needs no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["magpie", "check", "--running"]
ENTRYPOINT ["magpie"]
CMD ["serve"]
