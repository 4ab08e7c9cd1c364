# Parley as an image: one static binary, no shell, nobody's root. Build it from the root of the repository:
#   docker build --build-arg VERSION=$(git describe --tags --always) -t parley .

FROM node:22-bookworm-slim AS web
WORKDIR /src
COPY web web
COPY sdk sdk
COPY scripts/web.sh scripts/web.sh
RUN CI=true scripts/web.sh

FROM golang:1.26-bookworm AS build
ARG VERSION=devel
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=web /src/web/built/app web/built/app
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /parley ./cmd/parley
RUN mkdir -m 0700 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /parley /parley
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV PARLEY_DATA=/data PARLEY_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
# It drains on SIGTERM: give it its time (docker stop --time 40).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/parley"]
CMD ["serve"]
