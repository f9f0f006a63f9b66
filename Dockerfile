# One image for every role: docker run grosz bidder | tracker | worker | admin | up
# The steps are in deploy/*-stage.sh, so that deploy/prove-image can run them where there is no container engine.
FROM debian:12-slim AS build
COPY requirements.lock deploy/build-stage.sh /build/
RUN sh /build/build-stage.sh

FROM debian:12-slim
COPY --from=build /opt/grosz /opt/grosz
COPY core /app/core
COPY bidder /app/bidder
COPY segments /app/segments
COPY pacing /app/pacing
COPY creatives /app/creatives
COPY journal /app/journal
COPY admin /app/admin
COPY loadtest /app/loadtest
COPY deploy/run-stage.sh /tmp/run-stage.sh
RUN sh /tmp/run-stage.sh

WORKDIR /app
USER grosz
# In a container the network is the container's own; which ports are published is decided outside.
ENV GROSZ_BID_HOST=0.0.0.0 \
    GROSZ_TRACK_HOST=0.0.0.0 \
    GROSZ_ADMIN_HOST=0.0.0.0 \
    GROSZ_WORKER_HOST=0.0.0.0 \
    GROSZ_TELEMETRY_HOST=0.0.0.0 \
    GROSZ_DATA_DIRECTORY=/var/lib/grosz \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/grosz
EXPOSE 8080 8081 8082 8083 9080 9081 9082
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/opt/grosz/bin/python", "-m", "admin.cli", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/grosz/bin/python", "-m", "admin.cli"]
CMD ["up"]
