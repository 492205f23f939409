import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env["FEEDBACK_CHAT_URL"] ?? "http://127.0.0.1:8000";
const routes = ["/chat", "/v1", "/feedback", "/chat_feedback", "/detailed-feedback"];

export default defineConfig({
  plugins: [react()],
  build: { outDir: "../chat/static", emptyOutDir: true, chunkSizeWarningLimit: 700 },
  server: { proxy: Object.fromEntries(routes.map((route) => [`^${route}(/|$|\\?)`, api])) },
  test: {
    environment: "jsdom",
    include: ["tests/**/*.test.{ts,tsx}"],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 30_000,
    // One process for all files: starting one for each costs more than the tests themselves.
    isolate: false,
    fileParallelism: false,
  },
});
