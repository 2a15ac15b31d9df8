# syntax=docker/dockerfile:1

# Compiles src/; has the tools for it, and is thrown away.
FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
RUN npm run build

# What runs needs: neither the compiler nor PostgreSQL's programs.
FROM node:20-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional

FROM node:20-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
# The image's own unprivileged user. The configuration is mounted, so nothing here is writable by it.
USER node
EXPOSE 6432 9400
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9400/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node as process 1 gets SIGTERM itself, and drains.
ENTRYPOINT ["node", "dist/main.js"]
CMD ["--config", "/etc/shardgate/shardgate.yaml"]
