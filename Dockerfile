# The image has the program in it and nothing else: docker build --build-arg VERSION=v1.2.3 -t tandem .
#
# Put the configuration, as tandem.yaml, and what it refers to at /etc/tandem. The process is user 65532, which has to be
# able to read the keys, and needs to write nothing. 5060 and 5061 are above 1024, so it needs no capability.
ARG GO_IMAGE=docker.io/library/golang:1.26.6

FROM ${GO_IMAGE} AS build
ARG VERSION=unknown
ARG TARGETARCH
ENV CGO_ENABLED=0 GOARCH=${TARGETARCH} GOFLAGS="-buildvcs=false '-ldflags=-s -w -X=main.release=${VERSION}'"
WORKDIR /src
COPY go.mod go.sum ./
RUN ["/usr/local/go/bin/go", "mod", "download"]
COPY . .
RUN ["/usr/local/go/bin/go", "build", "-o", "/out/tandem", "./cmd/tandem"]

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="tandem" \
      org.opencontainers.image.description="SIP proxy with connection reuse over mutual TLS (RFC 5923)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/tandem /tandem
USER 65532:65532
EXPOSE 5060/udp 5060/tcp 5061/tcp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/tandem"]
CMD ["serve", "--config", "/etc/tandem/tandem.yaml"]
