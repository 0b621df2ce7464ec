# Deskbridge as an image: one binary, no shell, no root. Build: docker build -t deskbridge .

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_TERM_COLOR=never

# The dependencies alone, on empty sources: this layer is built again only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY openapi-check/Cargo.toml openapi-check/
COPY zendesk-sim/Cargo.toml zendesk-sim/
RUN mkdir -p src benches openapi-check/src zendesk-sim/src \
    && touch src/lib.rs openapi-check/src/lib.rs zendesk-sim/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs > zendesk-sim/src/main.rs \
    && for bench in $(sed -n '/^\[\[bench\]\]/,/^$/s/^name = "\(.*\)"/\1/p' Cargo.toml); do \
        echo 'fn main() {}' > "benches/$bench.rs"; done \
    && cargo build --release --locked --package deskbridge --bin deskbridge \
    && rm -r src benches openapi-check/src zendesk-sim/src

COPY . .
# Cargo compares times, and the sources may be older than the layer above.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --package deskbridge --bin deskbridge

# Certificates of the public authorities come with this image.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/deskbridge /usr/local/bin/deskbridge
USER 65532:65532
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/deskbridge", "health"]
ENTRYPOINT ["/usr/local/bin/deskbridge"]
CMD ["serve"]
