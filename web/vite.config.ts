import { resolve } from "node:path";
import { defineConfig } from "vite";

const root = import.meta.dirname;

/** Pages are `/console` and `/docs`, and all other files `/console/<name>`, below whatever path the API has. */
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: resolve(root, "../chalicelib/console"),
    emptyOutDir: true,
    assetsDir: "",
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2_000,
    rollupOptions: {
      input: { index: resolve(root, "index.html"), docs: resolve(root, "docs.html") },
      output: {
        // One file for what every view needs, and not one for each module: a first visit then takes few requests.
        advancedChunks: { groups: [{ name: "base", test: /node_modules.(@?preact|vite)|src.lib.(api|copy|dialog|form|lazy|load|login|problem|router|session|tags|units)\.|preload-helper/ }] },
        entryFileNames: "[name]-[hash].js", chunkFileNames: "[name]-[hash].js", assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
  experimental: {
    renderBuiltUrl: (filename, { hostType }) => (hostType === "html" ? `console/${filename}` : { relative: true }),
  },
  test: { include: ["src/**/*.test.ts", "docs/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
