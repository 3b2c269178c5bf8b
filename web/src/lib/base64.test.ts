import { expect, test } from "vitest";
import { fromBase64, toBase64 } from "./base64";

test.each(["", "payload = []", "°C 🌡 ü", "x".repeat(65_536)])("a text comes back from base64", (text) => {
  expect(fromBase64(toBase64(text))).toBe(text);
});

test("base64 is that of UTF-8", () => expect(toBase64("ü")).toBe("w7w="));
