export default function View() {
  return <h1>Usage</h1>;
}
