import { defineConfig } from "vite";

// Paths are relative, so that the page works behind a proxy that puts it into a folder.
export default defineConfig({
  base: "./",
  build: {
    assetsDir: "page",
    // The page's content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  // `npm run dev` works on the page beside a server with --no-tls that runs on this machine.
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
