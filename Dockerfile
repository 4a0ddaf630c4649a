FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package floodgate

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
