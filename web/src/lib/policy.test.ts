import { expect, test } from "vitest";
import { read, sentences, write, type Form, type Permission, type Tuple } from "./policy";

const names = (_: string, id: string) => (id === "a1" ? "Report" : id);
const allow = (action: string[], resource: Tuple, effect: Permission["effect"] = "allow") => ({ effect, action, resource });
const texts = (targets: Tuple[], ...permissions: Permission[]) => sentences({ targets, permissions }, names).map(({ text }) => text);

test("a policy reads as a sentence", () => {
  expect(texts([["analysis", "id", "a1"]], allow(["get_data"], ["device", "tag.key", "a", "tag.value", "b"]))).toEqual([
    "The analysis “Report” may read data of devices with the tag a = b.",
  ]);
});

test("each permission is a sentence, and each target is named", () => {
  const found = sentences({
    targets: [["analysis"], ["run_user", "tag.key", "site", "tag.value", "north"], ["run_user", "tag_match", "team"]],
    permissions: [allow(["access", "edit", "delete"], ["device", "tag_match", "site"]), allow(["delete"], ["device", "id", "d1"], "deny")],
  }, names);
  const who = "All analyses, run users with the tag site = north and run users with a tag team";
  expect(found).toEqual([
    { text: `${who} may see, change and delete devices that have the same tag site.`, isDenial: false },
    { text: `${who} may not delete the device “d1”.`, isDenial: true },
  ]);
});

test("what changes nothing says so", () => {
  expect(texts([], allow(["access"], ["device"]))[0]).toContain("Nobody");
  expect(texts([["analysis"]])[0]).toContain("Nothing is allowed");
  expect(texts([["analysis"]], allow(["access"], ["device", "idd", "x"]))[0]).toContain('["device","idd","x"] has no known form');
  expect(texts([["analysis"]], allow(["delete"], ["device"], "deny"))[0]).toBe("All analyses may not delete any device.");
  expect(texts([["analysis"]], allow(["odd_action"], ["odd_kind"]))[0]).toBe("All analyses may odd action all odd kind.");
});

test.each(["any", "id", "tag", "tag_match"] as Form[])("a tuple of the form %s is read as it was written", (form) => {
  const match = { kind: "device", form, key: form === "any" ? "" : "k", value: form === "tag" ? "v" : "" };
  expect(read(write(match))).toEqual(match);
});

test.each([[["device", 5, "x"]], [["device", "id"]], [["device", "tag.key", "a", "value", "b"]], [[]]])("%j has no form", (tuple) => {
  expect(tuple.length === 0 ? undefined : read(tuple)).toBeUndefined();
});
