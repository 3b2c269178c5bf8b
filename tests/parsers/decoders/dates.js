// Dates as text, and dayjs with its plugins. The clock stands still while a parser runs.
const date = new Date(1700000000123);
const moment = dayjs(1700000000123);
const start = Date.now();
let sum = 0;
for (let n = 0; n < 1000; n++) sum += n;
payload = [
  { variable: "string", value: String(date) },
  { variable: "locale", value: date.toLocaleString() },
  { variable: "iso", value: date.toISOString(), time: date },
  { variable: "json", value: JSON.stringify({ date }) },
  { variable: "utc", value: dayjs.utc(1700000000123).format("YYYY-MM-DD HH:mm:ss.SSS") },
  { variable: "zone", value: dayjs(1700000000123).tz("America/Sao_Paulo").format("YYYY-MM-DD HH:mm Z") },
  { variable: "summer", value: dayjs.tz("2026-07-01 12:00", "Europe/Berlin").toISOString() },
  { variable: "custom", value: dayjs("31/01/26 07:05", "DD/MM/YY HH:mm").format("YYYY-MM-DD") },
  { variable: "advanced", value: moment.utc().format("Do Q X") },
  { variable: "still", value: Date.now() - start },
  { variable: "same", value: typeof timeUtils },
  { variable: "real", value: Math.abs(Date.now() - new Date().getTime()) < 1000 && Date.now() > 1700000000123 },
];
