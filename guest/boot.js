// Runs once, when the guest is built, in the empty engine. It defines the globals of payload parsers and returns the
// function that the host calls. All this is then frozen: every run begins here.
//
// A parser can change every built-in. So whatever is called after it, is taken here, before it.
(function (global, modules, zones) {
  "use strict";
  const evaluate = global.eval; // called by this name, it evaluates in the global scope and is not strict
  const { parse, stringify } = JSON;
  const { apply, defineProperty, getPrototypeOf, setPrototypeOf } = Reflect;
  const { toString: typeName } = Object.prototype;
  const { slice } = String.prototype;
  const { exec } = RegExp.prototype;
  const errorPrototype = Error.prototype, text = String;
  const call = (method, self, ...values) => apply(method, self, values);

  // --- Libraries -----------------------------------------------------------------------------------------------------

  const loaded = {};
  function require(name) {
    if (!loaded[name]) {
      const module = (loaded[name] = { exports: {} });
      call(modules[name], module.exports, module.exports, module, require);
    }
    return loaded[name].exports;
  }
  const hidden = (object, name, value) =>
    defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });

  hidden(global, "Buffer", require("buffer").Buffer);
  require("intl")(global, hidden, zones);
  const dayjs = require("dayjs");
  for (const plugin of ["utc", "timezone", "customParseFormat", "advancedFormat"]) {
    dayjs.extend(require("dayjs-" + plugin));
  }
  hidden(global, "dayjs", dayjs);
  hidden(global, "timeUtils", dayjs);

  // The engine's own returns negative numbers as they are.
  hidden(BigInt, "asUintN", function asUintN(bits, number) {
    return number & ((1n << BigInt(bits)) - 1n);
  });

  // Decoders of 64-bit counters give such numbers as values, and JSON has none.
  hidden(BigInt.prototype, "toJSON", function toJSON() {
    return Number(this);
  });

  // --- Random numbers: the engine's own would be the same in every run. The generator is sfc32. ----------------------

  let a = 0, b = 0, c = 0, counter = 1;
  function random32() {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return sum >>> 0;
  }
  hidden(Math, "random", function random() {
    return ((random32() >>> 5) * 67108864 + (random32() >>> 6)) / 9007199254740992;
  });

  // --- Console -------------------------------------------------------------------------------------------------------

  const MAX_LINES = 100, MAX_CHARS = 1000;
  const noLines = () => { const none = []; setPrototypeOf(none, null); return none; }; // so that no setter and no toJSON of the parser is called
  let lines = noLines();
  function shown(value) {
    try {
      if (typeof value === "string") return value;
      if (isError(value)) return described(value);
      if (typeof value === "bigint") return `${value}n`;
      if (typeof value !== "object" || value === null) return text(value);
      const json = stringify(value);
      return json === undefined ? call(typeName, value) : json;
    } catch {
      return "(a value that cannot be shown)";
    }
  }
  function log(...values) {
    if (lines.length >= MAX_LINES) return;
    let line = "";
    for (let i = 0; i < values.length && line.length <= MAX_CHARS; i++) {
      line += (i ? " " : "") + shown(values[i]);
    }
    lines[lines.length] = line.length > MAX_CHARS ? call(slice, line, 0, MAX_CHARS) : line;
  }
  const console = {};
  for (const name of ["log", "debug", "info", "warn", "error", "trace", "dir"]) hidden(console, name, log);
  hidden(global, "console", console);

  // --- Errors --------------------------------------------------------------------------------------------------------

  const described = ({ name, message }) => (message ? `${name}: ${message}` : `${name}`);
  function isError(value) {
    for (let depth = 0; value !== null && typeof value === "object" && depth < 9; depth++) {
      value = getPrototypeOf(value);
      if (value === errorPrototype) return true;
    }
    return false;
  }
  const FRAME = /<input>:(\d+)/; // a frame of the parser; those of this file and of the libraries have another name
  function failure(thrown) {
    const result = { __proto__: null, error: "Payload Parser Terminated Unexpectedly", line: null, log: lines };
    try {
      if (isError(thrown)) {
        result.error = described(thrown);
        const frame = call(exec, FRAME, `${thrown.stack}`);
        if (frame && +frame[1] && frame[1].length < 6) result.line = +frame[1];
      } else if (thrown !== undefined) {
        result.error += `: ${shown(thrown)}`;
      }
    } catch {} // the thrown value throws when it is read
    result.error = call(slice, result.error, 0, MAX_CHARS);
    return stringify(result);
  }

  // --- What the host calls -------------------------------------------------------------------------------------------

  let script, hasSerial;

  function compile(source) {
    // The first statement hands out `arguments`, whose items are the parameters even after a return. As it comes first,
    // "use strict" is an ordinary text. It has no line of its own, so the lines of the source keep their numbers.
    const head = hasSerial ? "payload, serial) { arguments[2]" : "payload) { arguments[1]";
    script = evaluate(`(function (${head}(arguments); ${source}\n})`);
    return "{}";
  }

  function run(json) {
    const input = parse(json);
    [a, b, c] = input.seed;
    global.raw_payload = input.raw_payload;
    global.device = input.device;
    let kept;
    const keep = (parameters) => { kept = kept || parameters; };
    if (hasSerial) script(input.payload, undefined, keep);
    else script(input.payload, keep);
    if (!kept) throw new SyntaxError("Unexpected end of the function"); // the source closed the function around it
    const serial = hasSerial ? kept[1] : null;
    return stringify({
      __proto__: null,
      payload: stringify(kept[0]) || "null",
      serial: serial === undefined || serial === null ? null : `${serial}`,
      log: lines,
    });
  }

  // Its text is a letter and what the letter needs: C or N and a source, of which N has a serial; R and the input.
  return function enter(message) {
    const letter = message[0], rest = call(slice, message, 1);
    try {
      if (letter === "R") return run(rest);
      hasSerial = letter === "N";
      return compile(rest);
    } catch (error) {
      return failure(error);
    }
  };
});
