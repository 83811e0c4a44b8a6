# podrobin's image, and with `--target shop` the one of the demo that deploy/kind runs.
# deploy/image.sh makes the same images from this file without a container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN deploy/build-static.sh /out

# A server and a load generator to try podrobin with.
FROM scratch AS shop
LABEL org.opencontainers.image.title="podrobin-shop"
LABEL org.opencontainers.image.description="What podrobin's demo and tests run beside it: a server, and a client that counts."
LABEL org.opencontainers.image.source="https://github.com/podrobin/podrobin"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/shop /shop
USER 65532:65532
ENTRYPOINT ["/shop"]

# Nothing but the program: no shell, no library, no file that it would write to.
FROM scratch AS podrobin
LABEL org.opencontainers.image.title="podrobin"
LABEL org.opencontainers.image.description="A sidecar that spreads each request over the ready pods of a Kubernetes Service, in turn."
LABEL org.opencontainers.image.source="https://github.com/podrobin/podrobin"
LABEL org.opencontainers.image.documentation="https://github.com/podrobin/podrobin#readme"
LABEL org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/podrobin /podrobin
USER 65532:65532
ENTRYPOINT ["/podrobin"]
