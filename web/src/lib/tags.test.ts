import { expect, it } from "vitest";
import { matches, parseTags } from "./tags";

const DEVICE = { id: "5f0c9b", name: "Roof <b>1</b>", tags: [{ key: "site", value: "Farm" }] };

it.each([
  ["", true],
  ["roof", true],
  ["site: farm", true],
  ["farm 5f0", true],
  ["farm cellar", false],
])("a search for %j finds it: %s", (search, isFound) => expect(matches(DEVICE, search)).toBe(isFound));

it("reads tags, also with a colon in the value", () => {
  expect(parseTags("site: farm\n\n url:http://x \n")).toEqual([{ key: "site", value: "farm" }, { key: "url", value: "http://x" }]);
});

it.each(["farm", ": farm", "site:"])("refuses the tag %j and names it", (line) => expect(() => parseTags(line)).toThrow(line));
