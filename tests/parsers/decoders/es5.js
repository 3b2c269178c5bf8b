/* ES5, with functions that are used before they are written, methods added to prototypes, and a return at the top. */
String.prototype.padLeft = function (size, letter) {
  var text = String(this);
  while (text.length < size) text = letter + text;
  return text;
};
Array.prototype.last = function () { return this[this.length - 1]; };

if (!payload.length) return;

var result = [];
outer: for (var i = 0; i < payload.length; i++) {
  if (payload[i].variable !== 'bits') continue outer;
  with ({ bits: payload[i].value.toString(2).padLeft(8, '0') }) {
    result.push({ 'variable': 'bits', 'value': bits });
  }
}
result.push({ variable: 'last', value: [1, 2, 3].last() });
result.push({ variable: 'sum', value: add.apply(this, [1, 2]) });
payload = result;
return;

function add() { return Array.prototype.slice.call(arguments).reduce(function (a, b) { return a + b; }); }
payload = null;
