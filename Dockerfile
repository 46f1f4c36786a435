# The emulator in a container: `docker build -t effects-emulator .`, then
# `docker run -p 8600:8600 effects-emulator --api-key any-test-key`. The command is in it whole: with
# `--build-arg FEATURES=postgres` also for a journal in Postgres, as examples/engines/kubernetes_job.yaml runs it.
FROM rust:1.95-slim-bookworm AS build
ARG FEATURES=""
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package effects-cli --features "$FEATURES"

FROM debian:bookworm-slim
# Whom to trust: the service and a database are spoken to in TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /source/target/dist/effects /usr/local/bin/effects
# It needs to own nothing: tasks and pictures are in memory.
USER 65534:65534
EXPOSE 8600
HEALTHCHECK --interval=5s --timeout=2s --start-period=2s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8600 && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && grep -q '\"ok\"' <&3"]
ENTRYPOINT ["effects", "emulator", "--host", "0.0.0.0", "--port", "8600"]
