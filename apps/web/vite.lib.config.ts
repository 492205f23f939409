import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  publicDir: false,
  build: {
    lib: { entry: "src/lib/bundle.ts", formats: ["es"], fileName: "index", cssFileName: "styles" },
    rolldownOptions: {
      // The page that uses it brings these.
      external: [/^react($|\/)/, /^react-dom($|\/)/, "eventsource-parser"],
      // Its hooks work in the browser alone; a framework that draws on a server must know.
      output: { banner: '"use client";' },
    },
  },
});
