# syntax=docker/dockerfile:1
# Isthmus as a container: docs/OPERATING.md says how to run it.

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# Without install scripts: the compiler is needed here, and not the Node that a checkout brings for itself.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /packages
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/isthmus
# Nothing of it is writable by the user that runs it; what the process keeps goes to the volume.
COPY package.json LICENSE ./
COPY --from=packages /packages/node_modules ./node_modules
COPY --from=build /build/dist ./dist
RUN install -d -o node -g node /var/lib/isthmus
USER node
VOLUME /var/lib/isthmus
EXPOSE 8686
# /healthz needs no token. Set ISTHMUS_HEALTH_URL where http.listen has another port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.ISTHMUS_HEALTH_URL ?? 'http://127.0.0.1:8686/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["run", "-c", "/etc/isthmus/isthmus.yaml"]
