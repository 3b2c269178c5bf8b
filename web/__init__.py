"""The console, in TypeScript, and how it is built."""
