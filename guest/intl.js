// The part of Intl that decoders and dayjs use: dates in the format of en-US, in any time zone. The engine has no Intl.
//
// `zones` has a text for each time zone: the abbreviations and offsets that it uses, and its changes since 1970. The name
// of another zone in place of the text makes it an alias. See zones.py.
module.exports = function (global, hidden, zones) {
  "use strict";
  const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December"];
  const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
  const byLowerCase = { __proto__: null };
  for (const name of Object.keys(zones)) byLowerCase[name.toLowerCase()] = name;
  const FIELDS = ["weekday", "year", "month", "day", "hour", "minute", "second"];
  const read = { __proto__: null };

  // Returns {starts, states}: from starts[i], in minutes since 1970, the zone has the offset and name of states[i].
  function zoneOf(name) {
    if (!read[name]) {
      const text = zones[name];
      if (text.indexOf("|") < 0) return (read[name] = zoneOf(text));
      const [kinds, changes] = text.split("|");
      const known = kinds.split(" ").map((kind) => {
        const [seconds, abbreviation] = kind.split(",");
        return { ms: Number(seconds) * 1000, abbreviation };
      });
      const starts = [-Infinity], states = [known[0]];
      let minute = 0;
      for (const change of changes ? changes.split(" ") : []) {
        minute += parseInt(change.slice(1), 36);
        starts.push(minute);
        states.push(known[parseInt(change[0], 36)]);
      }
      read[name] = { starts, states };
    }
    return read[name];
  }
  function stateAt(name, ms) {
    const { starts, states } = zoneOf(name), minute = ms / 60000;
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= minute) low = middle;
      else high = middle - 1;
    }
    return states[low];
  }

  const padded = (number, style) => (style === "2-digit" ? String(number % 100).padStart(2, "0") : String(number));
  const part = (type, value) => ({ type, value });
  function nameOf(zone, state) {
    if (state.abbreviation) return state.abbreviation;
    const minutes = Math.round(Math.abs(state.ms) / 60000), rest = minutes % 60;
    if (!minutes) return zone === "UTC" ? "UTC" : "GMT";
    return `GMT${state.ms < 0 ? "-" : "+"}${Math.floor(minutes / 60)}${rest ? ":" + padded(rest, "2-digit") : ""}`;
  }

  class DateTimeFormat {
    constructor(_locale, options) {
      options = options || {};
      const wanted = options.timeZone === undefined ? "UTC" : String(options.timeZone);
      const zone = byLowerCase[wanted.toLowerCase()];
      if (zone === undefined) throw new RangeError(`Invalid time zone specified: ${wanted}`);
      const own = { ...options };
      if (!FIELDS.some((name) => own[name] !== undefined)) own.year = own.month = own.day = "numeric";
      hidden(this, "_zone", zone);
      hidden(this, "_options", own);
    }
    resolvedOptions() {
      return { locale: "en-US", calendar: "gregory", numberingSystem: "latn", timeZone: this._zone };
    }
    formatToParts(date) {
      const ms = date === undefined ? Date.now() : Number(date);
      if (!Number.isFinite(ms)) throw new RangeError("Invalid time value");
      const { _zone: zone, _options: options } = this, state = stateAt(zone, ms), local = new Date(ms + state.ms);
      const parts = [];
      const add = (separator, ...more) => {
        if (parts.length) parts.push(part("literal", separator));
        parts.push(...more);
      };
      const month = local.getUTCMonth(), isNamed = options.month === "long" || options.month === "short";
      if (options.weekday !== undefined) {
        const name = DAYS[local.getUTCDay()];
        add("", part("weekday", options.weekday === "long" ? name : name.slice(0, 3)));
      }
      if (options.month !== undefined) {
        const name = options.month === "long" ? MONTHS[month] : MONTHS[month].slice(0, 3);
        add(", ", part("month", isNamed ? name : padded(month + 1, options.month)));
      }
      if (options.day !== undefined) {
        add(options.month === undefined ? ", " : isNamed ? " " : "/", part("day", padded(local.getUTCDate(), options.day)));
      }
      if (options.year !== undefined) {
        const hasDay = options.day !== undefined || options.month !== undefined;
        add(!hasDay ? ", " : isNamed ? (options.day === undefined ? " " : ", ") : "/",
          part("year", padded(local.getUTCFullYear(), options.year)));
      }
      this._addTime(add, local);
      if (options.timeZoneName !== undefined) add(" ", part("timeZoneName", nameOf(zone, state)));
      return parts;
    }
    _addTime(add, local) {
      const options = this._options, cycle = options.hourCycle;
      const isHalf = options.hour12 === undefined ? !(cycle === "h23" || cycle === "h24") : options.hour12;
      const hour = local.getUTCHours(), minute = local.getUTCMinutes(), second = local.getUTCSeconds();
      let separator = ", ";
      if (options.hour !== undefined) {
        const number = isHalf ? hour % 12 || 12 : hour || (options.hour12 === false && cycle === undefined ? 24 : 0);
        add(separator, part("hour", padded(number, isHalf ? options.hour : "2-digit")));
        separator = ":";
      }
      if (options.minute !== undefined) {
        add(separator, part("minute", padded(minute, options.hour === undefined ? options.minute : "2-digit")));
        separator = ":";
      }
      if (options.second !== undefined) {
        add(separator, part("second", padded(second, options.minute === undefined ? options.second : "2-digit")));
      }
      if (options.hour !== undefined && isHalf) add(" ", part("dayPeriod", hour < 12 ? "AM" : "PM"));
    }
    format(date) {
      return this.formatToParts(date).map(({ value }) => value).join("");
    }
  }

  // Also without `new`, as dayjs calls it.
  function callable(...args) {
    return new DateTimeFormat(...args);
  }
  callable.prototype = DateTimeFormat.prototype;
  hidden(DateTimeFormat.prototype, "constructor", callable);
  hidden(callable, "supportedLocalesOf", () => ["en-US"]);
  const Intl = {};
  hidden(Intl, "DateTimeFormat", callable);
  hidden(global, "Intl", Intl);

  const DATE = { year: "numeric", month: "numeric", day: "numeric" };
  const TIME = { hour: "numeric", minute: "numeric", second: "numeric" };
  function localize(name, defaults, isEnough) {
    hidden(Date.prototype, name, function (locale, options) {
      if (Number.isNaN(this.getTime())) return "Invalid Date";
      const given = options || {};
      const own = isEnough.some((field) => given[field] !== undefined) ? given : { ...defaults, ...given };
      return new DateTimeFormat(locale, own).format(this);
    });
  }
  const dateFields = ["weekday", "year", "month", "day"], timeFields = ["hour", "minute", "second"];
  localize("toLocaleString", { ...DATE, ...TIME }, [...dateFields, ...timeFields]);
  localize("toLocaleDateString", DATE, dateFields);
  localize("toLocaleTimeString", TIME, timeFields);
};
