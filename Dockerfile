# Two images of the same build: the processor (the default), and the generator of made-up events
# that docker-compose.yml uses. Neither holds a shell, a package manager or anything but the program,
# the authorities for TLS and the time zones.

FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build \
    export GOOS="$TARGETOS" GOARCH="$TARGETARCH" && \
    go build -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" \
      -o /out/sessionizer ./cmd/sessionizer && \
    go build -buildvcs=false -ldflags "-s -w" -o /out/generate ./internal/generate
RUN mkdir -p /empty/state

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
ENV ZONEINFO=/zoneinfo.zip
# 65532 is nobody in particular; a number, so that "must not run as root" can be checked.
USER 65532:65532

FROM base AS generator
COPY --from=build /out/generate /generate
ENTRYPOINT ["/generate"]

FROM base AS sessionizer
COPY --from=build /out/sessionizer /sessionizer
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=build --chown=65532:65532 /empty/state /var/lib/sessionizer
VOLUME /var/lib/sessionizer
WORKDIR /var/lib/sessionizer
ENTRYPOINT ["/sessionizer"]
CMD ["run", "--config", "/etc/sessionizer/sessionizer.yaml"]
