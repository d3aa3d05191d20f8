# lockwarden as an image. `npm run image` builds it; docs/image.md says what is in it and how to change the base.

# What it runs on: any image with a Node 24 or later on its path, or in /nodejs/bin as the distroless ones have it.
ARG BASE=node:26.12.1-bookworm-slim
# What builds it: any image with Node 24 or later and npm; where the program is `prebuilt`, any with a shell.
ARG BUILDER=node:26.12.1-bookworm-slim

FROM ${BUILDER} AS program
# `built` here, or `prebuilt` by `npm run build:image` outside, where containers reach no registry.
ARG PROGRAM=built
WORKDIR /work
COPY package.json package-lock.json .npmrc ./
COPY tools/node/package.json tools/node/
RUN [ "${PROGRAM}" = prebuilt ] || npm ci --ignore-scripts
# What .dockerignore lets through: the sources, and build/image where it is there.
COPY . .
RUN [ "${PROGRAM}" = prebuilt ] || npm run build:image

FROM ${BASE}
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="lockwarden" \
      org.opencontainers.image.description="A validating admission webhook that makes the Kubernetes API server refuse takeovers that break leader-election lease semantics" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# One arena for malloc: glibc's many hold more, and Node's threads ask for little (docs/image.md).
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1 \
    PATH=${PATH}:/nodejs/bin
COPY --from=program /work/build/image /app
WORKDIR /app
# By number, so that a kubelet can see that it is not root (runAsNonRoot). The number is nobody's; nothing belongs to it.
USER 65532:65532
# No shell between: Node is the first process and hears SIGTERM itself. The flag keeps memory low (docs/image.md).
ENTRYPOINT ["node", "--max-semi-space-size=2", "/app/bin/lockwarden.js"]
CMD ["serve"]
