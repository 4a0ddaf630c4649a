FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package floodgate

FROM rust:1.95-bookworm AS build-archive
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package floodgate-archive

# docker compose --profile archive builds this one; nothing else waits for it.
FROM debian:bookworm-slim AS archive
# For buckets behind HTTPS.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home floodgate && install -d -o floodgate /var/lib/floodgate/cold /var/lib/floodgate/spill
COPY --from=build-archive /src/target/release/floodgate-archive /usr/local/bin/floodgate-archive
COPY flows /etc/floodgate/flows
USER floodgate
ENV FLOODGATE_FLOWS=/etc/floodgate/flows \
    FLOODGATE_COLD=/var/lib/floodgate/cold
ENTRYPOINT ["floodgate-archive"]
CMD ["serve"]

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --create-home floodgate
COPY --from=build /src/target/release/floodgate /usr/local/bin/floodgate
COPY flows /etc/floodgate/flows
COPY plugins/dist /var/lib/floodgate/oracles
USER floodgate
ENV FLOODGATE_FLOWS=/etc/floodgate/flows \
    FLOODGATE_ORACLES=/var/lib/floodgate/oracles \
    FLOODGATE_CACHE=/tmp/floodgate
ENTRYPOINT ["floodgate"]
CMD ["serve"]
