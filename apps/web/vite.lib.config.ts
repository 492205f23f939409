import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  publicDir: false,
  build: {
    lib: { entry: "src/lib/bundle.ts", formats: ["es"], fileName: "index", cssFileName: "styles" },
    // The page that uses it brings these.
    rolldownOptions: { external: [/^react($|\/)/, /^react-dom($|\/)/, "eventsource-parser"] },
  },
});
