/* Makes a point of each cell of a CSV text.
 *
 * The first line names the columns, unless the parameter "columns" of the device does: "temperature,humidity". The
 * separator is a comma, semicolon or tab. A cell may be in double quotes; two of them inside stand for one. The column
 * time (or timestamp, ts) is the time of its line, and group is its group. A unit may follow a name in brackets:
 * "temperature (C)". Numbers become numbers, true and false become booleans, and empty cells are left out.
 */
const TIMES = ["time", "timestamp", "ts"];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function param(key) {
  const found = (device.params || []).find((one) => one.key === key);
  return found && found.value ? String(found.value).trim() : "";
}

/** Return the separator that the line has most of, outside quotes. */
function separatorOf(line) {
  const plain = line.replace(/"[^"]*"/g, "");
  const count = (separator) => plain.split(separator).length;
  return [",", ";", "\t"].reduce((best, one) => (count(one) > count(best) ? one : best));
}

/** Return the lines of a text as lists of cells. Lines without any text are left out. */
function parse(text, separator) {
  const lines = [];
  let cells = [];
  let cell = "";
  let isQuoted = false;
  const endCell = () => {
    cells.push(cell.trim());
    cell = "";
  };
  const endLine = () => {
    endCell();
    if (cells.some((one) => one !== "")) lines.push(cells);
    cells = [];
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') {
      if (isQuoted && text[at + 1] === '"') {
        cell += '"';
        at++;
      } else {
        isQuoted = !isQuoted;
      }
    } else if (isQuoted) {
      cell += letter;
    } else if (letter === separator) {
      endCell();
    } else if (letter === "\n") {
      endLine();
    } else if (letter !== "\r") {
      cell += letter;
    }
  }
  if (isQuoted) throw new Error("The CSV text ends inside double quotes");
  endLine();
  return lines;
}

function column(text) {
  const [, name, unit] = /^(.*?)(?:\s*[([]([^)\]]*)[)\]])?$/.exec(text);
  return { name: name.trim().replace(/\s+/g, "_"), unit };
}

function typed(text) {
  if (NUMBER.test(text)) return Number(text);
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
  return text;
}

function pointsOf(cells, columns) {
  const common = {};
  const points = [];
  cells.forEach((text, index) => {
    if (text === "") return;
    if (index >= columns.length) throw new Error(`A line has ${cells.length} cells, but there are ${columns.length} columns`);
    const { name, unit } = columns[index];
    if (name === "") return;
    if (TIMES.includes(name.toLowerCase())) {
      common.time = NUMBER.test(text) ? Number(text) : text;
    } else if (name.toLowerCase() === "group") {
      common.group = text;
    } else {
      points.push(unit ? { variable: name, value: typed(text), unit } : { variable: name, value: typed(text) });
    }
  });
  return points.map((point) => ({ ...point, ...common }));
}

function decode(text) {
  const names = param("columns");
  const separator = separatorOf(text.trim().split("\n", 1)[0]);
  const lines = parse(text.replace(/^\ufeff/, ""), separator);
  const columns = (names ? parse(names, separatorOf(names))[0] : lines.shift() || []).map(column);
  if (!names && columns.length && columns.every(({ name }) => NUMBER.test(name))) {
    throw new Error('The first line has only numbers: name the columns there, or in the parameter "columns" of the device');
  }
  if (!lines.length) throw new Error(names ? "There is no line" : "There is no line after the names of the columns");
  return lines.flatMap((cells) => pointsOf(cells, columns));
}

if (typeof payload === "string") {
  payload = decode(payload);
} else {
  payload = payload.flatMap((item) =>
    item.variable === "payload" && typeof item.value === "string" ? decode(item.value) : [item]
  );
}
