# One image for every service and the runner: `node services/main.mjs NAME`. No build step: Node runs the sources.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The pinned Node of the lock file is for machines without one; this image has it.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-slim
# Agents work in git repositories.
RUN apt-get update \
  && apt-get install -y --no-install-recommends git \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY libs ./libs
COPY streams ./streams
COPY services ./services
# Folders that volumes are mounted over: a new volume takes their owner, so that nothing runs as root.
RUN mkdir -p /data /workspaces /secrets /credentials /runner /host \
  && chown node:node /data /workspaces /secrets /credentials /runner /host
# What the engine makes of the sources, so that no start has to.
RUN node services/main.mjs --help >/dev/null && node services/fleetlog.mjs --help >/dev/null
USER node
ENTRYPOINT ["node"]
CMD ["services/main.mjs", "--help"]
