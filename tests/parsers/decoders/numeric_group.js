// A group and a unit that are numbers, and names that a point may not have.
const group = 1700000000123;
payload = [
  { variable: "Temp. (1)", value: 20.5, unit: 1, group },
  { variable: "a-b", value: true, serie: 5 },
  { variable: "nested", value: { x: 1 }, group },
];
