// The Railway project: CloudNotes on PostgreSQL and Redis. `railway config plan` shows what this
// would change, `railway config apply` does it. Building and starting are the Dockerfile's.
import { defineRailway, github, postgres, preserve, project, redis, service } from "railway/iac";

export default defineRailway(() => {
  const database = postgres("Postgres");
  const cache = redis("Redis");
  const web = service("web", {
    source: github(process.env.CLOUDNOTES_REPOSITORY ?? "your-name/cloudnotes"),
    healthcheck: "/health/ready",
    // Without it Railway kills the old deployment at once: requests in flight would break off.
    deploy: { drainingSeconds: 30, overlapSeconds: 5 },
    env: {
      DATABASE_URL: database.env.DATABASE_URL,
      REDIS_URL: cache.env.REDIS_URL,
      // One service: the web processes send the mail too.
      RUN_WORKER: "1",
      EMAIL_URL: preserve(),
      SECRET_KEY: preserve(),
      BUCKET_NAME: preserve(),
      AWS_REGION: preserve(),
      AWS_ACCESS_KEY_ID: preserve(),
      AWS_SECRET_ACCESS_KEY: preserve(),
      AWS_ENDPOINT_URL: preserve(),
    },
  });

  return project("cloudnotes", { resources: [database, cache, web] });
});
